"""What the tasks got, counted from the ledger alone: pure functions over what was applied. `evidence` gathers
the data.

Nothing here comes from an engine's own records, so a counter can contradict the engine it judges. The words:

- A *window* of a task is one `last_run` L of it; with interval I it is due at D = L + I.
- Its *first eligible ledger* e is the first one whose close time reaches D: whole seconds, by sequence, since
  consecutive ledgers may share a close time. A window that was overdue when the history (or the task) began
  counts from the next ledger. So does one whose task was blocked by others that had not run (`dependencies`): from
  the ledger after the one in which it became free. While it is blocked it has no window at all.
- A *run* is a `KeeperPaid` event in ledger r; it ends the window and is r − e ledgers late. Successful
  transactions alone prove nothing: `execute` succeeds without an event when there is nothing to do.
- *missed*: a window that was executable and had no run up to e + 10. Younger ones at the end of the history
  are *open*. The end is when the fleet was told to stop: what falls due while it drains is nobody's miss.
- *no effect*: an `execute` of ours that succeeded without a run. Where the task was due, its resolver said no
  (or another condition), and that is all. Where it was not yet due, the envelope was aimed either at the
  window that had already run (a *duplicate*: the work was done, the fee paid again) or at the next one
  (*early*). Both look alike on the ledger, so the envelope's own bound decides: valid for `envelope_ledgers`
  ledgers from the one it was built on, it was built on `max_ledger − envelope_ledgers`. A run after that
  ledger took the window it was aimed at: duplicate. A run before it was known to whoever built it: early. In
  the same ledger, or without a bound, the nearer end of the window decides (nearer to L: duplicate, nearer to
  D: early). Either way it counts against the engine, except where the run that took the window was another
  keeper's: then ours was *outrun*, which costs a fee and repeats nothing of ours.
- The first run of a task is of a *known shape* when a task of the same kind ran, by us, before that ledger e: then
  nothing about it had to be found out first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sorofast.audit.dependencies import Dependencies
from sorofast.audit.history import Applied, History, Ledger, Paid
from sorofast.errors import DecodeError

MISSED_AFTER_LEDGERS = 10


@dataclass(frozen=True, slots=True)
class Window:
    """One window that fell due: `ran` is the ledger of its run, None for none; `ours` whether our keeper ran
    it; `known_shape` whether a task of its kind had run before.
    """

    task_id: int
    due_s: int
    eligible: int
    ran: int | None
    ours: bool
    first: bool
    known_shape: bool = False


@dataclass(frozen=True, slots=True)
class NoEffect:
    """One successful `execute` of ours without a run, and what it was: `no_effect`, `duplicate`,
    `outrun` or `early`."""

    task_id: int
    ledger: int
    kind: str


@dataclass(slots=True)
class Reading:
    """A history read in order: its windows and our transactions without effect."""

    windows: list[Window] = field(default_factory=list)
    no_effect: list[NoEffect] = field(default_factory=list)
    failed: int = 0
    fees_stroops: int = 0


@dataclass(frozen=True, slots=True)
class Late:
    """Ledgers late of a set of runs. Percentiles are of the nearest rank; `zero_ratio` is the share that was
    on time.
    """

    count: int
    p50: int | None
    p99: int | None
    max: int | None
    zero_ratio: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The counters. `due` = executed + rivals + missed + open − executed_late: only a late run is counted
    twice.

    `executed_late`: runs of ours more than ten ledgers late, which are in `executed` and in `missed`.
    `rivals`: windows another keeper ran in time. `no_effect` includes duplicates, early ones and `outrun`: ours
    that came after another keeper's run of the same window.
    `fees_stroops` were charged for all our `execute` transactions, whatever became of them. `shapes` are the kinds of
    task there were.
    """

    tasks: int
    ledgers: int
    due: int
    executed: int
    open: int
    missed: int
    duplicates: int
    early: int
    no_effect: int
    failed: int
    executed_late: int
    rivals: int
    ledgers_late: dict[str, Late]
    fees_stroops: int
    outrun: int = 0
    shapes: int = 0


@dataclass(slots=True)
class _Task:
    interval_s: int
    last_run_s: int
    since: int
    ran_in: int | None = None
    ran_by_us: bool = False
    runs: int = 0
    kind: bytes | None = None


