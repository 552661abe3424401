"""Each counter's definition on ledgers made by hand, both ways in which a count can fail, and what must add
up.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorofast.audit import report as audit
from sorofast.audit.dependencies import DependencyChange
from sorofast.audit.history import Applied, History, Ledger, Paid, TaskStart
from sorofast.audit.report import Report, classify_no_effect
from sorofast.errors import DecodeError

KEEPER = "GKEEPER"
RIVAL = "GRIVAL"
FIRST = 100
T0 = 1_000


def ledgers(count: int, close_s: int = 5) -> list[Ledger]:
    """Ledger 100 closes at 1,000, the following every `close_s`."""
    return [Ledger(FIRST + index, T0 + index * close_s) for index in range(count)]


def ran(ledger: int, task_id: int = 1, *, order: int = 0, keeper: str = KEEPER) -> Applied:
    """An `execute` that ran the task."""
    paid = (Paid(task_id, keeper, 100),)
    ours = keeper == KEEPER
    return Applied(ledger, order, task_id if ours else None, True, 50 if ours else 70, ledger + 5, paid)


def idle(ledger: int, task_id: int = 1, *, order: int = 0, max_ledger: int | None = None) -> Applied:
    """An `execute` of ours that succeeded and did nothing."""
    return Applied(ledger, order, task_id, True, 50, max_ledger)


def failed(ledger: int, task_id: int = 1, *, order: int = 0) -> Applied:
    return Applied(ledger, order, task_id, False, 50, ledger + 5)


def history(
    applied: Sequence[Applied],
    *,
    count: int = 40,
    tasks: dict[int, TaskStart] | None = None,
    until: int | None = None,
    closes: Sequence[Ledger] | None = None,
    changes: Sequence[DependencyChange] = (),
    cancelled: dict[int, int] | None = None,
) -> History:
    closed = closes or ledgers(count)
    return History(
        keeper=KEEPER,
        # Due at 1,020, which ledger 104 closes at.
        tasks=tasks if tasks is not None else {1: TaskStart(interval_s=20, last_run_s=T0, ledger=FIRST)},
        ledgers=closed,
        applied=applied,
        until_ledger=closed[-1].sequence if until is None else until,
        dependency_changes=changes,
        cancelled=cancelled or {},
    )


def judge(data: History, not_executable: Sequence[int] = ()) -> Report:
    return audit.report(data, audit.read(data), not_executable)


def test_a_run_in_the_first_eligible_ledger_is_not_late() -> None:
    report = judge(history([ran(104)], count=8))
    assert (report.tasks, report.ledgers, report.due, report.executed, report.open, report.missed) == (
        1,
        7,
        1,
        1,
        0,
        0,
    )
    late = report.ledgers_late["all"]
    assert (late.count, late.p50, late.p99, late.max, late.zero_ratio) == (1, 0, 0, 0, 1.0)


def test_the_first_eligible_ledger_is_the_first_whose_close_time_reaches_the_due_second() -> None:
    # Ledgers 103 and 104 both close in second 1,020: the earlier one by sequence is the first eligible.
    closes = [
        Ledger(100, 1_000),
        Ledger(101, 1_006),
        Ledger(102, 1_019),
        Ledger(103, 1_020),
        Ledger(104, 1_020),
    ]
    assert judge(history([ran(104)], closes=closes)).ledgers_late["all"].max == 1
    assert judge(history([ran(103)], closes=closes)).ledgers_late["all"].max == 0


def test_a_run_starts_the_next_window_at_its_close_time() -> None:
    # 105 closes at 1,025, so the second window is due at 1,045: ledger 109.
    report = judge(history([ran(105), ran(109)], count=12))
    assert (report.due, report.executed) == (2, 2)
    assert report.ledgers_late["first_runs"].max == 1
    assert report.ledgers_late["recurring"].max == 0
    assert report.ledgers_late["recurring"].zero_ratio == 1.0


def test_a_window_without_a_run_is_open_for_ten_ledgers_and_missed_after_them() -> None:
    young = judge(history([], until=113))
    assert (young.due, young.open, young.missed) == (1, 1, 0)
    old = judge(history([], until=114))
    assert (old.due, old.open, old.missed) == (1, 0, 1)


def test_a_run_in_the_tenth_ledger_is_in_time_and_one_in_the_eleventh_is_missed() -> None:
    assert (
        judge(history([ran(114)], until=130, count=31)).missed == 1
    )  # the window after it, due at ledger 118
    in_time = judge(history([ran(114)], until=127))
    assert (in_time.executed, in_time.missed, in_time.executed_late) == (1, 0, 0)
    late = judge(history([ran(115)], until=127))
    assert (late.executed, late.missed, late.executed_late) == (1, 1, 1)
    assert late.ledgers_late["all"].max == 11


def test_what_falls_due_after_the_fleet_was_told_to_stop_is_not_due() -> None:
    report = judge(history([], until=103))
    assert (report.due, report.open, report.missed) == (0, 0, 0)
    drained = judge(history([ran(104)], until=103))
    assert (drained.due, drained.executed, drained.missed) == (1, 1, 0)


def test_a_task_that_was_overdue_at_the_beginning_counts_from_the_next_ledger() -> None:
    overdue = {1: TaskStart(interval_s=20, last_run_s=0, ledger=FIRST)}
    assert judge(history([ran(101)], tasks=overdue)).ledgers_late["all"].max == 0


def test_a_run_before_the_task_was_read_is_part_of_where_it_begins() -> None:
    later = {1: TaskStart(interval_s=20, last_run_s=T0 + 15, ledger=103)}
    report = judge(history([ran(103), ran(107)], tasks=later, count=9))
    assert (report.executed, report.ledgers_late["all"].max) == (1, 0)


def test_windows_of_tasks_that_could_not_run_are_nobodys_miss() -> None:
    assert judge(history([]), not_executable=[1]).due == 0
    # What it did run while it could counts all the same.
    report = judge(history([ran(104)]), not_executable=[1])
    assert (report.due, report.executed, report.missed) == (1, 1, 0)


def test_a_second_run_of_the_same_window_is_a_duplicate() -> None:
    # Both were built on ledger 103; the second found nothing to do.
    report = judge(history([ran(104), idle(105, max_ledger=108)], count=8))
    assert (report.executed, report.duplicates, report.early, report.no_effect) == (1, 1, 0, 1)


def test_two_in_one_ledger_are_told_apart_by_their_order() -> None:
    report = judge(history([ran(104, order=3), idle(104, order=7, max_ledger=108)], count=8))
    assert (report.executed, report.duplicates) == (1, 1)


def test_one_applied_before_its_task_was_due_is_early() -> None:
    # Built on 106, when the run in 104 was known: it was aimed at the next window, due in ledger 108.
    report = judge(history([ran(104), idle(107, max_ledger=111)], count=8))
    assert (report.duplicates, report.early, report.no_effect) == (0, 1, 1)


def test_before_the_first_run_there_is_nothing_to_repeat() -> None:
    assert judge(history([idle(102, max_ledger=106)], count=8)).early == 1


def test_one_that_was_due_and_did_nothing_had_no_effect_and_that_is_all() -> None:
    report = judge(history([idle(105, max_ledger=109)], count=8))
    assert (report.duplicates, report.early, report.no_effect, report.executed, report.open) == (
        0,
        0,
        1,
        0,
        1,
    )


def test_without_a_ledger_bound_the_nearer_end_of_the_window_decides() -> None:
    near_run = classify_no_effect(at_s=1_009, last_run_s=1_000, interval_s=20, ran_in=100, built_on=None)
    near_due = classify_no_effect(at_s=1_011, last_run_s=1_000, interval_s=20, ran_in=100, built_on=None)
    assert (near_run, near_due) == ("duplicate", "early")


def test_an_envelope_built_on_the_very_ledger_of_the_run_is_judged_by_the_nearer_end() -> None:
    kinds = [
        classify_no_effect(at_s=at_s, last_run_s=1_000, interval_s=20, ran_in=104, built_on=104)
        for at_s in (1_005, 1_015)
    ]
    assert kinds == ["duplicate", "early"]


def test_failed_transactions_cost_and_run_nothing() -> None:
    report = judge(history([failed(104), ran(105)], count=8))
    assert (report.failed, report.executed, report.no_effect, report.fees_stroops) == (1, 1, 0, 100)


def test_a_rivals_run_is_not_ours_and_not_a_miss() -> None:
    report = judge(history([ran(104, keeper=RIVAL)], count=8))
    assert (report.due, report.executed, report.rivals, report.missed, report.fees_stroops) == (1, 0, 1, 0, 0)
    assert report.ledgers_late["all"].count == 0


def test_ours_after_a_rivals_run_was_outrun_and_repeats_nothing_of_ours() -> None:
    outrun = judge(history([ran(104, keeper=RIVAL), idle(104, order=1, max_ledger=108)], count=8))
    assert (outrun.outrun, outrun.duplicates, outrun.no_effect) == (1, 0, 1)
    repeated = judge(history([ran(104), idle(104, order=1, max_ledger=108)], count=8))
    assert (repeated.outrun, repeated.duplicates, repeated.no_effect) == (0, 1, 1)


def waiting(*, first_has_run: bool = False) -> dict[int, TaskStart]:
    """Task 2 waits for task 1. Both would be due at 1,020, ledger 104."""
    never = TaskStart(interval_s=1_020, last_run_s=0, ledger=FIRST)
    once = TaskStart(interval_s=900, last_run_s=120, ledger=FIRST)
    return {
        1: once if first_has_run else never,
        2: TaskStart(interval_s=20, last_run_s=T0, ledger=FIRST, blocked_by=(1,)),
    }


def test_a_task_is_due_from_the_ledger_after_the_one_in_which_what_it_waits_for_first_ran() -> None:
    report = judge(history([ran(110, 1), ran(111, 2)], tasks=waiting(), count=13))
    assert (report.due, report.executed, report.missed, report.open) == (2, 2, 0, 0), report
    assert report.ledgers_late["first_runs"].max == 6  # that of the first task
    late = audit.read(history([ran(110, 1), ran(113, 2)], tasks=waiting(), count=14)).windows[-1]
    assert (late.task_id, late.eligible, late.ran) == (2, 111, 113)


def test_a_task_that_never_runs_although_what_it_waits_for_has_is_missed() -> None:
    old = judge(history([ran(110, 1)], tasks=waiting(), until=121))
    assert (old.due, old.executed, old.missed, old.open) == (2, 1, 1, 0), old
    young = judge(history([ran(110, 1)], tasks=waiting(), until=120))
    assert (young.due, young.missed, young.open) == (2, 0, 1), young
    from_the_start = judge(history([ran(104, 1)], tasks=waiting(first_has_run=True), until=114))
    assert from_the_start.missed == 1, from_the_start


def test_a_task_is_nobodys_miss_while_what_it_waits_for_has_not_run_or_is_gone() -> None:
    blocked = judge(history([], tasks=waiting()))
    assert (blocked.due, blocked.missed) == (1, 1), "the first task alone"
    nobody = {2: waiting()[2]}
    assert judge(history([], tasks=nobody)).due == 0
    gone = judge(history([ran(104, 1)], tasks=waiting(), cancelled={1: 106}))
    assert (gone.due, gone.executed) == (1, 1), gone


def test_one_that_waits_for_several_waits_for_the_last_of_them() -> None:
    tasks = waiting() | {3: TaskStart(1_020, 0, FIRST), 4: TaskStart(20, T0, FIRST, blocked_by=(1, 3))}
    applied = [ran(104, 1), ran(105, 2), ran(107, 3), ran(108, 4)]
    last = audit.read(history(applied, tasks=tasks, count=9)).windows[-1]
    assert (last.task_id, last.eligible, last.ran) == (4, 108, 108)


def test_a_free_task_is_due_by_its_interval_like_any_other() -> None:
    tasks = waiting(first_has_run=True)
    report = judge(history([ran(104, 1), ran(105, 2), ran(109, 2)], tasks=tasks, count=11))
    assert (report.executed, report.ledgers_late["recurring"].max) == (3, 0), report
    again = judge(history([ran(105, 2), idle(106, 2, max_ledger=109)], tasks=tasks, count=8))
    assert (again.executed, again.duplicates) == (1, 1), again


def test_freed_and_run_in_one_ledger_is_not_late_and_not_too_early() -> None:
    report = judge(history([ran(106, 1), ran(106, 2, order=1)], tasks=waiting(), count=9))
    assert (report.executed, report.ledgers_late["all"].p50) == (2, 0), report


def test_dependencies_that_come_and_go_free_and_block() -> None:
    went = DependencyChange(108, 2, 1, added=False)
    assert (
        audit.read(history([ran(109, 2)], tasks=waiting(), count=12, changes=[went])).windows[0].eligible
        == 109
    )
    missed = judge(history([], tasks=waiting(), until=119, changes=[went]))
    assert missed.missed == 2, missed
    free = {1: waiting()[1], 2: TaskStart(20, T0, FIRST)}
    came = DependencyChange(102, 2, 1, added=True)
    assert judge(history([], tasks=free, changes=[came])).due == 1
    # Blocked in the very ledger it ran in: after its run.
    late = DependencyChange(104, 2, 1, added=True)
    assert judge(history([ran(104, 2)], tasks=free, changes=[late], count=8)).executed == 1


def test_a_first_run_is_of_a_known_shape_when_we_ran_a_sibling_before_its_ledger() -> None:
    def one_of_three(applied: Sequence[Applied]) -> int:
        first = {task: TaskStart(20, T0 + 5 * task, FIRST, kind=b"k") for task in (1, 2)}
        other = {3: TaskStart(20, T0 + 5, FIRST, kind=b"other")}
        report = judge(history(applied, tasks=first | other, count=9))
        assert report.shapes == 2
        return report.ledgers_late["known_first_runs"].count

    assert one_of_three([ran(105, 1), ran(106, 2), ran(107, 3)]) == 1
    assert one_of_three([ran(106, 1), ran(106, 2, order=1)]) == 0
    assert one_of_three([ran(105, 1, keeper=RIVAL), ran(106, 2)]) == 0


@pytest.mark.parametrize(
    ("applied", "reason"),
    [
        ([ran(103)], "before it was due"),
        ([ran(104), ran(104)], "out of order"),
        ([ran(105), ran(104)], "out of order"),
        ([ran(500)], "ledger 500"),
        ([ran(104, task_id=9)], "task 9"),
        ([idle(104, task_id=9)], "task 9"),
        ([Applied(104, 0, 1, False, 50, None, (Paid(1, KEEPER, 100),))], "failed"),
    ],
)
def test_a_history_that_cannot_have_happened_is_refused(applied: list[Applied], reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        judge(history(applied))


def test_a_task_that_ran_while_it_was_blocked_is_refused() -> None:
    with pytest.raises(DecodeError, match="before the tasks it waits for had run"):
        judge(history([ran(105, 2)], tasks=waiting()))


def test_missing_and_unordered_ledgers_are_refused() -> None:
    with pytest.raises(DecodeError, match="101 is missing"):
        judge(history([], closes=[Ledger(100, 1_000), Ledger(102, 1_010)]))
    with pytest.raises(DecodeError, match="101 closed before"):
        judge(history([], closes=[Ledger(100, 1_000), Ledger(101, 999)]))
    with pytest.raises(DecodeError, match="without ledgers"):
        judge(History(KEEPER, {}, [], [], 0))


def test_percentiles_are_of_the_nearest_rank() -> None:
    late = audit.lateness([0] * 98 + [3, 7])
    assert (late.count, late.p50, late.p99, late.max, late.zero_ratio) == (100, 0, 3, 7, 0.98)
    assert audit.lateness([4]).p99 == 4
    assert audit.lateness([]) == audit.Late(0, None, None, None, None)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, dict[str, int]]:
    """A registry that behaves like the contract under a keeper that behaves any way, and what it really
    did.
    """
    steps = draw(st.lists(st.integers(0, 7), min_size=1, max_size=60))
    times = [T0]
    for step in steps:
        times.append(times[-1] + step)
    closes = [Ledger(FIRST + index, time_s) for index, time_s in enumerate(times)]
    starts = draw(
        st.dictionaries(
            st.integers(1, 4),
            st.builds(TaskStart, st.integers(1, 60), st.integers(T0 - 60, T0), st.just(FIRST)),
            max_size=4,
        )
    )
    last_run_s = {task_id: start.last_run_s for task_id, start in starts.items()}
    applied: list[Applied] = []
    truth = {"runs": 0, "ours": 0, "idle": 0, "failed": 0}
    for ledger in closes[1:]:
        calls = draw(
            st.lists(
                st.tuples(st.sampled_from(sorted(starts) or [0]), st.sampled_from("okfr"), st.integers(1, 6)),
                max_size=4,
            )
        )
        for order, (task_id, kind, ahead) in enumerate(calls if starts else []):
            due = ledger.close_time_s >= last_run_s[task_id] + starts[task_id].interval_s
            max_ledger = ledger.sequence + ahead
            if kind == "f":
                truth["failed"] += 1
                applied.append(Applied(ledger.sequence, order, task_id, False, 1, max_ledger))
            elif due and kind != "k":
                ours = kind == "o"
                truth["runs"] += 1
                truth["ours"] += ours
                last_run_s[task_id] = ledger.close_time_s
                paid = (Paid(task_id, KEEPER if ours else RIVAL, 100),)
                applied.append(
                    Applied(ledger.sequence, order, task_id if ours else None, True, 1, max_ledger, paid)
                )
            elif kind != "r":
                truth["idle"] += 1
                applied.append(Applied(ledger.sequence, order, task_id, True, 1, max_ledger))
    until = draw(st.integers(FIRST, closes[-1].sequence))
    return History(KEEPER, starts, closes, applied, until), truth


@given(histories())
def test_every_window_and_every_transaction_is_accounted_for(made: tuple[History, dict[str, int]]) -> None:
    data, truth = made
    reading = audit.read(data)
    report = audit.report(data, reading)
    assert report.due == report.executed + report.rivals + report.open + report.missed - report.executed_late
    assert report.executed == truth["ours"]
    assert sum(window.ran is not None for window in reading.windows) == truth["runs"]
    assert report.no_effect == truth["idle"]
    assert report.duplicates + report.early + report.outrun <= report.no_effect
    assert report.failed == truth["failed"]
    assert report.fees_stroops == truth["ours"] + truth["idle"] + truth["failed"]
    late = report.ledgers_late
    assert late["all"].count == late["first_runs"].count + late["recurring"].count == report.executed
    for window in reading.windows:
        assert window.ran is None or window.ran >= window.eligible
        closed = {ledger.sequence: ledger.close_time_s for ledger in data.ledgers}
        assert closed[window.eligible] >= window.due_s
        # The ledger before was too early, unless it is where the audit or the window itself began.
        assert closed[window.eligible - 1] < window.due_s or window.eligible - 1 == FIRST


@given(histories(), st.sets(st.integers(1, 4)))
def test_excusing_tasks_takes_only_unrun_windows_away(
    made: tuple[History, dict[str, int]], excused: set[int]
) -> None:
    data, _ = made
    reading = audit.read(data)
    strict, mild = audit.report(data, reading), audit.report(data, reading, excused)
    assert mild.executed == strict.executed
    assert mild.missed <= strict.missed
    taken = sum(window.task_id in excused for window in audit.unrun(reading))
    assert strict.due - mild.due == taken
