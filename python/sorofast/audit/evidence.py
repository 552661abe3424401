"""Gathers what an audit is made from, through the public interfaces of the network alone.

Tasks and events come by JSON-RPC through the public SDK, so that no decoder of the engine's can err in the
same way twice; what was applied comes from the sandbox's admin interface, the only place where transactions
without events show.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import aiohttp
from stellar_sdk import Account, Address, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.exceptions import BaseRequestError, SdkError
from stellar_sdk.soroban_rpc import EventFilter, EventFilterType, EventInfo
from stellar_sdk.soroban_server_async import SorobanServerAsync

from sorofast.audit.dependencies import DependencyChange
from sorofast.audit.history import ENVELOPE_LEDGERS, Applied, History, Ledger, Paid, TaskStart
from sorofast.audit.report import Report, Window, read, report, unrun
from sorofast.errors import DecodeError, UnreachableError
from sorofast.sandbox.client import AdminClient, AppliedTransaction

_KEYS_PER_REQUEST = 200
_EVENTS_PER_PAGE = 10_000
_SIMULATIONS_MAX = 500
# No contract of the family charges more for a run, so tasks with more gas than this all behave alike.
_FEE_MAX = 10_000
_FIELDS_OF_KIND = (
    "target", "function", "args", "resolver", "whitelist", "is_active", "blocked_by", "yield_strategy",
)  # fmt: skip
_DEPENDENCY_EVENTS = {"DependencyAdded", "DependencyRemoved"}


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task's entry as of `ledger`: its schedule, and its fields by name."""

    task_id: int
    ledger: int
    interval_s: int
    last_run_s: int
    fields: Mapping[str, stellar_xdr.SCVal]

    def kind(self) -> bytes:
        """Equal for tasks that differ in nothing but their schedule, their creator and how much more than
        enough gas they have: for those whose runs end alike.
        """
        values = [self.fields.get(name) for name in _FIELDS_OF_KIND]
        parts = [b"" if value is None else value.to_xdr_bytes() for value in values]
        gas = self.fields.get("gas_balance")
        parts.append(str(0 if gas is None else min(scval.from_int128(gas), _FEE_MAX)).encode())
        return b"".join(struct.pack(">I", len(part)) + part for part in parts)

    def start(self) -> TaskStart:
        """Where the audit of the task begins."""
        return TaskStart(
            self.interval_s, self.last_run_s, self.ledger, blocked_by=self._blocked_by(), kind=self.kind()
        )

    def _blocked_by(self) -> tuple[int, ...]:
        value = self.fields.get("blocked_by")
        ids = () if value is None or value.vec is None else value.vec.sc_vec
        return tuple(one.u64.uint64 for one in ids if one.u64 is not None)


@dataclass(frozen=True, slots=True)
class _Event:
    """One event of the registry that names a task."""

    name: str
    task_id: int
    ledger: int
    transaction: str
    value: stellar_xdr.SCVal


