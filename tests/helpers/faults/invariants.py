"""What must always hold, seen from the ledger and the log of bytes sent: pure functions from a history to violations.

Those of `always` may be asked after every ledger: what they find stays true. `nothing_missed` is for the end,
when it is known which of the tasks that did not run could have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from helpers.faults.history import Timeline, Window
from helpers.faults.sent_log import Sent
from sorofast.audit.report import classify_no_effect

PAID_FAILURES_MAX = 3
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be: `rule` is the invariant's name, `ledger` where it showed."""

    rule: str
    ledger: int
    what: str

    def __str__(self) -> str:
        return f"ledger {self.ledger}: {self.rule}: {self.what}"


@dataclass(slots=True)
class Verdicts:
    """Our included envelopes that did not run their task, by kind; and what was counted on the way."""

    executed: int = 0
    rivals: int = 0
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    early: list[tuple[int, int]] = field(default_factory=list)
    outrun: list[tuple[int, int]] = field(default_factory=list)
    no_effect: list[tuple[int, int]] = field(default_factory=list)
    failed: Counter[int] = field(default_factory=Counter)
    fees_stroops: int = 0


def always(timeline: Timeline, *, paid_failures_max: int = PAID_FAILURES_MAX) -> list[Violation]:
    """Every invariant that can be judged at any time."""
    rules: list[Callable[[Timeline], Iterable[Violation]]] = [
        at_most_one_run_per_window,
        every_included_envelope_was_logged,
        no_waste_of_our_own,
        one_live_envelope_per_execution,
        one_live_envelope_per_sequence,
        one_envelope_in_flight_per_channel,
    ]
    found = [violation for rule in rules for violation in rule(timeline)]
    found += few_paid_failures(timeline, paid_failures_max)
    found += few_runs_without_effect(timeline, paid_failures_max)
    return found


def at_most_one_run_per_window(timeline: Timeline) -> Iterator[Violation]:
    """At most one effective execution per (task, prior `last_run`)."""
    for task_id, runs in timeline.runs.items():
        state = timeline.history.tasks.get(task_id)
        if state is None:
            yield Violation("one run per window", runs[0].ledger, f"task {task_id} ran and nobody knows it")
            continue
        if runs[0].ledger > state.ledger and runs[0].close_time_s < state.last_run_s + state.interval_s:
            yield Violation(
                "one run per window",
                runs[0].ledger,
                f"task {task_id} ran before it was due for the first time",
            )
        for earlier, later in pairwise(runs):
            if later.close_time_s < earlier.close_time_s + state.interval_s:
                yield Violation(
                    "one run per window",
                    later.ledger,
                    f"task {task_id} ran again {later.close_time_s - earlier.close_time_s} s after its run in ledger "
                    f"{earlier.ledger}, of an interval of {state.interval_s} s",
                )


def every_included_envelope_was_logged(timeline: Timeline) -> Iterator[Violation]:
    """What the ledger has of ours has passed the proxy, and so is in the log."""
    for one in timeline.history.included:
        if one.task_id is not None and one.hash not in timeline.sent_by_hash:
            yield Violation(
                "logged before sent", one.ledger, f"{one.hash} of task {one.task_id} is in no log"
            )


def verdicts(timeline: Timeline) -> Verdicts:
    """What became of every included envelope of ours."""
    found = Verdicts()
    last: dict[int, tuple[int, bool]] = {}
    states = timeline.history.tasks
    for one in timeline.history.included:
        if one.task_id is not None:
            found.fees_stroops += one.fee_stroops
            ran = any(task_id == one.task_id for task_id, _ in one.ran)
            state = states.get(one.task_id)
            if not one.succeeded:
                found.failed[one.task_id] += 1
            elif not ran and state is not None and one.ledger > state.ledger:
                ran_in, by_us = last.get(one.task_id, (None, False))
                window = timeline.window_at(one.task_id, ran_in if ran_in is not None else state.ledger)
                bound = one.max_ledger
                kind = classify_no_effect(
                    at_s=timeline.close_time_s(one.ledger),
                    last_run_s=window or 0,
                    interval_s=state.interval_s,
                    ran_in=ran_in,
                    built_on=None if bound is None else bound - timeline.history.envelope_ledgers,
                )
                if kind == "duplicate" and not by_us:
                    kind = "outrun"
                kinds = {
                    "duplicate": found.duplicates,
                    "early": found.early,
                    "outrun": found.outrun,
                    "no_effect": found.no_effect,
                }
                kinds[kind].append((one.task_id, one.ledger))
        for task_id, ours in one.ran:
            found.executed += ours
            found.rivals += not ours
            last[task_id] = (one.ledger, ours)
    return found


def no_waste_of_our_own(timeline: Timeline) -> Iterator[Violation]:
    """No included envelope of ours is a no-op because another of ours won that window."""
    for task_id, ledger in verdicts(timeline).duplicates:
        yield Violation("no waste of our own", ledger, f"task {task_id} was paid for twice in one window")


def few_paid_failures(timeline: Timeline, at_most: int) -> Iterator[Violation]:
    """No task fails paid more often than that."""
    failed: Counter[int] = Counter()
    for one in timeline.history.included:
        if one.task_id is not None and not one.succeeded:
            failed[one.task_id] += 1
            if failed[one.task_id] == at_most + 1:
                yield Violation(
                    "few paid failures",
                    one.ledger,
                    f"task {one.task_id} failed paid more than {at_most} times",
                )


