"""The planner: every row gets exactly one fate, and no channel is used twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from sorofast.engine.cycle import Backoff, CycleView, Plan, plan_cycle
from sorofast.reasons import code_of
from sorofast.registry.row import Flag, Row

CLOSE_S = 10_000
KNOWN = 1
UNKNOWN = 2


def row(task_id: int, *, due_s: int = CLOSE_S, shape: int = KNOWN) -> Row:
    return Row(task_id, 60, due_s - 60, 1_000, shape, 9_999, 1, 1, Flag.ACTIVE | Flag.KEEPER_ALLOWED, 0)


def plan(
    rows: list[Row],
    *,
    free: Sequence[tuple[int, int]] = ((0, 10), (1, 20), (2, 30)),
    room: int = 100,
    in_flight: frozenset[int] = frozenset(),
    backoffs: Mapping[int, Backoff] | None = None,
    gated: frozenset[int] = frozenset(),
) -> Plan:
    view = CycleView(
        CLOSE_S, CLOSE_S + 5, free, room, in_flight, backoffs or {}, gated, lambda shape: shape == KNOWN
    )
    return plan_cycle(rows, view)


def test_what_is_due_by_the_next_close_runs_at_once() -> None:
    made = plan([row(1), row(2, due_s=CLOSE_S + 5)])
    assert [(run.row.task_id, run.channel, run.sequence) for run in made.run] == [(1, 0, 11), (2, 1, 21)]


def test_a_call_without_template_waits_for_a_ledger_whose_time_it_is_due_at() -> None:
    made = plan([row(1, shape=UNKNOWN), row(2, shape=UNKNOWN, due_s=CLOSE_S + 1)])
    assert [case[0].task_id for case in made.simulate] == [1]
    assert [(waiting.task_id, reason) for waiting, reason in made.next_ledger] == [
        (2, code_of("waiting_for_ledger"))
    ]


def test_a_gated_task_is_simulated_though_its_template_is_known() -> None:
    made = plan([row(1)], gated=frozenset({1}))
    assert not made.run
    assert len(made.simulate) == 1


def test_a_task_in_flight_is_left_alone() -> None:
    made = plan([row(1)], in_flight=frozenset({1}))
    assert [(waiting.task_id, reason) for waiting, reason in made.next_ledger] == [(1, code_of("in_flight"))]


def test_those_without_a_channel_say_so() -> None:
    made = plan([row(1), row(2)], free=[(4, 7)])
    assert [run.row.task_id for run in made.run] == [1]
    assert [(waiting.task_id, reason) for waiting, reason in made.next_ledger] == [(2, code_of("no_channel"))]


def test_the_bound_on_what_is_in_flight_holds() -> None:
    made = plan([row(1), row(2)], room=1)
    assert len(made.run) == 1
    assert made.next_ledger[0][1] == code_of("max_inflight")


def test_a_back_off_holds_for_its_own_window_only() -> None:
    reason = code_of("backing_off")
    same = Backoff(CLOSE_S - 60, CLOSE_S + 40, 2, reason)
    other = Backoff(CLOSE_S - 120, CLOSE_S + 40, 2, reason)
    assert plan([row(1)], backoffs={1: same}).later == [(row(1), CLOSE_S + 40, reason)]
    assert len(plan([row(1)], backoffs={1: other}).run) == 1


rows = st.lists(
    st.builds(
        row,
        st.integers(1, 40),
        due_s=st.integers(CLOSE_S - 50, CLOSE_S + 5),
        shape=st.sampled_from([KNOWN, UNKNOWN]),
    ),
    max_size=40,
    unique_by=lambda made: made.task_id,
)


@given(
    rows=rows,
    channels=st.integers(0, 12),
    room=st.integers(0, 12),
    in_flight=st.frozensets(st.integers(1, 40)),
    gated=st.frozensets(st.integers(1, 40)),
)
def test_every_row_has_one_fate_and_every_channel_one_envelope(
    rows: list[Row], channels: int, room: int, in_flight: frozenset[int], gated: frozenset[int]
) -> None:
    made = plan(rows, free=[(n, n) for n in range(channels)], room=room, in_flight=in_flight, gated=gated)
    fates = [run.row.task_id for run in made.run]
    fates += [case[0].task_id for case in made.simulate]
    fates += [waiting[0].task_id for waiting in made.next_ledger]
    fates += [waiting[0].task_id for waiting in made.later]
    assert sorted(fates) == sorted(made_row.task_id for made_row in rows)
    used = [run.channel for run in made.run] + [case[1] for case in made.simulate]
    assert len(used) == len(set(used)) <= min(channels, room)
    assert not in_flight & {run.row.task_id for run in made.run}
