"""Which tasks of a shard are archived, and which of those can run all the same: their run restores them.

An archived entry cannot be read or written by a transaction that does not name it, so a run of its task fails unless
its own simulation saw what has to be restored. The table keeps such tasks out of its index; here they wait for their
turn. Others may restore a task too, and no event tells of it: what a simulation sees of it is what counts.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.reasons import code_of
from sorofast.registry.row import Flag, Row, rows_of

__all__ = ["ArchivedTasks"]

LOOKED_AT_MAX = 1_000
"""How many are looked at per ledger; they take turns when there are more."""
READY_MAX = 128
LANDS_WITHIN = 2
"""Ledgers after the last closed one in which a run that is sent now lands, as a rule."""

ARCHIVED, NOT_DUE, WAITING = map(code_of, ("archived", "not_due", "waiting_for_ledger"))
OURS = frozenset({ARCHIVED, WAITING})
NEEDED = Flag.ACTIVE | Flag.KEEPER_ALLOWED


class ArchivedTasks:
    """Those of `table`, which is of `ledger` at first. A task that somebody works on is not among them."""

    def __init__(self, table: _core.TaskTable, ledger: int) -> None:
        self._table = table
        self._ledger = ledger
        self._close_s = 0
        # By task: the second before which it is not tried.
        self._waiting: OrderedDict[int, int] = OrderedDict()
        self._ready: deque[tuple[int, int]] = deque()
        if table.reason_counts().get(ARCHIVED):
            for row in rows_of(table.rows()):
                self.note(row.task_id)

    def ended(self, row: Row) -> bool:
        """Whether its entry's life is over, so that a run has to restore it."""
        return row.live_until_ledger < max(self._ledger, row.snapshot_ledger)

    def lasts(self, row: Row) -> bool:
        """Whether its entry will be live when a run that is sent now lands."""
        return row.live_until_ledger >= self._ledger + LANDS_WITHIN

    def note(self, task_id: int, at_s: int = 0) -> None:
        """The table may have parked it as archived; then it is tried again at that second at the earliest."""
        row = self._row(task_id)
        if row is not None and row.reason == ARCHIVED:
            self._waiting[task_id] = at_s

    def wait_for_end(self, task_id: int) -> None:
        """Its entry ends before a run would land, and cannot be restored before that."""
        self._table.park(task_id, WAITING)
        self._waiting[task_id] = 0

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes a closed ledger, after the table has."""
        if entry.ledger > self._ledger:
            self._ledger, self._close_s = entry.ledger, entry.close_time_s
        for row in rows_of(entry.rows):
            if row.live_until_ledger < row.snapshot_ledger:
                self.note(row.task_id)

    def found(self, rows: Iterable[Row]) -> None:
        """Takes rows that were read besides, after the table has; those that wait here already go on waiting."""
        for row in rows:
            if row.live_until_ledger < row.snapshot_ledger and row.task_id not in self._waiting:
                self.note(row.task_id)

    def look(self) -> None:
        """Once per ledger: finds those that are due and could run if they were live."""
        for _ in range(min(len(self._waiting), LOOKED_AT_MAX)):
            task_id, at_s = self._waiting.popitem(last=False)
            row = self._row(task_id)
            # A row that cannot run for another reason comes back when it changes.
            if row is None or row.reason not in OURS or not _could_run(row):
                continue
            if self.lasts(row):
                self._table.schedule(task_id, at_s, NOT_DUE)
            elif self.ended(row) and max(at_s, row.due_s) <= self._close_s and len(self._ready) < READY_MAX:
                self._ready.append((task_id, at_s))
            else:
                self._waiting[task_id] = at_s

    def take(self, limit: int) -> list[Row]:
        """At most `limit` that are due, in the table's form of what is popped: held, with the reason they waited with.
        Whoever takes them brings them back by `TaskTable.schedule` and `note`.
        """
        taken: list[Row] = []
        while self._ready and len(taken) < limit:
            task_id, at_s = self._ready.popleft()
            row = self._row(task_id)
            if row is None or row.reason not in OURS or not self.ended(row):
                continue
            self._table.hold(task_id)
            # One that was not tried yet falls due now.
            taken.append(row if at_s else row._replace(reason=NOT_DUE))
        return taken

    def _row(self, task_id: int) -> Row | None:
        packed = self._table.get(task_id)
        return None if packed is None else next(rows_of(packed))


def _could_run(row: Row) -> bool:
    """As far as its own entry says; what it waits for, if for others, is the simulation's to see."""
    return (
        row.flags & NEEDED == NEEDED
        and row.interval_s > 0
        and row.next_due_s is not None
        and row.gas_stroops > 0
    )
