"""What the oracle judges: the ledger's story and the bytes that were sent, and how they fit together.

Pure values. The words are those of an audit: a *window* of a task is one `last_run` of it; with interval I it
is due I seconds later, and a run ends it. A task is blocked until every task it waits for has run once, and
only counts as eligible from the ledger after that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from helpers.faults.sent_log import Sent


@dataclass(frozen=True, slots=True)
class Ledger:
    sequence: int
    close_time_s: int


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task as it stood when ledger `ledger` had closed."""

    task_id: int
    interval_s: int
    last_run_s: int
    ledger: int
    blocked_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Included:
    """An applied transaction that matters: what a channel carried for our keeper, or any in which tasks ran.

    `task_id` is None for somebody else's and for what is no `execute`. `ran` are (task id, whether our keeper was
    paid).
    """

    ledger: int
    order: int
    hash: str
    channel: str
    task_id: int | None
    succeeded: bool
    fee_stroops: int
    max_ledger: int | None = None
    ran: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    task_id: int
    ledger: int
    close_time_s: int
    ours: bool
    hash: str


@dataclass(frozen=True, slots=True)
class Window:
    """A window that fell due and whose task was not blocked; `ran` is None where no run ended it."""

    task_id: int
    last_run_s: int
    due_s: int
    eligible: int
    ran: Run | None


@dataclass
class History:
    """Everything since the ledger of `ledgers[0]`, in order. It only ever grows.

    `changes` are (ledger, task id) where something may have made a task executable that was not: a deposit,
    a dependency removed, a resolver that turned. Its window counts from there.
    """

    tasks: dict[int, TaskState]
    ledgers: list[Ledger]
    included: list[Included] = field(default_factory=list)
    sent: Sequence[Sent] = field(default_factory=list)
    changes: list[tuple[int, int]] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    envelope_ledgers: int = 5


class Timeline:
    """A history put in order by task and by channel."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._first = history.ledgers[0].sequence
        self._times = [ledger.close_time_s for ledger in history.ledgers]
        self.runs: dict[int, list[Run]] = {}
        for one in history.included:
            for task_id, ours in one.ran:
                run = Run(task_id, one.ledger, self.close_time_s(one.ledger), ours, one.hash)
                self.runs.setdefault(task_id, []).append(run)
        self.included_by_hash = {one.hash: one for one in history.included}
        self.sent_by_hash: dict[str, list[Sent]] = {}
        for entry in history.sent:
            self.sent_by_hash.setdefault(entry.hash, []).append(entry)
        self._consumed: dict[str, list[tuple[int, int]]] = {}
        """By channel: (ledger, sequence) of what consumed a sequence, for hashes that the log knows."""
        for one in history.included:
            known = self.sent_by_hash.get(one.hash)
            if known:
                self._consumed.setdefault(known[0].channel, []).append((one.ledger, known[0].sequence))

    def close_time_s(self, ledger: int) -> int:
        position = ledger - self._first
        if not 0 <= position < len(self._times):
            raise ValueError(f"the history has no ledger {ledger}")
        return self._times[position]

    def eligible(self, due_s: int, after: int) -> int | None:
        """The first ledger after `after` that closes at or after `due_s`; None while there is none."""
        position = bisect_left(self._times, due_s, lo=max(0, after + 1 - self._first))
        return self._first + position if position < len(self._times) else None

    def window_at(self, task_id: int, ledger: int) -> int | None:
        """The task's `last_run` once that ledger had closed; None for a task nobody knows."""
        state = self.history.tasks.get(task_id)
        if state is None:
            return None
        runs = self.runs.get(task_id, [])
        position = bisect_right([run.ledger for run in runs], ledger)
        return runs[position - 1].close_time_s if position else state.last_run_s

    def free_from(self, task_id: int) -> int | None:
        """The ledger after which the task is not blocked any more; None while it is."""
        latest = 0
        for dependency in self.history.tasks[task_id].blocked_by:
            state = self.history.tasks.get(dependency)
            if state is None or dependency in self.history.removed:
                return None
            if state.last_run_s > 0:
                continue
            runs = self.runs.get(dependency)
            if not runs:
                return None
            latest = max(latest, runs[0].ledger)
        return latest

    def windows(self) -> Iterator[Window]:
        """Every window that fell due, in order for each task."""
        changed: dict[int, list[int]] = {}
        for ledger, task_id in self.history.changes:
            changed.setdefault(task_id, []).append(ledger)
        for task_id, state in self.history.tasks.items():
            if task_id in self.history.removed:
                continue
            free_from = self.free_from(task_id)
            last_run_s, since = state.last_run_s, state.ledger
            for run in [*self.runs.get(task_id, []), None]:
                if run is not None and run.ledger <= state.ledger:
                    continue
                after = since
                if free_from is not None:
                    after = max(after, free_from)
                ends = run.ledger if run is not None else None
                for ledger in changed.get(task_id, []):
                    if ends is None or ledger < ends:
                        after = max(after, ledger)
                due_s = last_run_s + state.interval_s
                eligible = self.eligible(due_s, after)
                if eligible is not None and free_from is not None:
                    yield Window(task_id, last_run_s, due_s, eligible, run)
                if run is not None:
                    last_run_s, since = run.close_time_s, run.ledger

    def dead_before(self, one: Sent, other: Sent) -> str | None:
        """Why `one` could not land any more when `other` passed; None when it still could."""
        for ledger, sequence in self._consumed.get(one.channel, []):
            if sequence >= one.sequence and ledger <= other.latest_ledger:
                return f"its sequence was consumed in ledger {ledger}"
        if one.max_ledger is not None and other.latest_ledger >= one.max_ledger - 1:
            return f"ledger {one.max_ledger - 1} had closed without it"
        # Whatever a node answers, another one may have been given the bytes.
        return None

    def first_sends(self) -> list[Sent]:
        """The first passing of every different transaction, in order."""
        return sorted((sends[0] for sends in self.sent_by_hash.values()), key=lambda entry: entry.order)
