"""What the commands share that call the registry: whose key signs, and what helps against each refusal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from stellar_sdk import Keypair
    from stellar_sdk import xdr as stellar_xdr

    from sorofast.chain.rpc import RpcClient
    from sorofast.settings import Settings
    from sorofast.transactions.oneshot import Invocation

__all__ = ["SourceSecretFile", "call_registry", "signer"]

SourceSecretFile = Annotated[
    Path | None,
    Parameter(
        help="File (mode 0600) with the S… seed of the account that signs and pays; the keeper's by default."
    ),
]


def signer(settings: Settings, secret_file: Path | None) -> Keypair:
    """The key in `secret_file`, or the keeper's without one. SecretError for a file that holds none."""
    from sorofast.settings import read_secret_file
    from sorofast.transactions.oneshot import keypair

    if secret_file is None:
        return keypair(settings.keeper().read_secret())
    return keypair(read_secret_file(secret_file), what=str(secret_file))


async def call_registry(
    rpc: RpcClient,
    passphrase: str,
    source: Keypair,
    contract_id: str,
    function: str,
    args: list[stellar_xdr.SCVal],
    *,
    advice: Mapping[str, str],
) -> Invocation:
    """Calls a function of the registry from `source` and waits until it is applied.

    TransactionFailed names the contract that said no. `advice` is what to do, by how the error's short name begins.
    """
    from sorofast.transactions.oneshot import Called, TransactionFailed, invoke

    try:
        return await invoke(
            rpc, passphrase, source, contract_id, function, args, called=Called.registry(rpc, contract_id)
        )
    except TransactionFailed as failed:
        name = failed.error or ""
        help_ = next((text for start, text in advice.items() if name.startswith(start)), None)
        if help_ is None:
            raise
        raise TransactionFailed(f"{failed}; {help_}", failed.code, error=failed.error) from None
