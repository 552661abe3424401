"""Channel accounts: made from one seed phrase, created and funded by the keeper.

Channel i is the SEP-5 key m/44'/148'/i' of the phrase, so every host that has the seed file derives the same
accounts. The keeper creates a hundred per transaction, the most operations a transaction holds. Doing it again
creates what is missing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stellar_sdk import Account, Keypair, TransactionBuilder
from stellar_sdk.operation import CreateAccount

from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.errors import SecretError
from sorofast.limits import CHANNELS_MAX
from sorofast.transactions.oneshot import (
    AccountState,
    TransactionFailed,
    keypair,
    max_time_s,
    read_accounts,
    source_account,
    submit_and_wait,
)
from sorofast.wording import counted

__all__ = [
    "STARTING_BALANCE_STROOPS",
    "STARTING_BALANCE_STROOPS_MIN",
    "create_channels",
    "derive_channels",
    "missing_channels",
    "write_new_seed_file",
]

STARTING_BALANCE_STROOPS = 50_000_000
"""5 XLM: the reserve of an account is 1 XLM, the rest pays for transactions."""
STARTING_BALANCE_STROOPS_MIN = 10_000_000
"""Two base reserves of half an XLM; the network refuses to create an account with less."""

_OPERATIONS_MAX = 100
_KEEPER_RESERVE_STROOPS = 10_000_000
_STALE_ATTEMPTS_MAX = 5
_STROOPS_PER_XLM = 10_000_000


def write_new_seed_file(path: Path) -> str:
    """Makes a phrase of 24 words and writes it to `path`, for the owner's eyes only. Never overwrites a file.

    The file appears whole or not at all: half a phrase under the right name would lock the channels' money away.
    """
    target = path.expanduser()
    phrase = Keypair.generate_mnemonic_phrase(strength=256)
    temporary: str | None = None
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp creates with mode 0600 whatever the umask is.
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(phrase + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, target)  # unlike a rename, fails when the target exists
        except FileExistsError:
            raise SecretError(
                f"{path} exists already and is not overwritten; a lost phrase is lost money"
            ) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise SecretError(f"{path} cannot be written ({reason}); change keeper.channel_seed_file") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return phrase


def derive_channels(passphrase: str, keeper_secret: str, mnemonic: str, count: int) -> list[str]:
    """The G… addresses of channels 0 to `count` - 1. Raises SecretError for a phrase or seed that cannot be used."""
    keys = _core.Signer(passphrase, keeper_secret, mnemonic, count).channels
    return [_core.account_from_bytes(keys[start : start + 32]) for start in range(0, len(keys), 32)]


async def missing_channels(rpc: RpcClient, addresses: list[str]) -> list[str]:
    """Those of `addresses` that have no account on the network yet, in order."""
    keys = [_core.account_to_bytes(address) for address in addresses]
    existing = await read_accounts(rpc, b"".join(keys))
    return [address for address, key in zip(addresses, keys, strict=True) if key not in existing]


async def create_channels(
    rpc_url: str,
    passphrase: str,
    keeper_secret: str,
    mnemonic: str,
    count: int,
    *,
    starting_balance_stroops: int = STARTING_BALANCE_STROOPS,
    inclusion_fee_stroops: int = 1_000,
    timeout_s: float = 10.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Creates those of the first `count` channels that do not exist; returns the addresses of all of them, in order.

    The keeper pays `starting_balance_stroops` for each and the fees. `progress(done, count)` is called after every
    transaction. Raises TransactionFailed with the reason when the network says no; what was created before stays.
    """
    if not 1 <= count <= CHANNELS_MAX:
        raise ValueError(f"count must be 1 to {CHANNELS_MAX}, not {count}")
    if starting_balance_stroops < STARTING_BALANCE_STROOPS_MIN:
        raise ValueError(
            f"the network takes no starting balance below {STARTING_BALANCE_STROOPS_MIN} stroops"
        )
    keeper = keypair(keeper_secret)
    addresses = derive_channels(passphrase, keeper_secret, mnemonic, count)
    rpc = RpcClient(rpc_url, timeout_s=timeout_s)
    try:
        missing = await missing_channels(rpc, addresses)
        if progress is not None:
            progress(count - len(missing), count)
        attempts = 0
        while missing:
            state = await source_account(rpc, keeper)
            _check_funds(keeper, state, len(missing), starting_balance_stroops, inclusion_fee_stroops)
            batch = missing[:_OPERATIONS_MAX]
            try:
                await _create(
                    rpc, passphrase, keeper, state, batch, starting_balance_stroops, inclusion_fee_stroops
                )
                attempts = 0
            except TransactionFailed as error:
                # Somebody else used the keeper's next sequence, or created one of the accounts, between our
                # reading and the ledger. Reading again tells; time after time, something else is wrong.
                attempts += 1
                if (
                    error.code not in {"txBAD_SEQ", "txFAILED", "txTOO_LATE"}
                    or attempts >= _STALE_ATTEMPTS_MAX
                ):
                    raise
            missing = await missing_channels(rpc, missing)
            if progress is not None:
                progress(count - len(missing), count)
    finally:
        await rpc.close()
    return addresses


async def _create(
    rpc: RpcClient,
    passphrase: str,
    keeper: Keypair,
    state: AccountState,
    addresses: list[str],
    starting_balance_stroops: int,
    inclusion_fee_stroops: int,
) -> None:
    """One transaction that creates up to a hundred accounts, waited for."""
    account = Account(keeper.public_key, state.sequence)
    builder = TransactionBuilder(account, passphrase, base_fee=inclusion_fee_stroops)
    whole, rest = divmod(starting_balance_stroops, _STROOPS_PER_XLM)
    for address in addresses:
        builder.append_operation(CreateAccount(address, f"{whole}.{rest:07d}"))
    envelope = builder.add_time_bounds(0, await max_time_s(rpc)).build()
    envelope.sign(keeper)
    await submit_and_wait(rpc, envelope, what=f"the creation of {counted(len(addresses), 'channel')}")


def _check_funds(
    keeper: Keypair, state: AccountState, count: int, each_stroops: int, fee_stroops: int
) -> None:
    needed = count * (each_stroops + fee_stroops) + _KEEPER_RESERVE_STROOPS
    if state.balance_stroops < needed:
        have, want = (amount / _STROOPS_PER_XLM for amount in (state.balance_stroops, needed))
        raise TransactionFailed(
            f"keeper {keeper.public_key} holds {have:.7f} XLM, but creating {counted(count, 'channel')} needs "
            f"{want:.7f} XLM; fund it, or choose fewer channels or a lower --starting-balance"
        )
