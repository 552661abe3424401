"""The planner: everything due gets exactly one fate, and no channel is used twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sorofast.engine.cycle import Backoff, CycleView, Plan, plan_cycle
from sorofast.executions.key import TASKS, Execution, Subject
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.triggers.base import Due

CLOSE_S = 10_000
CALL = execute_call(bytes(32), bytes(32))
KNOWN = 1
UNKNOWN = 2


def due(task_id: int, *, due_s: int = CLOSE_S, template: int = KNOWN, gated: bool = False) -> Due:
    return Due(Execution(TASKS, task_id, due_s - 60), due_s, CALL, template, (task_id,), gated=gated)


def subjects(*task_ids: int) -> frozenset[Subject]:
    return frozenset((TASKS, task_id) for task_id in task_ids)


def plan(
    dues: list[Due],
    *,
    free: Sequence[tuple[int, int]] = ((0, 10), (1, 20), (2, 30)),
    room: int = 100,
    in_flight: frozenset[Subject] = frozenset(),
    backoffs: Mapping[Subject, Backoff] | None = None,
) -> Plan:
    view = CycleView(
        CLOSE_S, CLOSE_S + 5, free, room, in_flight, backoffs or {}, lambda due: due.template == KNOWN
    )
    return plan_cycle(dues, view)


def test_what_is_due_by_the_next_close_runs_at_once() -> None:
    made = plan([due(1), due(2, due_s=CLOSE_S + 5)])
    assert [(run.due.execution.id, run.channel, run.sequence) for run in made.run] == [(1, 0, 11), (2, 1, 21)]


def test_a_call_without_template_waits_for_a_ledger_whose_time_it_is_due_at() -> None:
    made = plan([due(1, template=UNKNOWN), due(2, template=UNKNOWN, due_s=CLOSE_S + 1)])
    assert [case[0].execution.id for case in made.simulate] == [1]
    assert [(waiting.execution.id, reason) for waiting, reason in made.next_ledger] == [
        (2, code_of("waiting_for_ledger"))
    ]


def test_a_gated_task_is_simulated_though_its_template_is_known() -> None:
    made = plan([due(1, gated=True)])
    assert not made.run
    assert len(made.simulate) == 1


def test_a_task_that_needs_a_simulation_of_its_own_does_not_share_one() -> None:
    made = plan([due(1, gated=True), replace(due(2, gated=True), alone=True)])
    assert [(one.execution.id, alone) for one, alone in made.simulate] == [(1, False), (2, True)]


def test_one_that_did_not_work_before_needs_a_simulation_of_its_own() -> None:
    failed = Backoff(CLOSE_S - 60, CLOSE_S, 1, code_of("backing_off"))
    made = plan([due(1), due(2, template=UNKNOWN)], backoffs={(TASKS, 1): failed})
    assert [(one.execution.id, alone) for one, alone in made.simulate] == [(1, True), (2, False)]


def test_a_task_in_flight_is_left_alone() -> None:
    made = plan([due(1)], in_flight=subjects(1))
    assert [(waiting.execution.id, reason) for waiting, reason in made.next_ledger] == [
        (1, code_of("in_flight"))
    ]


def test_what_falls_due_twice_in_one_cycle_is_run_once() -> None:
    """As a task whose entry changes while it waits for a simulation: it is due again, and then it is answered."""
    made = plan([due(1), due(2), replace(due(1), template=KNOWN)])
    assert [run.due.execution.id for run in made.run] == [1, 2]
    in_flight = code_of("in_flight")
    assert [(waiting.execution.id, reason) for waiting, reason in made.next_ledger] == [(1, in_flight)]
    view = CycleView(CLOSE_S, CLOSE_S, [(0, 10), (1, 20), (2, 30)], 100, subjects(), {}, lambda _: True)
    more = plan_cycle([due(1), due(3)], view.after(made.run))
    assert [(run.due.execution.id, run.channel) for run in more.run] == [(3, 2)]
    assert [(waiting.execution.id, reason) for waiting, reason in more.next_ledger] == [(1, in_flight)]


def test_those_without_a_channel_say_so() -> None:
    made = plan([due(1), due(2)], free=[(4, 7)])
    assert [run.due.execution.id for run in made.run] == [1]
    assert [(waiting.execution.id, reason) for waiting, reason in made.next_ledger] == [
        (2, code_of("no_channel"))
    ]


def test_the_bound_on_what_is_in_flight_holds() -> None:
    made = plan([due(1), due(2)], room=1)
    assert len(made.run) == 1
    assert made.next_ledger[0][1] == code_of("max_inflight")


def test_a_back_off_holds_for_its_own_window_only() -> None:
    reason = code_of("backing_off")
    same = Backoff(CLOSE_S - 60, CLOSE_S + 40, 2, reason)
    other = Backoff(CLOSE_S - 120, CLOSE_S + 40, 2, reason)
    assert plan([due(1)], backoffs={(TASKS, 1): same}).later == [(due(1), CLOSE_S + 40, reason)]
    assert len(plan([due(1)], backoffs={(TASKS, 1): other}).run) == 1


dues = st.lists(
    st.builds(
        due,
        st.integers(1, 40),
        due_s=st.integers(CLOSE_S - 50, CLOSE_S + 5),
        template=st.sampled_from([KNOWN, UNKNOWN]),
        gated=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda made: made.execution.id,
)


@given(
    dues=dues,
    channels=st.integers(0, 12),
    room=st.integers(0, 12),
    in_flight=st.frozensets(st.integers(1, 40)),
)
def test_everything_due_has_one_fate_and_every_channel_one_envelope(
    dues: list[Due], channels: int, room: int, in_flight: frozenset[int]
) -> None:
    made = plan(dues, free=[(n, n) for n in range(channels)], room=room, in_flight=subjects(*in_flight))
    fates = [run.due for run in made.run]
    fates += [case[0] for case in made.simulate]
    fates += [waiting[0] for waiting in made.next_ledger]
    fates += [waiting[0] for waiting in made.later]
    assert {fate.execution for fate in fates} == {made_due.execution for made_due in dues}
    assert len(fates) == len(dues)
    assert not any(run.due.gated for run in made.run)
    used = [run.channel for run in made.run]
    assert len(used) == len(set(used)) <= min(channels, room)
    assert not in_flight & {run.due.execution.id for run in made.run}
