"""Reads the ledger for the oracle, piece by piece: the public SDK, and the sandbox's list of what was applied.

Nothing here knows an engine, its Redis or its records.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from stellar_sdk import Account, Address, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.exceptions import BaseRequestError, SdkError
from stellar_sdk.soroban_rpc import EventFilter, EventFilterType, EventInfo
from stellar_sdk.soroban_server_async import SorobanServerAsync

from helpers.faults.history import History, Included, Ledger, TaskState
from sorofast.audit.evidence import decode_task, task_key
from sorofast.errors import DecodeError, UnreachableError
from sorofast.sandbox.client import AdminClient, AppliedTransaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEYS_PER_REQUEST = 200
EVENTS_PER_PAGE = 10_000


class ChainReader:
    """One registry and one keeper on one network; `close()` it in the end."""

    def __init__(self, admin: AdminClient, rpc_url: str, passphrase: str, registry: str, keeper: str) -> None:
        self._admin = admin
        self._rpc = SorobanServerAsync(rpc_url, AiohttpClient())
        self._passphrase = passphrase
        self._registry = registry
        self._keeper = keeper

    async def close(self) -> None:
        await self._rpc.close()

    async def begin(self) -> History:
        """Every task as it stands now. Later ledgers come by `extend`."""
        async with _answers():
            latest = (await self._rpc.get_latest_ledger()).sequence
            counter = _counter_key(self._registry)
            answer = await self._rpc.get_ledger_entries([counter])
        count = 0
        if answer.entries:
            data = stellar_xdr.LedgerEntryData.from_xdr(answer.entries[0].xdr).contract_data
            count = data.val.u64.uint64 if data is not None and data.val.u64 is not None else 0
        tasks = await self.tasks(range(1, count + 1))
        ledgers = await self._admin.ledgers(latest)
        first = [Ledger(one.sequence, one.close_time) for one in ledgers[:1]]
        return History(tasks=tasks, ledgers=first)

    async def extend(self, history: History) -> bool:
        """Adds what has closed since; False when nothing has."""
        known = history.ledgers[-1].sequence
        closed = [one for one in await self._admin.ledgers(known + 1) if one.sequence > known]
        if not closed:
            return False
        end = closed[-1].sequence
        transactions = [
            transaction
            async for page in self._admin.transactions(known + 1)
            for transaction in page
            if known < transaction.ledger <= end
        ]
        events = [event for event in await self._events(known + 1, end) if known < event.ledger <= end]
        paid: dict[str, list[tuple[int, bool]]] = {}
        changes: list[tuple[int, int]] = []
        removed: set[int] = set()
        registered: set[int] = set()
        for event in events:
            topics = [stellar_xdr.SCVal.from_xdr(topic) for topic in event.topic]
            if len(topics) < 2 or topics[0].sym is None or topics[-1].u64 is None:
                continue
            name, task_id = topics[0].sym.sc_symbol.decode(), topics[-1].u64.uint64
            if name == "KeeperPaid":
                ours = _paid_to(event) == self._keeper
                paid.setdefault(event.transaction_hash, []).append((task_id, ours))
                continue
            changes.append((event.ledger, task_id))
            if name == "TaskCancelled":
                removed.add(task_id)
            elif name in {"TaskRegistered", "DependencyAdded", "DependencyRemoved"}:
                registered.add(task_id)
        # A dependency that came or went changes what the task waits for; its schedule stays that of the history.
        fresh = await self.tasks(sorted(registered))
        history.ledgers += [Ledger(one.sequence, one.close_time) for one in closed]
        history.included += [
            included for one in transactions if (included := self._included(one, paid)) is not None
        ]
        history.changes += changes
        history.removed |= removed
        for task_id, state in fresh.items():
            before = history.tasks.get(task_id)
            if before is None:
                history.tasks[task_id] = state
            else:
                history.tasks[task_id] = TaskState(
                    task_id, before.interval_s, before.last_run_s, before.ledger, state.blocked_by
                )
        return True

    async def tasks(self, task_ids: Iterable[int]) -> dict[int, TaskState]:
        """Those of the tasks that exist."""
        wanted = list(task_ids)
        found: dict[int, TaskState] = {}
        for at in range(0, len(wanted), KEYS_PER_REQUEST):
            keys = [task_key(self._registry, task_id) for task_id in wanted[at : at + KEYS_PER_REQUEST]]
            async with _answers():
                answer = await self._rpc.get_ledger_entries(keys)
            for entry in answer.entries or []:
                task = decode_task(entry.xdr, answer.latest_ledger)
                value = task.fields.get("blocked_by")
                waits_for = () if value is None or value.vec is None else value.vec.sc_vec
                found[task.task_id] = TaskState(
                    task_id=task.task_id,
                    interval_s=task.interval_s,
                    last_run_s=task.last_run_s,
                    ledger=answer.latest_ledger,
                    blocked_by=tuple(one.u64.uint64 for one in waits_for if one.u64 is not None),
                )
        return found

    async def idle(self, task_ids: Iterable[int]) -> set[int]:
        """Which of the tasks could not run now, as the contract says when `execute` is simulated."""
        return {task_id for task_id in task_ids if not await self._would_run(task_id)}

    async def _would_run(self, task_id: int) -> bool:
        """A call that has something to do writes the task's entry; one that has not only reads it."""
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

    def _included(self, one: AppliedTransaction, paid: dict[str, list[tuple[int, bool]]]) -> Included | None:
        ours = one.operation_source == self._keeper and one.source != self._keeper
        if not ours and one.hash not in paid:
            return None
        executes = ours and one.contract == self._registry and one.function == "execute"
        task_id = int.from_bytes(base64.b64decode(one.args[1])[4:], "big") if executes else None
        return Included(
            ledger=one.ledger,
            order=one.order,
            hash=one.hash,
            channel=one.source,
            task_id=task_id,
            succeeded=one.status == "SUCCESS",
            fee_stroops=one.fee_charged,
            max_ledger=one.max_ledger,
            ran=tuple(paid.get(one.hash, ())),
        )

    async def _events(self, first: int, last: int) -> list[EventInfo]:
        only_ours = EventFilter(type=EventFilterType.CONTRACT, contractIds=[self._registry])
        events: list[EventInfo] = []
        cursor: str | None = None
        while True:
            async with _answers():
                page = await self._rpc.get_events(
                    start_ledger=first if cursor is None else None,
                    filters=[only_ours],
                    cursor=cursor,
                    limit=EVENTS_PER_PAGE,
                )
            events += page.events
            if page.latest_ledger < last:
                raise UnreachableError(f"the events reach ledger {page.latest_ledger}, not {last}")
            if len(page.events) < EVENTS_PER_PAGE:
                return events
            cursor = page.cursor


def _paid_to(event: EventInfo) -> str:
    value = stellar_xdr.SCVal.from_xdr(event.value)
    if value.vec is None or len(value.vec.sc_vec) != 2:
        raise DecodeError(f"a KeeperPaid event in ledger {event.ledger} does not hold a keeper and a fee")
    return scval.from_address(value.vec.sc_vec[0]).address


def _counter_key(registry: str) -> stellar_xdr.LedgerKey:
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            contract=Address(registry).to_xdr_sc_address(),
            key=scval.to_vec([scval.to_symbol("Counter")]),
            durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )


@asynccontextmanager
async def _answers() -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, BaseRequestError, SdkError) as error:
        raise UnreachableError(f"the sandbox gave no answer: {str(error) or type(error).__name__}") from error