class Evidence:
    """Watches one registry from `begin()` to `report()`, for one keeper. An async context manager."""

    def __init__(self, admin: AdminClient, rpc_url: str, passphrase: str, registry: str, keeper: str) -> None:
        self._admin = admin
        self._rpc = SorobanServerAsync(rpc_url, AiohttpClient())
        self._passphrase = passphrase
        self._registry = registry
        self._keeper = keeper
        self._start: dict[int, TaskStart] = {}
        self._from_ledger = 0

    async def __aenter__(self) -> Evidence:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rpc.close()

    async def begin(self) -> int:
        """Read every task of the registry; the audit counts from here. Returns how many there are."""
        async with _answers():
            latest = (await self._rpc.get_latest_ledger()).sequence
        entries = await self._tasks(range(1, await self._counter() + 1))
        self._from_ledger = latest
        self._start = {entry.task_id: entry.start() for entry in entries.values()}
        return len(self._start)

    async def report(self, until_ledger: int, *, envelope_ledgers: int = ENVELOPE_LEDGERS) -> Report:
        """The counters since `begin()`; `until_ledger` is the last ledger in which the fleet was meant to
        work.

        Call it once nothing of the keeper's is in flight any more: what is applied later is not counted.
        """
        history = await self.history(until_ledger, envelope_ledgers=envelope_ledgers)
        reading = read(history)
        return report(history, reading, await self._not_executable(unrun(reading)))

    async def history(self, until_ledger: int, *, envelope_ledgers: int = ENVELOPE_LEDGERS) -> History:
        """What happened to the registry's tasks since `begin()`."""
        ledgers = [
            Ledger(one.sequence, one.close_time) for one in await self._admin.ledgers(self._from_ledger)
        ]
        end = ledgers[-1].sequence
        transactions = [
            transaction
            async for page in self._admin.transactions(self._from_ledger + 1)
            for transaction in page
            if transaction.ledger <= end
        ]
        events = [event for event in await self._events() if event.ledger <= end]
        known = {transaction.hash: transaction for transaction in transactions}
        paid: dict[str, list[Paid]] = {}
        tasks = dict(self._start)
        changes: list[DependencyChange] = []
        cancelled: dict[int, int] = {}
        for event in events:
            if event.transaction not in known:
                raise DecodeError(
                    f"an event of ledger {event.ledger} belongs to a transaction that was never applied"
                )
            if event.name == "KeeperPaid":
                paid.setdefault(event.transaction, []).append(_paid(event))
            elif event.name == "TaskRegistered" and event.task_id not in tasks:
                tasks[event.task_id] = _registered(event.task_id, known[event.transaction])
            elif event.name in _DEPENDENCY_EVENTS:
                changes.append(_dependency_change(event))
            elif event.name == "TaskCancelled":
                cancelled[event.task_id] = event.ledger
        return History(
            keeper=self._keeper,
            tasks=tasks,
            ledgers=ledgers,
            applied=list(self._applied(transactions, paid)),
            until_ledger=until_ledger,
            envelope_ledgers=envelope_ledgers,
            dependency_changes=changes,
            cancelled=cancelled,
        )

    def _applied(
        self, transactions: Iterable[AppliedTransaction], paid: Mapping[str, Sequence[Paid]]
    ) -> Iterator[Applied]:
        for one in transactions:
            ours = (
                one.operation_source == self._keeper
                and one.contract == self._registry
                and one.function == "execute"
            )
            if ours or one.hash in paid:
                yield Applied(
                    ledger=one.ledger,
                    order=one.order,
                    execute_of=_u64_argument(one, 1) if ours else None,
                    succeeded=one.status == "SUCCESS",
                    fee_stroops=one.fee_charged,
                    max_ledger=one.max_ledger,
                    paid=tuple(paid.get(one.hash, ())),
                )

    async def _counter(self) -> int:
        key = _data_key(self._registry, scval.to_vec([scval.to_symbol("Counter")]))
        async with _answers():
            answer = await self._rpc.get_ledger_entries([key])
        if not answer.entries:
            return 0
        data = stellar_xdr.LedgerEntryData.from_xdr(answer.entries[0].xdr).contract_data
        if data is None or data.val.u64 is None:
            raise DecodeError("the registry's Counter entry holds no number")
        return data.val.u64.uint64

    async def _tasks(self, task_ids: Sequence[int]) -> dict[int, TaskEntry]:
        """The entries of those tasks that exist."""
        tasks: dict[int, TaskEntry] = {}
        for start in range(0, len(task_ids), _KEYS_PER_REQUEST):
            keys = [
                task_key(self._registry, task_id) for task_id in task_ids[start : start + _KEYS_PER_REQUEST]
            ]
            async with _answers():
                answer = await self._rpc.get_ledger_entries(keys)
            for entry in answer.entries or []:
                task = decode_task(entry.xdr, answer.latest_ledger)
                tasks[task.task_id] = task
            await asyncio.sleep(0)
        return tasks

    async def _events(self) -> list[_Event]:
        only_ours = EventFilter(type=EventFilterType.CONTRACT, contractIds=[self._registry])
        events: list[_Event] = []
        cursor: str | None = None
        while True:
            async with _answers():
                page = await self._rpc.get_events(
                    start_ledger=self._from_ledger + 1 if cursor is None else None,
                    filters=[only_ours],
                    cursor=cursor,
                    limit=_EVENTS_PER_PAGE,
                )
            events += [event for raw in page.events if (event := _task_event(raw)) is not None]
            if len(page.events) < _EVENTS_PER_PAGE:
                return events
            cursor = page.cursor

    async def _not_executable(self, windows: Sequence[Window]) -> set[int]:
        """Of tasks whose last window had no run, those that cannot run: asked from the contract, by
        simulating `execute`.

        Tasks of one kind end alike, so one of each kind is asked. Beyond a bound on the questions a task
        counts as executable, which can only make the report worse.
        """
        entries = await self._tasks([window.task_id for window in windows])
        answers: dict[bytes, bool] = {}
        idle: set[int] = set()
        for window in windows:
            entry = entries.get(window.task_id)
            if entry is None:
                idle.add(window.task_id)
                continue
            if entry.last_run_s + entry.interval_s != window.due_s:
                continue  # it ran after the history's end, so it could
            kind = entry.kind()
            if kind not in answers and len(answers) < _SIMULATIONS_MAX:
                answers[kind] = await self._would_run(window.task_id)
            if not answers.get(kind, True):
                idle.add(window.task_id)
        return idle

    async def _would_run(self, task_id: int) -> bool:
        """Whether `execute` would write the task's entry now; a call that has nothing to do only reads it."""
        envelope = (
            TransactionBuilder(Account(self._keeper, 0), self._passphrase, base_fee=100)
            .append_invoke_contract_function_op(
                self._registry, "execute", [scval.to_address(self._keeper), scval.to_uint64(task_id)]
            )
            .set_timeout(0)
            .build()
        )
        async with _answers():
            answer = await self._rpc.simulate_transaction(envelope)
        if answer.error is not None or answer.transaction_data is None:
            return False
        footprint = stellar_xdr.SorobanTransactionData.from_xdr(answer.transaction_data).resources.footprint
        return task_key(self._registry, task_id) in footprint.read_write


