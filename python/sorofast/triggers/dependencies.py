"""Which tasks of a shard wait for others, and which of those have not run yet, or are gone.

The contract runs a task once every task in its `blocked_by` exists and has run. Those may be of any shard, so they are
read from the chain once, and from then on the ledger stream, which names every task that ran and every one that was
cancelled, tells whether they have. One that is cancelled blocks those that wait for it, also if it had run: to send
them would cost a fee each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.registry.row import pack_ids, rows_of

__all__ = ["KEYS_PER_READ", "Dependencies", "ReadTasks"]

READS_MAX = 8
"""Calls in one ledger, so that a registry full of tasks that wait is read in bounded pieces."""

KEYS_PER_READ = 200

ReadTasks = Callable[[bytes, int], Awaitable[_core.EntriesBatch]]
"""Reads packed task ids, at most 200, no older than a ledger. Raises what the network may raise."""


@dataclass(slots=True)
class _Waits:
    """What a task of that shape, which tells other dependencies apart, waits for: all of it, and what has not run yet
    or is gone.
    """

    shape: int
    others: frozenset[int]
    unrun: set[int]


class Dependencies:
    """Lifts the block of a table's tasks when what they wait for has run, and puts it back when that is cancelled."""

    def __init__(self, table: _core.TaskTable, read: ReadTasks) -> None:
        self._table = table
        self._read = read
        self._waits: dict[int, _Waits] = {}
        self._waiting_for: dict[int, set[int]] = {}
        # What ledgers have shown while something is read, which may be of before them: what ran, and what is gone.
        self._meanwhile: list[tuple[Collection[int], Collection[int]]] | None = None

    def __len__(self) -> int:
        """How many tasks are known to wait for something that has not run."""
        return sum(bool(waits.unrun) for waits in self._waits.values())

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes which tasks a closed ledger shows to have run, or to be gone."""
        ran = {task_id for task_id, *_ in entry.successes}
        ran.update(row.task_id for row in rows_of(entry.rows) if row.last_run_s > 0)
        self._apply(ran, entry.removed)
        if self._meanwhile is not None:
            self._meanwhile.append((ran, entry.removed))

    def forget(self, task_ids: Iterable[int]) -> None:
        """Those tasks are gone."""
        for task_id in task_ids:
            self._drop(task_id)

    async def look(self, taken_ledger: int) -> None:
        """Reads what the tasks wait for that nobody has looked at yet. `taken_ledger` is the newest ledger ingested."""
        meanwhile: list[tuple[Collection[int], Collection[int]]] = []
        self._meanwhile = meanwhile
        try:
            await self._look(taken_ledger, meanwhile)
        finally:
            self._meanwhile = None

    async def _look(
        self, taken_ledger: int, meanwhile: Collection[tuple[Collection[int], Collection[int]]]
    ) -> None:
        fresh = self._unknown()
        for start in range(0, min(len(fresh), READS_MAX * KEYS_PER_READ), KEYS_PER_READ):
            part = fresh[start : start + KEYS_PER_READ]
            batch = await self._read(pack_ids(part), taken_ledger)
            shapes = {row.task_id: row.shape for row in rows_of(batch.rows)}
            waits = {task: set(others) for task, others in batch.dependencies if task in shapes}
            others = sorted(set().union(*waits.values()))
            ran: set[int] = set()
            for at in range(0, len(others), KEYS_PER_READ):
                found = await self._read(pack_ids(others[at : at + KEYS_PER_READ]), taken_ledger)
                ran.update(row.task_id for row in rows_of(found.rows) if row.last_run_s > 0)
            for task, of_task in waits.items():
                self._wait(task, shapes[task], of_task)
            self._have_run(ran)
            for ran_since, gone_since in meanwhile:
                self._apply(ran_since, gone_since)

    def _unknown(self) -> list[int]:
        """The blocked tasks whose dependencies are not known, or are others by now."""
        fresh = []
        packed = self._table.blocked()
        for at in range(0, len(packed), 8):
            task_id = int.from_bytes(packed[at : at + 8], "little")
            known = self._waits.get(task_id)
            row = self._table.get(task_id)
            changed = row is not None and known is not None and next(rows_of(row)).shape != known.shape
            # One that waits for nothing that is known had other dependencies in between, or none.
            if known is None or changed or not known.unrun:
                self._drop(task_id)
                fresh.append(task_id)
        return fresh

    def _wait(self, task_id: int, shape: int, others: set[int]) -> None:
        if not others:
            return
        self._waits[task_id] = _Waits(shape, frozenset(others), set(others))
        for other in others:
            self._waiting_for.setdefault(other, set()).add(task_id)

    def _apply(self, ran: Iterable[int], gone: Iterable[int]) -> None:
        self._have_run(ran)
        self._are_gone(gone)

    def _have_run(self, task_ids: Iterable[int]) -> None:
        for task_id in self._waiting_for.keys() & set(task_ids):
            for waiting in self._waiting_for[task_id]:
                unrun = self._waits[waiting].unrun
                if task_id in unrun:
                    unrun.discard(task_id)
                    if not unrun:
                        self._table.set_unblocked(waiting, True)

    def _are_gone(self, task_ids: Iterable[int]) -> None:
        for task_id in self._waiting_for.keys() & set(task_ids):
            for waiting in self._waiting_for[task_id]:
                self._waits[waiting].unrun.add(task_id)
                self._table.set_unblocked(waiting, False)

    def _drop(self, task_id: int) -> None:
        waits = self._waits.pop(task_id, None)
        for other in waits.others if waits is not None else ():
            waiting = self._waiting_for.get(other, set())
            waiting.discard(task_id)
            if not waiting:
                self._waiting_for.pop(other, None)
