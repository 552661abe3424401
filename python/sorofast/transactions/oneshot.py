"""Transactions an operator's command sends: one at a time, waited for until it is known what became of them.

The engine has its own path, with a write-ahead log. Here a command's process is the only memory: bytes are sent again
unchanged while they can still land, and the time bound makes a lost one provably dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stellar_sdk import Account, Keypair, TransactionBuilder, TransactionEnvelope
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.operation import InvokeHostFunction

from sorofast import _core
from sorofast.chain.lookups import result_meta
from sorofast.chain.models import Lookup
from sorofast.chain.rpc import KEYS_PER_CALL_MAX, RpcClient
from sorofast.clock import SystemClock
from sorofast.errors import DecodeError, RpcError, SecretError, SorofastError, UnreachableError
from sorofast.registry.words import WordsReader
from sorofast.transactions.diagnostics import diagnose
from sorofast.transactions.failures import failure_of
from sorofast.transactions.submit import Receipt, Sent, send

__all__ = [
    "VALID_S",
    "AccountState",
    "Called",
    "Invocation",
    "TransactionFailed",
    "apply_host_function",
    "host_reason",
    "invoke",
    "keypair",
    "read_accounts",
    "submit_and_wait",
]

VALID_S = 60
"""How long, in ledger time, an envelope may still land."""
_WAIT_S = 120.0
"""After this much of our own time no answer is expected any more, whatever the ledger's clock says."""
_POLL_S = 0.25
_POLL_MAX_S = 1.0
_FEE_MAX_STROOPS = 2**32 - 1