def task_key(registry: str, task_id: int) -> stellar_xdr.LedgerKey:
    """The key of a task's entry."""
    return _data_key(registry, scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(task_id)]))


def decode_task(entry_xdr: str, ledger: int) -> TaskEntry:
    """A task's entry from its base64 LedgerEntryData; fields are found by name. DecodeError names what is
    wrong.
    """
    data = stellar_xdr.LedgerEntryData.from_xdr(entry_xdr).contract_data
    if data is None or data.key.vec is None or len(data.key.vec.sc_vec) != 2 or data.val.map is None:
        raise DecodeError("a task entry is not a map under Task(id)")
    task_id = data.key.vec.sc_vec[1].u64
    if task_id is None:
        raise DecodeError("a task entry's key holds no number")
    fields = _fields(data.val)
    interval_s, last_run_s = _schedule(fields)
    return TaskEntry(task_id.uint64, ledger, interval_s, last_run_s, fields)


def _fields(value: stellar_xdr.SCVal) -> dict[str, stellar_xdr.SCVal]:
    if value.map is None:
        raise DecodeError("a task configuration is not a map")
    return {
        entry.key.sym.sc_symbol.decode(): entry.val for entry in value.map.sc_map if entry.key.sym is not None
    }


def _schedule(fields: Mapping[str, stellar_xdr.SCVal]) -> tuple[int, int]:
    """`interval` and `last_run`, which some contracts keep as u32."""
    numbers: list[int] = []
    for name in ("interval", "last_run"):
        value = fields.get(name)
        if value is not None and value.u64 is not None:
            numbers.append(value.u64.uint64)
        elif value is not None and value.u32 is not None:
            numbers.append(value.u32.uint32)
        else:
            raise DecodeError(f"a task configuration has no number as its {name}")
    return numbers[0], numbers[1]


def _data_key(contract: str, key: stellar_xdr.SCVal) -> stellar_xdr.LedgerKey:
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            contract=_contract_address(contract),
            key=key,
            durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )


@cache
def _contract_address(contract: str) -> stellar_xdr.SCAddress:
    # One checksum for a registry, not one for each of its ten thousand keys.
    return Address(contract).to_xdr_sc_address()


def _task_event(raw: EventInfo) -> _Event | None:
    """The event if its last topic is a task id; None for any other."""
    topics = [stellar_xdr.SCVal.from_xdr(topic) for topic in raw.topic]
    if len(topics) < 2 or topics[0].sym is None or topics[-1].u64 is None:
        return None
    return _Event(
        name=topics[0].sym.sc_symbol.decode(),
        task_id=topics[-1].u64.uint64,
        ledger=raw.ledger,
        transaction=raw.transaction_hash,
        value=stellar_xdr.SCVal.from_xdr(raw.value),
    )


def _paid(event: _Event) -> Paid:
    if event.value.vec is None or len(event.value.vec.sc_vec) != 2:
        raise DecodeError(f"a KeeperPaid event in ledger {event.ledger} does not hold a keeper and a fee")
    keeper, fee = event.value.vec.sc_vec
    return Paid(event.task_id, scval.from_address(keeper).address, scval.from_int128(fee))


def _dependency_change(event: _Event) -> DependencyChange:
    if event.value.u64 is None:
        raise DecodeError(f"a {event.name} event in ledger {event.ledger} does not hold a task's id")
    added = event.name == "DependencyAdded"
    return DependencyChange(event.ledger, event.task_id, event.value.u64.uint64, added)


def _registered(task_id: int, transaction: AppliedTransaction) -> TaskStart:
    """Where a task begins that was registered on the way: with what its `register` call said."""
    if transaction.function != "register" or not transaction.args:
        raise DecodeError(
            f"a task was registered in ledger {transaction.ledger} by something else than register"
        )
    fields = _fields(stellar_xdr.SCVal.from_xdr(transaction.args[0]))
    interval_s, last_run_s = _schedule(fields)
    return TaskEntry(task_id, transaction.ledger, interval_s, last_run_s, fields).start()


def _u64_argument(transaction: AppliedTransaction, position: int) -> int:
    raw = base64.b64decode(transaction.args[position]) if position < len(transaction.args) else b""
    if len(raw) != 12 or not raw.startswith(b"\x00\x00\x00\x05"):
        raise DecodeError(
            f"argument {position} of {transaction.function} in ledger {transaction.ledger} is not a u64"
        )
    return int.from_bytes(raw[4:], "big")


@asynccontextmanager
async def _answers() -> AsyncIterator[None]:
    """Turns what the SDK raises into our own errors."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, BaseRequestError) as error:
        raise UnreachableError(f"the sandbox gave no answer: {str(error) or type(error).__name__}") from error
    except (SdkError, ValueError, struct.error) as error:
        raise DecodeError(f"an answer of the sandbox was not understood: {error}") from error