class _Clock:
    """Close times by ledger, and the first eligible ledger of a due time."""

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        if not ledgers:
            raise DecodeError("a history without ledgers")
        self.first = ledgers[0].sequence
        self._times = [ledger.close_time_s for ledger in ledgers]
        for position, ledger in enumerate(ledgers):
            if ledger.sequence != self.first + position:
                raise DecodeError(f"ledger {self.first + position} is missing from the history")
            if position and ledger.close_time_s < self._times[position - 1]:
                raise DecodeError(f"ledger {ledger.sequence} closed before the one before it")

    def close_time_s(self, ledger: int) -> int:
        position = ledger - self.first
        if not 0 <= position < len(self._times):
            raise DecodeError(f"a transaction is in ledger {ledger}, which the history does not have")
        return self._times[position]

    def eligible(self, due_s: int, since: int) -> int | None:
        """The first ledger after `since` that closes at or after `due_s`; None while there is none."""
        position = bisect_left(self._times, due_s, lo=max(0, since + 1 - self.first))
        return self.first + position if position < len(self._times) else None


def read(history: History) -> Reading:
    """Go through a history in apply order. DecodeError when it cannot have happened: then no counter means
    anything.
    """
    clock = _Clock(history.ledgers)
    tasks = {
        task_id: _Task(start.interval_s, start.last_run_s, start.ledger, kind=start.kind)
        for task_id, start in history.tasks.items()
    }
    runs = _Runs(history.keeper, tasks, clock, _dependencies(history))
    reading = Reading()
    place = (0, 0)
    for applied in history.applied:
        if (applied.ledger, applied.order) <= place:
            raise DecodeError(f"transaction {applied.order} of ledger {applied.ledger} is out of order")
        place = (applied.ledger, applied.order)
        if applied.paid and not applied.succeeded:
            raise DecodeError(f"a failed transaction in ledger {applied.ledger} has events")
        if applied.execute_of is not None:
            _read_ours(applied, applied.execute_of, tasks, clock, history.envelope_ledgers, reading)
        for paid in applied.paid:
            if (window := runs.take(applied.ledger, paid)) is not None:
                reading.windows.append(window)
    for task_id, task in tasks.items():
        due_s = task.last_run_s + task.interval_s
        free_since = runs.dependencies.free_since(task_id, history.until_ledger)
        if free_since is None:
            continue
        eligible = clock.eligible(due_s, max(task.since, free_since))
        if eligible is not None and eligible <= history.until_ledger:
            reading.windows.append(Window(task_id, due_s, eligible, None, False, task.runs == 0))
    return reading


def report(history: History, reading: Reading, not_executable: Iterable[int] = ()) -> Report:
    """The counters of a reading. Unrun windows of tasks in `not_executable` were never due to anybody: they
    are left out.
    """
    excused = frozenset(not_executable)
    windows = [
        window for window in reading.windows if window.ran is not None or window.task_id not in excused
    ]
    until = history.until_ledger
    missed = [window for window in windows if _is_missed(window, until)]
    ran = [
        (window, window.ran - window.eligible) for window in windows if window.ran is not None and window.ours
    ]
    kinds = [one.kind for one in reading.no_effect]
    return Report(
        tasks=len(history.tasks),
        ledgers=len(history.ledgers) - 1,
        due=len(windows),
        executed=len(ran),
        open=sum(window.ran is None and not _is_missed(window, until) for window in windows),
        missed=len(missed),
        duplicates=kinds.count("duplicate"),
        early=kinds.count("early"),
        outrun=kinds.count("outrun"),
        no_effect=len(kinds),
        failed=reading.failed,
        executed_late=sum(window.ran is not None and window.ours for window in missed),
        rivals=sum(
            window.ran is not None and not window.ours and not _is_missed(window, until) for window in windows
        ),
        ledgers_late={
            "all": lateness([late for _, late in ran]),
            "first_runs": lateness([late for window, late in ran if window.first]),
            "known_first_runs": lateness([late for window, late in ran if window.known_shape]),
            "recurring": lateness([late for window, late in ran if not window.first]),
        },
        fees_stroops=reading.fees_stroops,
        shapes=len({start.kind or task_id for task_id, start in history.tasks.items()}),
    )


def unrun(reading: Reading) -> list[Window]:
    """Windows at the end that fell due and had no run: those of which it must be known whether they could."""
    return [window for window in reading.windows if window.ran is None]


def lateness(late: Sequence[int]) -> Late:
    """Summary of ledgers late; None where there is nothing to summarise."""
    if not late:
        return Late(0, None, None, None, None)
    ordered = sorted(late)

    def rank(percent: int) -> int:
        return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]

    return Late(
        count=len(ordered),
        p50=rank(50),
        p99=rank(99),
        max=ordered[-1],
        zero_ratio=round(ordered.count(0) / len(ordered), 4),
    )


