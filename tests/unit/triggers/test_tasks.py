"""A registry's tasks as a trigger source: what is due, what is held back, and what an end does to the next run."""

from __future__ import annotations

from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.registry.row import Flag, Row
from sorofast.triggers.tasks import TaskSource

WINDOW, INTERVAL_S, LANDED_S = 1_000, 60, 1_065
RUN = Execution(TASKS, 7, WINDOW)
CALL = execute_call(bytes(32), bytes(range(32)))


def row(last_run_s: int = WINDOW, ledger: int = 100) -> Row:
    return Row(7, INTERVAL_S, last_run_s, 1_000, 9, 9_999, 1, ledger, Flag.ACTIVE | Flag.KEEPER_ALLOWED, 0)


async def unread(task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
    raise AssertionError("nothing here waits for another task")


def source(*rows: Row, fee: int = 0) -> TaskSource:
    table = _core.TaskTable()
    table.apply(b"".join(one.pack() for one in rows), 0, 1)
    return TaskSource(table, CALL, 0, 1, read=unread, fee_of=lambda _: fee)


def ended(outcome: Outcome, landed_s: int = LANDED_S) -> Ended:
    record = WalRecord(
        id=7,
        window=WINDOW,
        attempt=1,
        channel=3,
        sequence=11,
        max_ledger=110,
        max_time_s=20_000,
        hash=bytes(32),
        envelope="AAAA",
        claimed_ledger=99,
        epoch=1,
        template=9,
        due_s=WINDOW + INTERVAL_S,
    )
    return Ended(record, outcome, ChannelView(11, 101, landed_s, 101), "")


def entry(*rows: Row, removed: tuple[int, ...] = ()) -> LedgerEntry:
    return LedgerEntry(
        generation="g",
        epoch=1,
        ledger=101,
        previous=100,
        events_through=101,
        close_time_s=LANDED_S,
        rows=b"".join(one.pack() for one in rows),
        snapshot_ledger=101,
        channels=[],
        successes=[],
        removed=list(removed),
        node="n",
    )


def test_a_task_is_due_at_its_last_run_plus_its_interval() -> None:
    tasks = source(row())
    assert tasks.next_due_s() == WINDOW + INTERVAL_S
    assert tasks.due(WINDOW + INTERVAL_S - 1, 10) == []
    (due,) = tasks.due(WINDOW + INTERVAL_S, 10)
    assert (due.execution, due.due_s, due.template, due.values) == (RUN, WINDOW + INTERVAL_S, 9, (7,))
    assert due.call.operation.holes == ["task"]
    assert due.fresh
    assert not due.gated
    assert tasks.due(WINDOW + INTERVAL_S, 10) == []


def test_what_waited_before_is_not_counted_as_due_again() -> None:
    tasks = source(row())
    (due,) = tasks.due(5_000, 10)
    tasks.park(due, code_of("no_channel"))
    tasks.wait(due.execution, due.due_s, code_of("no_channel"))
    (again,) = tasks.due(5_000, 10)
    assert not again.fresh


def test_an_executed_task_goes_on_to_its_next_window() -> None:
    tasks = source(row())
    tasks.due(5_000, 10)
    tasks.ended(ended(Outcome.EXECUTED))
    assert tasks.next_due_s() == LANDED_S + INTERVAL_S


def test_a_run_without_effect_is_simulated_before_the_next_try_until_the_task_runs() -> None:
    tasks = source(row())
    tasks.due(5_000, 10)
    tasks.ended(ended(Outcome.NO_EFFECT))
    tasks.wait(RUN, 2_000, code_of("backing_off"))
    (due,) = tasks.due(5_000, 10)
    assert due.gated
    tasks.ended(ended(Outcome.EXECUTED))
    (due,) = tasks.due(5_000, 10)
    assert not due.gated


def test_a_run_that_landed_too_early_is_not_held_against_the_task() -> None:
    tasks = source(row())
    tasks.due(5_000, 10)
    tasks.ended(ended(Outcome.NO_EFFECT, landed_s=WINDOW + INTERVAL_S - 1))
    tasks.wait(RUN, 1_060, code_of("backing_off"))
    (due,) = tasks.due(5_000, 10)
    assert not due.gated


def test_a_run_without_effect_was_superseded_if_the_task_has_gone_on() -> None:
    tasks = source(row())
    assert tasks.outcome(ended(Outcome.NO_EFFECT)) is Outcome.NO_EFFECT
    tasks.ingest(entry(row(last_run_s=LANDED_S, ledger=101)))
    assert tasks.outcome(ended(Outcome.NO_EFFECT)) is Outcome.SUPERSEDED
    assert tasks.outcome(ended(Outcome.FAILED)) is Outcome.FAILED


def test_what_somebody_else_ran_meanwhile_is_no_longer_due_and_waits_for_its_own_time() -> None:
    tasks = source(row())
    (due,) = tasks.due(5_000, 10)
    assert tasks.still_due(due)
    tasks.ingest(entry(row(last_run_s=LANDED_S, ledger=101)))
    assert not tasks.still_due(due)
    tasks.wait(RUN, 2_000, code_of("backing_off"))
    assert tasks.next_due_s() == LANDED_S + INTERVAL_S
    assert not tasks.give_up(RUN, code_of("quarantined"))


def test_a_given_up_task_is_not_due_until_it_changes() -> None:
    tasks = source(row())
    tasks.due(5_000, 10)
    assert tasks.give_up(RUN, code_of("quarantined"))
    assert tasks.next_due_s() is None
    assert dict(tasks.reasons()) == {code_of("quarantined"): 1}


def test_a_removed_task_is_gone() -> None:
    tasks = source(row())
    assert tasks.ingest(entry(removed=(7,))) == [(TASKS, 7)]
    assert len(tasks) == 0
    tasks.wait(RUN, 2_000, code_of("backing_off"))
    assert tasks.next_due_s() is None