def few_runs_without_effect(timeline: Timeline, at_most: int) -> Iterator[Violation]:
    """No task is paid for without effect more often than that in a row on one UTC day."""
    in_a_row: Counter[tuple[int, int]] = Counter()
    for one in timeline.history.included:
        day = timeline.close_time_s(one.ledger) // DAY_S
        for task_id, _ in one.ran:
            in_a_row[task_id, day] = 0
        if one.task_id is None or not one.succeeded or any(ran == one.task_id for ran, _ in one.ran):
            continue
        in_a_row[one.task_id, day] += 1
        if in_a_row[one.task_id, day] == at_most + 1:
            yield Violation(
                "few runs without effect",
                one.ledger,
                f"task {one.task_id} was paid for without effect more than {at_most} times in a row",
            )


def one_live_envelope_per_execution(timeline: Timeline) -> Iterator[Violation]:
    """Envelopes for one (task, window) share channel and sequence unless the earlier ones are provably dead."""
    by_execution: dict[tuple[int, int], list[Sent]] = {}
    for entry in timeline.first_sends():
        if entry.task_id is None:
            continue
        window = timeline.window_at(entry.task_id, entry.latest_ledger)
        if window is None:
            continue
        for other in by_execution.setdefault((entry.task_id, window), []):
            same = (other.channel, other.sequence) == (entry.channel, entry.sequence)
            if same and _is_rebid(other, entry):
                continue
            if timeline.dead_before(other, entry) is None:
                yield Violation(
                    "one live envelope per execution",
                    entry.latest_ledger,
                    f"task {entry.task_id}: {_short(entry)} was sent while {_short(other)} could still land",
                )
        by_execution[entry.task_id, window].append(entry)


def one_live_envelope_per_sequence(timeline: Timeline) -> Iterator[Violation]:
    """No two different live envelopes share (channel, sequence), unless one is the other with another fee."""
    by_sequence: dict[tuple[str, int], list[Sent]] = {}
    for entry in timeline.first_sends():
        if not entry.channel:
            continue
        for other in by_sequence.setdefault((entry.channel, entry.sequence), []):
            if not _is_rebid(other, entry) and timeline.dead_before(other, entry) is None:
                yield Violation(
                    "one live envelope per sequence",
                    entry.latest_ledger,
                    f"{_short(entry)} of task {entry.task_id} was sent while {_short(other)} of task {other.task_id} "
                    "could still land",
                )
        by_sequence[entry.channel, entry.sequence].append(entry)


def one_envelope_in_flight_per_channel(timeline: Timeline) -> Iterator[Violation]:
    """A channel's next sequence is not used while the one before it may still land."""
    by_channel: dict[str, list[Sent]] = {}
    for entry in timeline.first_sends():
        if not entry.channel:
            continue
        for other in by_channel.setdefault(entry.channel, []):
            if other.sequence != entry.sequence and timeline.dead_before(other, entry) is None:
                yield Violation(
                    "one envelope in flight per channel",
                    entry.latest_ledger,
                    f"{_short(entry)} was sent while {_short(other)} could still land",
                )
        by_channel[entry.channel].append(entry)


def missed(
    timeline: Timeline, *, until: int, bound_ledgers: int, calm_from: int, idle: Container[int] = ()
) -> list[Window]:
    """Windows without a run within `bound_ledgers` of when they were eligible and faults had stopped.

    `idle` are tasks that could not run at the end for reasons of their own; only their last window is excused.
    """
    late = []
    for window in timeline.windows():
        deadline = max(window.eligible, calm_from) + bound_ledgers
        if window.ran is None and window.task_id in idle:
            continue
        if deadline <= until and (window.ran is None or window.ran.ledger > deadline):
            late.append(window)
    return late


def nothing_missed(
    timeline: Timeline, *, until: int, bound_ledgers: int, calm_from: int, idle: Container[int] = ()
) -> Iterator[Violation]:
    """Every enabled, executable, funded task whose dependencies have run runs within a bound once faults stop."""
    for window in missed(timeline, until=until, bound_ledgers=bound_ledgers, calm_from=calm_from, idle=idle):
        end = "did not run" if window.ran is None else f"ran in ledger {window.ran.ledger}"
        yield Violation(
            "nothing missed",
            max(window.eligible, calm_from) + bound_ledgers,
            f"task {window.task_id} was eligible in ledger {window.eligible} and {end}"
            + (f" (faults stopped in {calm_from})" if calm_from > window.eligible else ""),
        )


def _is_rebid(one: Sent, other: Sent) -> bool:
    """The same call on the same channel and sequence below the same bound, of which one lands at most, or a bump of the
    same inner transaction.
    """
    if one.inner_hash == other.inner_hash:
        return True
    same = (one.channel, one.sequence, one.contract, one.function, one.task_id) == (
        other.channel,
        other.sequence,
        other.contract,
        other.function,
        other.task_id,
    )
    return same and one.max_ledger == other.max_ledger


def _short(entry: Sent) -> str:
    return f"{entry.hash[:8]} ({entry.channel[:6]}… {entry.sequence}, below ledger {entry.max_ledger})"