def _is_missed(window: Window, until_ledger: int) -> bool:
    deadline = window.eligible + MISSED_AFTER_LEDGERS
    return deadline <= until_ledger and (window.ran is None or window.ran > deadline)


def _read_ours(
    applied: Applied,
    task_id: int,
    tasks: Mapping[int, _Task],
    clock: _Clock,
    envelope_ledgers: int,
    reading: Reading,
) -> None:
    reading.fees_stroops += applied.fee_stroops
    if not applied.succeeded:
        reading.failed += 1
        return
    if any(paid.task_id == task_id for paid in applied.paid):
        return
    task = tasks.get(task_id)
    if task is None:
        raise DecodeError(f"task {task_id} was executed in ledger {applied.ledger}, before there was one")
    if applied.ledger <= task.since and task.runs == 0:
        return  # before the task's own beginning: the window it met is not known
    kind = classify_no_effect(
        at_s=clock.close_time_s(applied.ledger),
        last_run_s=task.last_run_s,
        interval_s=task.interval_s,
        ran_in=task.ran_in,
        built_on=None if applied.max_ledger is None else applied.max_ledger - envelope_ledgers,
    )
    if kind == "duplicate" and not task.ran_by_us:
        kind = "outrun"
    reading.no_effect.append(NoEffect(task_id, applied.ledger, kind))


def classify_no_effect(
    *, at_s: int, last_run_s: int, interval_s: int, ran_in: int | None, built_on: int | None
) -> str:
    """What a successful `execute` without a run was: `no_effect`, `duplicate` or `early` (see the top of this
    module).

    `ran_in`: ledger of the task's last run, None if it has not run in this history, and then there was
    nothing to repeat. `built_on`: the ledger the envelope was built on, None if it has no ledger bound.
    """
    if at_s >= last_run_s + interval_s:
        return "no_effect"
    if ran_in is None:
        return "early"
    if built_on is not None and built_on != ran_in:
        return "duplicate" if ran_in > built_on else "early"
    since_run_s = at_s - last_run_s
    return "duplicate" if since_run_s <= interval_s - since_run_s else "early"


class _Runs:
    """Takes runs in their order and tells which window each ended."""

    def __init__(
        self, keeper: str, tasks: Mapping[int, _Task], clock: _Clock, dependencies: Dependencies
    ) -> None:
        self.dependencies = dependencies
        self._keeper = keeper
        self._tasks = tasks
        self._clock = clock
        # Kind → the ledger in which we first ran one of it.
        self._known: dict[bytes, int] = {}

    def take(self, ledger: int, paid: Paid) -> Window | None:
        """The window that ended; None if it began before the history."""
        task, ours = self._tasks.get(paid.task_id), paid.keeper == self._keeper
        if task is None:
            raise DecodeError(f"task {paid.task_id} ran in ledger {ledger}, before there was one")
        if ledger <= task.since and task.runs == 0:
            return None  # the task's first `last_run` is the trace of this very run
        freed = self.dependencies.freed_for(paid.task_id, ledger)
        if freed is None:
            raise DecodeError(
                f"task {paid.task_id} ran in ledger {ledger}, before the tasks it waits for had run"
            )
        due_s = task.last_run_s + task.interval_s
        # Freed and run in one ledger is no earlier than it could be, although nobody could count on it.
        eligible = self._clock.eligible(due_s, max(task.since, min(freed, ledger - 1)))
        if eligible is None or ledger < eligible:
            raise DecodeError(f"task {paid.task_id} ran in ledger {ledger}, before it was due at {due_s}")
        first = task.runs == 0
        known = first and task.kind is not None and self._known.get(task.kind, eligible) < eligible
        if ours and task.kind is not None:
            self._known.setdefault(task.kind, ledger)
        task.runs += 1
        task.ran_in = ledger
        task.ran_by_us = ours
        # Same ledger again cannot be: the next window would have to be due at its own start.
        task.since = ledger
        task.last_run_s = self._clock.close_time_s(ledger)
        return Window(paid.task_id, due_s, eligible, ledger, ours, first, known_shape=known)


def _dependencies(history: History) -> Dependencies:
    ran: dict[int, int] = {}
    for applied in history.applied:
        for paid in applied.paid:
            ran.setdefault(paid.task_id, applied.ledger)
    first = history.ledgers[0].sequence
    for task_id, start in history.tasks.items():
        if start.last_run_s > 0:
            # One that was registered with a last run counts as having run from there.
            ran[task_id] = 0 if start.ledger <= first else start.ledger
    return Dependencies(
        {task_id: start.blocked_by for task_id, start in history.tasks.items()},
        ran,
        history.dependency_changes,
        history.cancelled,
    )
