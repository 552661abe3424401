"""Deploys a task registry on any network and prints its C… id.

The account of --secret-file pays, and becomes the registry's admin. --token is what tasks' gas and keepers' fees are
paid in; it can be chosen now and never later, and without one gas is a figure that nobody can add to. With --no-init
the contract is created and no more, for wasm that is no registry: the contract a task shall call, for instance.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from stellar_sdk import Asset, Keypair, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast import _core
from sorofast.chain.lookups import ledger_entries
from sorofast.chain.rpc import RpcClient
from sorofast.chain.xdr import instance_key
from sorofast.errors import SorofastError, StrkeyError, UsageError
from sorofast.settings import read_secret_file
from sorofast.transactions.oneshot import apply_host_function, invoke, keypair

NATIVE = "native"


async def deploy(rpc: RpcClient, source: Keypair, wasm: bytes, token: str | None, *, init: bool) -> str:
    """The new contract's address. SorofastError says who refused what."""
    passphrase = str((await rpc.get_network())["passphrase"])

    async def apply(what: str, append: Callable[[TransactionBuilder], object]) -> stellar_xdr.SCVal:
        return (await apply_host_function(rpc, passphrase, source, append, what=what)).value

    if token == NATIVE:
        token = Asset.native().contract_id(passphrase)
        if not await exists(rpc, token):
            await apply(
                "the contract of the native asset",
                lambda tx: tx.append_create_stellar_asset_contract_from_asset_op(Asset.native()),
            )
    elif token is not None and not await exists(rpc, token):
        raise SorofastError(f"--token: there is no contract at {token} on the network behind {rpc.name}")
    code = scval.from_bytes(await apply("the upload", lambda tx: tx.append_upload_contract_wasm_op(wasm)))
    created = await apply("the creation", lambda tx: tx.append_create_contract_op(code, source.public_key))
    contract = scval.from_address(created).address
    if init:
        arguments = [
            scval.to_address(source.public_key),
            scval.to_void() if token is None else scval.to_address(token),
        ]
        await invoke(rpc, passphrase, source, contract, "init", arguments)
    return contract


async def exists(rpc: RpcClient, contract: str) -> bool:
    key = instance_key(_core.contract_to_bytes(contract))
    return key in await ledger_entries(rpc, [key])


def token_of(text: str) -> str:
    """`native` or a C… address, as argparse wants it checked."""
    if text != NATIVE:
        try:
            _core.contract_to_bytes(text)
        except StrkeyError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither {NATIVE} nor a C… address") from None
    return text


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rpc-url", required=True, help="URL of the Stellar RPC server")
    parser.add_argument("--secret-file", type=Path, required=True, help="an S… seed, mode 0600; it pays")
    parser.add_argument("--wasm", type=Path, required=True, help="`sorofast-sandbox contract task_registry`")
    parser.add_argument(
        "--token", type=token_of, help=f"what gas and fees are paid in: {NATIVE} (XLM) or a C… address"
    )
    parser.add_argument("--no-init", action="store_true", help="only create the contract")
    options = parser.parse_args()
    if options.no_init and options.token:
        raise UsageError("--token is given to `init`, which --no-init leaves out; give one of them")
    source = keypair(read_secret_file(options.secret_file), what=str(options.secret_file))
    wasm = options.wasm.read_bytes()
    rpc = RpcClient(options.rpc_url)
    try:
        print(await deploy(rpc, source, wasm, options.token, init=not options.no_init))
    finally:
        await rpc.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except SorofastError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"error: {error.filename or ''} cannot be read: {error.strerror}", file=sys.stderr)
        sys.exit(1)
