"""Somebody's contract on a sandbox: deployed from its code, called by the names its code gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stellar_sdk import Asset, Keypair, StrKey, TransactionBuilder
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import SACHasNoWasmError, SdkError

from sorofast.errors import UsageError
from sorofast.testing.transactions import Applied, CallFailed, Sender
from sorofast.testing.values import Interface, native

__all__ = ["Contract", "asset_contract", "deploy", "existing", "read_wasm", "require_contract"]

_CONSTRUCTOR = "__constructor"
_WASM_BYTES_MAX = 64 * 1024 * 1024  # what the network takes is the network's to say
_MAGIC = b"\0asm"


class Contract:
    """A deployed contract. `address` is its C… address; arguments are Python values, converted by what its code
    says they are, or SCVals. A Keypair or a Contract stands for its address.
    """

    def __init__(self, sender: Sender, address: str, source: Keypair, interface: Interface) -> None:
        self.address = address
        self._sender = sender
        self._source = source
        self._interface = interface

    def __repr__(self) -> str:
        return f"Contract({self.address})"

    @property
    def functions(self) -> list[str]:
        """The names of its functions."""
        return self._interface.functions

    def invoke(
        self, function: str, *args: object, source: Keypair | None = None, signers: Sequence[Keypair] = ()
    ) -> Any:
        """Call a function by a transaction, in a ledger; returns its value. CallFailed when it fails.

        `source` pays and signs (the account that deployed it, unless given); `signers` sign what else has to be
        authorised.
        """
        return self.submit(function, *args, source=source, signers=signers).value

    def submit(
        self, function: str, *args: object, source: Keypair | None = None, signers: Sequence[Keypair] = ()
    ) -> Applied:
        """Like `invoke`, but returns the whole outcome: hash, ledger, fee, value and events."""
        values = self._interface.arguments(function, args)
        return self._sender.apply_operation(
            source or self._source,
            lambda builder: builder.append_invoke_contract_function_op(self.address, function, values),
            signers=signers,
            what=function,
            error_name=self._interface.error_name,
        )

    def read(self, function: str, *args: object, source: Keypair | None = None) -> Any:
        """What a call would return now, by a simulation: no transaction, no ledger, no change."""
        return native(self.read_xdr(function, *args, source=source))

    def read_xdr(self, function: str, *args: object, source: Keypair | None = None) -> stellar_xdr.SCVal:
        """Like `read`, as the SCVal that the contract returned."""
        values = self._interface.arguments(function, args)
        return self._sender.simulate(
            (source or self._source).public_key,
            lambda builder: builder.append_invoke_contract_function_op(self.address, function, values),
            what=function,
            error_name=self._interface.error_name,
        )


def read_wasm(wasm: bytes | str | Path) -> bytes:
    """A contract's code from bytes or from a file. UsageError for what is no code."""
    if isinstance(wasm, bytes):
        code, origin = wasm, "the code"
    else:
        path = Path(wasm)
        origin = str(path)
        try:
            with path.open("rb") as file:
                code = file.read(_WASM_BYTES_MAX + 1)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not code.startswith(_MAGIC):
        raise UsageError(f"{origin} is not wasm: it does not begin with \\0asm")
    if len(code) > _WASM_BYTES_MAX:
        raise UsageError(f"{origin} is longer than {_WASM_BYTES_MAX} bytes, the limit for a contract")
    return code


def require_contract(address: object) -> None:
    """UsageError for what is no contract's address."""
    if not isinstance(address, str) or not StrKey.is_valid_contract(address):
        raise UsageError(f"{address!r} is not a contract address; those begin with C and have 56 characters")


def deploy(
    sender: Sender, wasm: bytes, args: Sequence[object], source: Keypair, salt: bytes | None
) -> Contract:
    """Upload the code and create an instance of it, by two transactions."""
    interface = Interface(wasm)
    values = interface.arguments(_CONSTRUCTOR, args)

    def upload(builder: TransactionBuilder) -> None:
        builder.append_upload_contract_wasm_op(wasm)

    uploaded = sender.apply_operation(source, upload, what="the upload of the code").value

    def create(builder: TransactionBuilder) -> None:
        builder.append_create_contract_op(uploaded, source.public_key, constructor_args=values, salt=salt)

    address = sender.apply_operation(
        source, create, what="the creation of the contract", error_name=interface.error_name
    ).value
    if not isinstance(address, str):
        raise CallFailed(f"the creation of the contract returned {address!r} and no address")
    return Contract(sender, address, source, interface)


def asset_contract(sender: Sender, asset: Asset | None, source: Keypair, passphrase: str) -> Contract:
    """The contract that an asset has by the network's own rules, created unless it is there."""
    asset = asset or Asset.native()
    address = asset.contract_id(passphrase)
    if not sender.exists(address):

        def create(builder: TransactionBuilder) -> None:
            builder.append_create_stellar_asset_contract_from_asset_op(asset)

        sender.apply_operation(source, create, what=f"the creation of the contract of {asset.code}")
    return Contract(sender, address, source, Interface.of_assets())


def existing(sender: Sender, address: str, source: Keypair, wasm: bytes | None = None) -> Contract:
    """A contract that is on the network already; its code is read from there unless given."""
    if wasm is not None:
        return Contract(sender, address, source, Interface(wasm))
    try:
        return Contract(sender, address, source, Interface(sender.server.get_contract_wasm(address)))
    except SACHasNoWasmError:
        return Contract(sender, address, source, Interface.of_assets())
    except SdkError as error:
        raise UsageError(f"the code of {address} cannot be read from the network: {error}") from error