class TransactionFailed(SorofastError):
    """The network refused or failed a transaction, or never applied it.

    `code` is its result code if there is one. `error` is the short name of a contract's error: `TaskNotFound` for one
    of a registry's own, `token error 10` for one that its token raised.
    """

    def __init__(self, message: str, code: str | None = None, *, error: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.error = error


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account entry: balance and sequence number as of the ledger it was read at."""

    balance_stroops: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Invocation:
    """An applied contract call: its transaction, its ledger and what the function returned."""

    tx_hash: str
    ledger: int
    value: stellar_xdr.SCVal


@dataclass(frozen=True, slots=True)
class Called:
    """The contract that a transaction calls, so that its errors are told from those of contracts that it calls in turn:
    its 32 bytes, what it is called in sentences, and the reader of its errors' names where it is a registry.
    """

    contract: bytes = b""
    noun: str = "contract"
    words: WordsReader | None = None

    @classmethod
    def registry(cls, rpc: RpcClient, contract_id: str) -> Called:
        """The task registry at that C… address."""
        return cls(_core.contract_to_bytes(contract_id), "registry", WordsReader(rpc, contract_id))

    async def refusal(self, what: str, error: str, events: Sequence[str]) -> TransactionFailed:
        """What a simulation's error and events mean."""
        words = None if self.words is None else await self.words.known()
        why = diagnose(error, events, self.contract, words, noun=self.noun)
        if why is None:
            return TransactionFailed(f"{what} could not be simulated: {host_reason(error)}")
        return TransactionFailed(f"{what} would fail: {why.text}", error=why.error)

    async def failure(self, what: str, lookup: Lookup) -> TransactionFailed:
        """What the result and the events of an applied transaction mean."""
        if lookup.result_xdr is None:
            return TransactionFailed(f"{what} was applied and failed")
        _, code, operation = _core.decode_result(lookup.result_xdr)
        if not self.contract or not operation or not lookup.diagnostics:
            return TransactionFailed(f"{what} was applied and failed: {operation or code}", code)
        words = None if self.words is None else await self.words.known()
        why = failure_of((code, operation), lookup.diagnostics, self.contract, words, noun=self.noun)
        return TransactionFailed(f"{what} was applied and failed: {why.words}", code, error=why.error)


NOBODY = Called()


def keypair(secret: str, *, what: str = "the keeper's secret") -> Keypair:
    """The key of an S… seed. Raises SecretError without repeating it."""
    try:
        return Keypair.from_secret(secret.strip())
    except Exception:  # noqa: BLE001 - the library raises its own errors and its dependencies'
        # The library's message may repeat the text, so nothing of it is passed on.
        raise SecretError(f"{what} is no valid S… seed; check the file it is read from") from None


async def read_accounts(rpc: RpcClient, keys: bytes) -> dict[bytes, AccountState]:
    """The accounts that exist among `keys` (32 bytes each), read in requests of 200."""
    found: dict[bytes, AccountState] = {}
    step = 32 * KEYS_PER_CALL_MAX
    for start in range(0, len(keys), step):
        # Task keys are not asked for, so whose contract it would be does not matter.
        batch = await rpc.entries(bytes(32), bytes(32), b"", keys[start : start + step])
        for key, balance, sequence, _, _ in batch.accounts:
            found[key] = AccountState(balance, sequence)
    return found


async def source_account(rpc: RpcClient, source: Keypair) -> AccountState:
    """The account that pays. Raises TransactionFailed when it does not exist."""
    key = source.raw_public_key()
    state = (await read_accounts(rpc, key)).get(key)
    if state is None:
        raise TransactionFailed(f"account {source.public_key} does not exist on this network; fund it first")
    return state


async def max_time_s(rpc: RpcClient) -> int:
    """The time bound of a new envelope, by the ledger's clock: ours may be off."""
    return (await rpc.get_health()).close_time_s + VALID_S


async def invoke(
    rpc: RpcClient,
    passphrase: str,
    source: Keypair,
    contract_id: str,
    function: str,
    args: list[stellar_xdr.SCVal],
    *,
    called: Called | None = None,
    inclusion_fee_stroops: int = 1_000,
) -> Invocation:
    """Calls a contract's function from `source`, who pays and authorises it, and waits until it is applied.

    Raises TransactionFailed, which names the contract that said no, when the simulation or the network does.
    """

    def append(builder: TransactionBuilder) -> None:
        builder.append_invoke_contract_function_op(contract_id, function, args)

    return await apply_host_function(
        rpc,
        passphrase,
        source,
        append,
        what=function,
        called=called or Called(_core.contract_to_bytes(contract_id)),
        inclusion_fee_stroops=inclusion_fee_stroops,
    )


async def apply_host_function(
    rpc: RpcClient,
    passphrase: str,
    source: Keypair,
    append: Callable[[TransactionBuilder], object],
    *,
    what: str,
    called: Called = NOBODY,
    inclusion_fee_stroops: int = 1_000,
) -> Invocation:
    """Simulates, signs and applies the one host function that `append` gives the builder: upload, create or invoke.

    Raises TransactionFailed, as `invoke` does.
    """
    state = await source_account(rpc, source)
    account = Account(source.public_key, state.sequence)
    builder = TransactionBuilder(account, passphrase, base_fee=inclusion_fee_stroops)
    append(builder)
    envelope = builder.add_time_bounds(0, await max_time_s(rpc)).build()
    simulation = await rpc.simulate(envelope.to_xdr())
    if simulation.error:
        raise await called.refusal(what, simulation.error, simulation.events)
    fee_stroops = inclusion_fee_stroops + simulation.min_resource_fee_stroops
    if fee_stroops > _FEE_MAX_STROOPS:
        raise TransactionFailed(f"{what} would cost {fee_stroops} stroops, more than a transaction can pay")
    (operation,) = envelope.transaction.operations
    if not isinstance(operation, InvokeHostFunction):
        raise TypeError("a transaction that is simulated has one host function")
    operation.auth = [stellar_xdr.SorobanAuthorizationEntry.from_xdr(entry) for entry in simulation.auth]
    envelope.transaction.soroban_data = stellar_xdr.SorobanTransactionData.from_xdr(
        simulation.transaction_data
    )
    envelope.transaction.fee = fee_stroops
    envelope.sign(source)
    lookup = await submit_and_wait(rpc, envelope, what=what, called=called)
    tx_hash = envelope.hash_hex()
    return Invocation(tx_hash, lookup.ledger or 0, _return_value(await result_meta(rpc, tx_hash)))


async def submit_and_wait(
    rpc: RpcClient,
    envelope: TransactionEnvelope,
    *,
    what: str = "the transaction",
    called: Called = NOBODY,
) -> Lookup:
    """Sends a signed envelope with a time bound and waits until it is applied.

    Raises TransactionFailed when it was refused, failed, or can no longer be applied, and UnreachableError when the RPC
    stays silent; then it may still land until its time bound.
    """
    bounds = envelope.transaction.preconditions and envelope.transaction.preconditions.time_bounds
    if not bounds or not bounds.max_time:
        raise ValueError("an envelope without a time bound could land at any time")
    encoded, tx_hash = envelope.to_xdr(), envelope.hash_hex()
    clock = SystemClock()
    deadline = clock.monotonic() + _WAIT_S
    pause_s = _POLL_S
    receipt = await send(rpc, encoded)
    unanswered = expired = False
    problem: Exception | None = None
    while clock.monotonic() < deadline:
        unanswered = unanswered or receipt.kind is Sent.UNKNOWN
        try:
            lookup = await rpc.get_transaction(tx_hash)
            if lookup.status == "SUCCESS":
                return lookup
            if lookup.status == "FAILED":
                raise await called.failure(what, lookup)
            if _is_refused(receipt) and not unanswered:
                code = receipt.detail.partition("/")[0]
                raise TransactionFailed(f"{what} was refused: {receipt.detail}", code)
            if expired:
                raise TransactionFailed(
                    f"{what} was not applied within {VALID_S} s and no longer can be", "txTOO_LATE"
                )
            # Ledgers may have closed since the lookup, so it is asked once more before it is believed.
            expired = (await rpc.get_health()).close_time_s > bounds.max_time
            problem = None
        except (UnreachableError, RpcError, DecodeError) as error:
            problem = error
        if not expired or problem is not None:
            await asyncio.sleep(pause_s)
            pause_s = min(_POLL_MAX_S, pause_s * 1.5)
            if receipt.kind in (Sent.UNKNOWN, Sent.TRY_LATER):
                receipt = await send(rpc, encoded)
    if problem is not None:
        raise problem
    raise TransactionFailed(
        f"{what} was not applied within {_WAIT_S:.0f} s; the ledger seems to stand still. Transaction {tx_hash} "
        "may still be applied later"
    )


def _is_refused(receipt: Receipt) -> bool:
    """Whether the answer means that these bytes are on nobody's queue, provided that no copy was sent before: then
    that copy may be the reason for the refusal.
    """
    return receipt.kind is Sent.REFUSED or (
        receipt.kind is Sent.UNDECIDED and receipt.detail != "txTOO_EARLY"
    )


def _return_value(meta_xdr: str) -> stellar_xdr.SCVal:
    meta = stellar_xdr.TransactionMeta.from_xdr(meta_xdr)
    for version in (meta.v4, meta.v3):
        soroban = None if version is None else version.soroban_meta
        if soroban is not None and soroban.return_value is not None:
            return soroban.return_value
    return stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_VOID)


def host_reason(text: str) -> str:
    """The host's reason, without what wraps it and the event log that follows it."""
    reason = text.split("Event log", 1)[0].split("DebugInfo", 1)[0].rpartition("Caused by:")[2]
    return " ".join(reason.split())[:400]
