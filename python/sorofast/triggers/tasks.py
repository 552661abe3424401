"""A registry's tasks of one shard: the table of rows, the index of when they are due, and which of them are gated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.suspects import Suspects
from sorofast.executions.call import Call
from sorofast.executions.key import TASKS, Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.failpoints import failpoint_sync
from sorofast.reasons import code_of
from sorofast.registry.row import ROW_STRUCT, Row, pack_ids, rows_of
from sorofast.triggers.archived import ArchivedTasks
from sorofast.triggers.base import Due
from sorofast.triggers.dependencies import KEYS_PER_READ, Dependencies, ReadTasks
from sorofast.triggers.rereading import ListIds, Rereading

__all__ = ["ASK_AGAIN_LEDGERS", "TaskSource"]

NOT_DUE = code_of("not_due")
GAS_BELOW_FEE = code_of("gas_below_fee")
DOUBTFUL = frozenset(
    map(code_of, ("gas_below_fee", "registry_refused", "resolver_says_no", "simulation_failed"))
)
# A fee may fall, and one that was heard once may never have been asked: of the tasks that cannot pay the fee of their
# call one is simulated again after so many ledgers, of one call a ledger.
ASK_AGAIN_LEDGERS = 32
# A task that simply waits for its next run is not one that was passed over before.
FRESH = frozenset({code_of("none"), NOT_DUE})


@dataclass(slots=True)
class _Poor:
    """The tasks of one call that could not pay the fee it was known to ask, and since when none was simulated; 0 before
    a ledger says.
    """

    fee: int
    asked_ledger: int = 0
    tasks: set[int] = field(default_factory=set)


class TaskSource:
    """Satisfies `TriggerSource` for the tasks of `shard`, out of `shards`. `call` runs one; its hole takes the task's
    id.

    A task whose last run cost a fee for nothing is *gated*: it is sent only after a simulation saw it run. One whose
    entry is archived is too, and by itself, since its run restores the entry.
    """

    name = TASKS

    def __init__(
        self,
        table: _core.TaskTable,
        call: Call,
        shard: int,
        shards: int,
        *,
        read: ReadTasks,
        list_ids: ListIds | None = None,
        ledger: int = 0,
        fee_of: Callable[[int], int] = lambda _: 0,
        suspects: Suspects | None = None,
        skipped: Callable[[Execution, str, str], None] = lambda *_: None,
    ) -> None:
        """`read` reads tasks from the chain, `list_ids` which ids were given out, for the sweep. The table is of
        `ledger`. `fee_of` says what a run of a call takes from its task's gas (0: nobody knows). `suspects` are told
        what is in hand, and say what is not to be handled; `skipped`, what cannot run and for which reason.
        """
        self.table = table
        self._call = call
        self._fee_of = fee_of
        self._read = read
        self._suspects = suspects or Suspects()
        self._out: frozenset[int | str] = frozenset()
        self._skipped = skipped
        self._shard = shard
        self._shards = shards
        self._gated: set[int] = set()
        self._poor: dict[int, _Poor] = {}
        # Tasks that look too poor, and are to be simulated all the same.
        self._on_trial: set[int] = set()
        # Tasks that were found to be gone since the last ledger, which did not tell.
        self._found_gone: list[int] = []
        self._dependencies = Dependencies(table, read)
        self._archived = ArchivedTasks(table, ledger)
        self._rereading = Rereading(shard, shards, read, list_ids)

    def __len__(self) -> int:
        return len(self.table)

    async def look(self, ledger: int) -> None:
        self._revive()
        self._archived.look()
        self._try_one(ledger)
        out = self._suspects.quarantined_of(TASKS)
        back = [int(task_id) for task_id in self._out - out][:KEYS_PER_READ]
        if back:
            # What ledgers told of them meanwhile was not taken in.
            rows = (await self._read(pack_ids(back), ledger)).rows
            self._apply(rows)
            self._find_gone(set(back) - {row.task_id for row in rows_of(rows)})
        self._out = (self._out | out).difference(back)
        await self._dependencies.look(ledger)
        parts, gone = await self._rereading.look(ledger, self._should_be_there)
        for part in parts:
            self._apply(part)
            self._archived.found(rows_of(part))
        self._find_gone(gone)

    def _should_be_there(self, task_id: int) -> bool:
        """Whether an answer without it is strange: an archived entry may be left out, and some are not asked for."""
        row = self._row(task_id)
        there = row is not None and not self._archived.ended(row)
        return there and not self._suspects.quarantined((TASKS, task_id))

    def due(self, until_s: int, limit: int) -> list[Due]:
        rows = [(row, True) for row in self._archived.take(limit)]
        for row in rows_of(self.table.pop_due(until_s, limit - len(rows))):
            if self._archived.ended(row):
                rows.append((row, True))
            elif self._archived.lasts(row):
                rows.append((row, False))
            else:
                self._archived.wait_for_end(row.task_id)
        dues = [self._due(row, archived=archived) for row, archived in rows if self._can_pay(row)]
        return sorted(dues, key=lambda due: due.due_s)

    def next_due_s(self) -> int | None:
        return self.table.next_due()

    def still_due(self, due: Due) -> bool:
        return self._in_window(due.execution) is not None

    def started(self, execution: Execution) -> None:
        self.table.hold(_task(execution))

    def park(self, due: Due, reason: int) -> None:
        self._doubt(due.execution, reason)
        self.table.park(_task(due.execution), reason)

    def wait(self, execution: Execution, at_s: int, reason: int) -> None:
        self._doubt(execution, reason)
        row = self._row(_task(execution))
        if row is None:
            return
        if row.last_run_s == execution.window:
            self._schedule(row.task_id, at_s, reason)
        else:
            self._schedule(row.task_id, 0, NOT_DUE)

    def give_up(self, execution: Execution, reason: int) -> bool:
        self._doubt(execution, reason)
        row = self._in_window(execution)
        if row is None:
            return False
        if reason == GAS_BELOW_FEE:
            self._note_poor(row)
        return self.table.park(row.task_id, reason)

    def effect(self, record: WalRecord, at_s: int | None, meta: str | None) -> Outcome | None:
        """By the task's last run. Several ledgers may close in a second, and a rival's run may be in the same one, so
        the same second alone proves our run only where nobody can be asked for the transaction's own changes.
        """
        task_id = _task(record.key)
        if meta is not None:
            # The library is large, and most workers never meet a run that no event proved.
            from sorofast.registry.meta import changes_last_run

            ours = changes_last_run(meta, record.operation.contract, task_id)
            if ours:
                return Outcome.EXECUTED
            if ours is None:
                meta = None
        row = self._row(task_id)
        if row is None:
            return None
        if row.last_run_s == record.window:
            return Outcome.NO_EFFECT
        if at_s is None:
            return None
        return Outcome.EXECUTED if meta is None and row.last_run_s == at_s else Outcome.SUPERSEDED

    def outcome(self, case: Ended) -> Outcome:
        """Tells a lost race from a resolver that said no: there the task has gone on to another window."""
        if case.outcome is Outcome.NO_EFFECT and self._in_window(case.record.key) is None:
            return Outcome.SUPERSEDED
        return case.outcome

    def ended(self, case: Ended) -> None:
        """Moves an executed task on to its next window, even if its entry was not among the ledger's rows."""
        task_id = _task(case.record.key)
        if case.outcome in (Outcome.EXECUTED, Outcome.SUPERSEDED):
            self._gated.discard(task_id)
        elif case.outcome in (Outcome.NO_EFFECT, Outcome.FAILED) and not case.early:
            self._gated.add(task_id)
        if case.outcome is not Outcome.EXECUTED:
            return
        row, included = self._in_window(case.record.key), case.included
        # A node that does not know when the ledger closed: then the row is moved on when it is read.
        if row is not None and included is not None and included[1]:
            ledger, time_s = included
            # It was live in that ledger, if only because the run restored it.
            moved = row._replace(
                last_run_s=time_s,
                snapshot_ledger=max(row.snapshot_ledger, ledger),
                live_until_ledger=max(row.live_until_ledger, row.snapshot_ledger, ledger),
            )
            self.table.apply(moved.pack(), self._shard, self._shards)
        row = self._row(task_id)
        if row is not None and row.last_run_s != case.record.window:
            self._schedule(task_id, 0, NOT_DUE)

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        self._apply(entry.rows)
        self._dependencies.ingest(entry)
        self._archived.ingest(entry)
        self._forget(entry.removed)
        found, self._found_gone = self._found_gone, []
        return [(TASKS, task_id) for task_id in (*entry.removed, *found) if self._row(task_id) is None]

    def reasons(self) -> Mapping[int, int]:
        return self.table.reason_counts()

    def snapshot(self) -> bytes:
        return self.table.snapshot()

    def _apply(self, rows: bytes) -> None:
        """Takes rows into the table, but for those of tasks that are not handled."""
        subjects = [(TASKS, row.task_id) for row in rows_of(rows)]
        at = 0
        for part in self._suspects.parts(subjects, lambda subject: subject):
            packed = rows[at * ROW_STRUCT.size : (at + len(part)) * ROW_STRUCT.size]
            at += len(part)
            if self._suspects.quarantined(part[0]):
                continue
            with self._suspects.hold(part):
                failpoint_sync("ingest.rows", task=(task_id for _, task_id in part))
                self.table.apply(packed, self._shard, self._shards)

    def _can_pay(self, row: Row) -> bool:
        """Puts aside a task whose gas is below what its call was seen to take; a deposit brings it back."""
        fee = self._fee_of(row.shape)
        if row.gas_stroops >= fee or row.task_id in self._on_trial:
            self._on_trial.discard(row.task_id)
            return True
        self.table.park(row.task_id, GAS_BELOW_FEE)
        self._note_poor(row)
        self._skipped(
            Execution(TASKS, row.task_id, row.last_run_s),
            "gas_below_fee",
            f"gas below the fee ({fee}): {row.gas_stroops} is left; "
            f"deposit gas with `sorofast tasks deposit {row.task_id} AMOUNT`",
        )
        return False

    def _note_poor(self, row: Row) -> None:
        poor = self._poor.setdefault(row.shape, _Poor(self._fee_of(row.shape)))
        poor.tasks.add(row.task_id)

    def _revive(self) -> None:
        """Looks again at tasks that could not pay when another fee is known than the one they were held against."""
        changed = [shape for shape, poor in self._poor.items() if poor.fee != self._fee_of(shape)]
        for shape in changed:
            for task_id in self._poor.pop(shape).tasks:
                if self._is_poor(task_id, shape):
                    self._schedule(task_id, 0, NOT_DUE)

    def _try_one(self, ledger: int) -> None:
        """Lets one task that could not pay be simulated, of the call that was asked about longest ago."""
        for poor in self._poor.values():
            poor.asked_ledger = poor.asked_ledger or ledger
        if not self._poor:
            return
        shape, poor = min(self._poor.items(), key=lambda item: item[1].asked_ledger)
        if ledger - poor.asked_ledger < ASK_AGAIN_LEDGERS:
            return
        poor.asked_ledger = ledger
        while poor.tasks:
            task_id = poor.tasks.pop()
            if self._is_poor(task_id, shape):
                self._on_trial.add(task_id)
                self._gated.add(task_id)
                self._schedule(task_id, 0, NOT_DUE)
                return
        del self._poor[shape]

    def _is_poor(self, task_id: int, shape: int) -> bool:
        """Whether it is the same task as when it could not pay, and nothing of it has changed since."""
        row = self._row(task_id)
        return row is not None and row.shape == shape and row.reason == GAS_BELOW_FEE

    def _find_gone(self, task_ids: Iterable[int]) -> None:
        """Forgets those, and tells of them with the next ledger."""
        gone = list(task_ids)
        self._forget(gone)
        self._found_gone += gone

    def _forget(self, task_ids: Iterable[int]) -> None:
        gone = list(task_ids)
        if gone:
            self.table.remove(pack_ids(gone))
            self._gated.difference_update(gone)
            self._on_trial.difference_update(gone)
            self._dependencies.forget(gone)
            self._rereading.forget(gone)

    def _doubt(self, execution: Execution, reason: int) -> None:
        """What the chain said of a run may be because it is not, any more, as the task's row says."""
        if reason in DOUBTFUL:
            self._rereading.doubt(_task(execution))

    def _due(self, row: Row, *, archived: bool) -> Due:
        return Due(
            execution=Execution(TASKS, row.task_id, row.last_run_s),
            due_s=row.due_s,
            call=self._call,
            template=row.shape,
            values=(row.task_id,),
            gated=archived or row.task_id in self._gated,
            alone=archived,
            fresh=row.reason in FRESH,
            # What is called, with which arguments, stands in the task's entry.
            shares=True,
        )

    def _schedule(self, task_id: int, at_s: int, reason: int) -> None:
        if not self.table.schedule(task_id, at_s, reason):
            self._archived.note(task_id, at_s)

    def _row(self, task_id: int) -> Row | None:
        packed = self.table.get(task_id)
        return None if packed is None else next(rows_of(packed))

    def _in_window(self, execution: Execution) -> Row | None:
        """The task's row if its window is still the execution's."""
        row = self._row(_task(execution))
        return row if row is not None and row.last_run_s == execution.window else None


def _task(execution: Execution) -> int:
    return int(execution.id)
