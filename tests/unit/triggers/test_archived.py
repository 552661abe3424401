"""Archived tasks of a shard: handed out for a simulation of their own when due, whoever restores them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.registry.row import Flag, Row
from sorofast.triggers import archived
from sorofast.triggers.base import Due
from sorofast.triggers.tasks import TaskSource

WINDOW, INTERVAL_S, LEDGER = 1_000, 60, 100
DUE_S = WINDOW + INTERVAL_S
RUN = Execution(TASKS, 7, WINDOW)
CALL = execute_call(bytes(32), bytes(range(32)))


def row(task_id: int = 7, *, live_until: int = 0, ledger: int = LEDGER, last_run_s: int = WINDOW) -> Row:
    flags = Flag.ACTIVE | Flag.KEEPER_ALLOWED
    return Row(task_id, INTERVAL_S, last_run_s, 1_000, 9, live_until, 1, ledger, flags, 0)


async def unread(task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
    raise AssertionError("nothing here waits for another task")


def source(*rows: Row, fee_of: Callable[[int], int] = lambda _: 0) -> TaskSource:
    table = _core.TaskTable()
    table.apply(b"".join(one.pack() for one in rows), 0, 1)
    return TaskSource(table, CALL, 0, 1, read=unread, ledger=LEDGER, fee_of=fee_of)


async def closed(tasks: TaskSource, ledger: int, close_s: int, *rows: Row) -> list[Due]:
    """What is due after that ledger."""
    entry = LedgerEntry(
        generation="g",
        epoch=1,
        ledger=ledger,
        previous=ledger - 1,
        events_through=ledger,
        close_time_s=close_s,
        rows=b"".join(one.pack() for one in rows),
        snapshot_ledger=ledger,
        channels=[],
        successes=[],
        removed=[],
        node="n",
    )
    tasks.ingest(entry)
    await tasks.look(ledger)
    return tasks.due(close_s + 5, 10)


def shown(tasks: TaskSource) -> dict[int, int]:
    return dict(tasks.reasons())


async def test_an_archived_task_is_due_in_its_time_and_needs_a_simulation_of_its_own() -> None:
    tasks = source(row())
    assert shown(tasks) == {code_of("archived"): 1}
    assert await closed(tasks, 101, DUE_S - 1) == []
    (due,) = await closed(tasks, 102, DUE_S)
    assert (due.execution, due.due_s, due.template) == (RUN, DUE_S, 9)
    assert due.gated
    assert due.alone
    assert due.fresh
    # It is somebody's now.
    assert await closed(tasks, 103, DUE_S + 5) == []
    assert shown(tasks) == {code_of("in_flight"): 1}


async def test_what_keeps_it_from_running_is_waited_out_and_it_shows_that_it_is_archived() -> None:
    tasks = source(row())
    (due,) = await closed(tasks, 101, DUE_S)
    tasks.wait(due.execution, DUE_S + 30, code_of("archived"))
    assert shown(tasks) == {code_of("archived"): 1}
    assert await closed(tasks, 102, DUE_S + 29) == []
    (again,) = await closed(tasks, 103, DUE_S + 30)
    assert again.execution == RUN
    assert not again.fresh


async def test_one_that_was_given_up_stays_so_until_it_is_taken_up_again() -> None:
    tasks = source(row())
    (due,) = await closed(tasks, 101, DUE_S)
    assert tasks.give_up(due.execution, code_of("quarantined"))
    assert await closed(tasks, 102, DUE_S + 5) == []
    assert shown(tasks) == {code_of("quarantined"): 1}
    tasks.wait(due.execution, 0, code_of("not_due"))
    assert len(await closed(tasks, 103, DUE_S + 10)) == 1


async def test_an_entry_that_ends_while_its_task_waits_is_noticed_when_it_falls_due() -> None:
    tasks = source(row(live_until=104))
    assert await closed(tasks, 105, DUE_S - 10) == []
    (due,) = tasks.due(DUE_S, 10)
    assert due.alone
    assert due.gated


@pytest.mark.parametrize(("live_until", "sent"), [(105, True), (104, False), (103, False)])
async def test_nothing_is_sent_that_would_land_after_its_entry_has_ended(live_until: int, sent: bool) -> None:
    tasks = source(row(live_until=live_until))
    dues = await closed(tasks, 103, DUE_S)
    assert [(due.execution, due.alone) for due in dues] == ([(RUN, False)] if sent else [])
    if not sent:
        assert shown(tasks) == {code_of("waiting_for_ledger"): 1}
        ends = live_until + 1
        for ledger in range(104, ends):
            assert await closed(tasks, ledger, DUE_S + 5) == []
        (due,) = await closed(tasks, ends, DUE_S + 5)
        assert due.alone


async def test_one_whose_life_was_extended_in_time_runs_as_any_other() -> None:
    tasks = source(row(live_until=104))
    assert await closed(tasks, 103, DUE_S) == []
    (due,) = await closed(tasks, 104, DUE_S + 5, row(live_until=9_999, ledger=104))
    assert not due.alone


async def test_what_its_run_restored_is_a_task_like_any_other_again() -> None:
    tasks = source(row())
    (due,) = await closed(tasks, 101, DUE_S)
    tasks.started(due.execution)
    ran_s = DUE_S + 5
    assert await closed(tasks, 102, ran_s, row(live_until=9_999, ledger=102, last_run_s=ran_s)) == []
    assert tasks.next_due_s() == ran_s + INTERVAL_S
    (due,) = tasks.due(ran_s + INTERVAL_S, 10)
    assert not due.alone


async def test_a_restored_task_whose_new_entry_nobody_has_read_goes_on_and_is_simulated_again() -> None:
    tasks = source(row())
    (due,) = await closed(tasks, 101, DUE_S)
    tasks.started(due.execution)
    assert await closed(tasks, 102, DUE_S + 5) == []
    tasks.ended(executed(102, DUE_S + 5))
    assert tasks.next_due_s() == DUE_S + 5 + INTERVAL_S
    (due,) = await closed(tasks, 110, DUE_S + 5 + INTERVAL_S)
    assert due.alone


@pytest.mark.parametrize(
    "change",
    [{"flags": Flag.KEEPER_ALLOWED}, {"flags": Flag.ACTIVE}, {"interval_s": 0}, {"gas_stroops": 0}],
)
async def test_one_that_could_not_run_if_it_were_live_is_left_alone(change: dict[str, int]) -> None:
    tasks = source(row()._replace(**change))
    assert await closed(tasks, 101, 10 * DUE_S) == []
    assert shown(tasks) == {code_of("archived"): 1}


async def test_one_that_cannot_pay_is_held_until_another_fee_is_known() -> None:
    fees = {9: 1_001}
    tasks = source(row(), fee_of=lambda shape: fees[shape])
    assert await closed(tasks, 101, DUE_S) == []
    assert shown(tasks) == {code_of("gas_below_fee"): 1}
    fees[9] = 1_000
    await tasks.look(102)
    assert len(await closed(tasks, 103, DUE_S + 5)) == 1


async def test_many_archived_tasks_are_looked_at_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived, "LOOKED_AT_MAX", 4)
    tasks = source(*(row(task_id) for task_id in range(10)))
    found = [len(await closed(tasks, 101 + ledger, DUE_S + ledger)) for ledger in range(4)]
    assert found == [4, 4, 2, 0]


def executed(ledger: int, time_s: int) -> Ended:
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
        due_s=DUE_S,
    )
    return Ended(record, Outcome.EXECUTED, ChannelView(11, ledger, time_s, ledger), "")
