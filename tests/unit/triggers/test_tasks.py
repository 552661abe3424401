"""A registry's tasks as a trigger source: what is due, what is held back, and what an end does to the next run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
from stellar_sdk import Address, StrKey, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast import _core
from sorofast.coordination.in_hand import AT_ONCE_MAX
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.suspects import DEATHS_MAX, Suspects
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import Operation, WalRecord
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.registry.row import Flag, Row, ids_of
from sorofast.triggers.rereading import ABSENT_TIMES
from sorofast.triggers.tasks import ASK_AGAIN_LEDGERS, TaskSource

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


async def test_a_task_that_is_found_to_be_gone_is_told_with_the_next_ledger() -> None:
    async def read(task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
        return cast("_core.EntriesBatch", SimpleNamespace(rows=b"", problems=[], dependencies=[]))

    table = _core.TaskTable()
    table.apply(row().pack(), 0, 1)
    tasks = TaskSource(table, CALL, 0, 1, read=read)
    (due,) = tasks.due(5_000, 10)
    tasks.park(due, code_of("resolver_says_no"))
    for ledger in range(101, 101 + ABSENT_TIMES):
        assert tasks.ingest(entry()) == []
        await tasks.look(ledger)
    assert len(tasks) == 0
    assert tasks.ingest(entry()) == [(TASKS, 7)]
    assert tasks.ingest(entry()) == []


def test_past_the_retention_the_task_s_last_run_tells_what_an_envelope_did() -> None:
    case = ended(Outcome.EXECUTED)
    ran_then, ran_otherwise, unchanged = (
        source(row(last_run_s=last_run_s)) for last_run_s in (LANDED_S, LANDED_S + 7, WINDOW)
    )
    assert ran_then.effect(case.record, LANDED_S, None) is Outcome.EXECUTED
    assert ran_otherwise.effect(case.record, LANDED_S, None) is Outcome.SUPERSEDED
    assert unchanged.effect(case.record, LANDED_S, None) is Outcome.NO_EFFECT


def test_without_the_second_only_an_unchanged_task_tells() -> None:
    case = ended(Outcome.EXECUTED)
    assert source(row()).effect(case.record, None, None) is Outcome.NO_EFFECT
    assert source(row(last_run_s=LANDED_S)).effect(case.record, None, None) is None
    assert source().effect(case.record, LANDED_S, None) is None


def task_meta(before_s: int, after_s: int, *, task_id: int = 7, contract: bytes = bytes(32)) -> str:
    """A transaction's meta that leaves the task's last run at `after_s`."""

    def entry(last_run_s: int) -> stellar_xdr.LedgerEntry:
        fields = stellar_xdr.SCMap(
            [stellar_xdr.SCMapEntry(scval.to_symbol("last_run"), scval.to_uint64(last_run_s))]
        )
        data = stellar_xdr.ContractDataEntry(
            ext=stellar_xdr.ExtensionPoint(0),
            contract=Address(StrKey.encode_contract(contract)).to_xdr_sc_address(),
            key=scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(task_id)]),
            durability=stellar_xdr.ContractDataDurability.PERSISTENT,
            val=stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_MAP, map=fields),
        )
        body = stellar_xdr.LedgerEntryData(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data)
        return stellar_xdr.LedgerEntry(stellar_xdr.Uint32(1), body, stellar_xdr.LedgerEntryExt(0))

    kinds = stellar_xdr.LedgerEntryChangeType
    changes = stellar_xdr.LedgerEntryChanges(
        [
            stellar_xdr.LedgerEntryChange(kinds.LEDGER_ENTRY_STATE, state=entry(before_s)),
            stellar_xdr.LedgerEntryChange(kinds.LEDGER_ENTRY_UPDATED, updated=entry(after_s)),
        ]
    )
    none = stellar_xdr.LedgerEntryChanges([])
    operation = stellar_xdr.OperationMetaV2(stellar_xdr.ExtensionPoint(0), changes, [])
    meta = stellar_xdr.TransactionMetaV4(stellar_xdr.ExtensionPoint(0), none, [operation], none, None, [], [])
    return stellar_xdr.TransactionMeta(4, v4=meta).to_xdr()


def test_the_transaction_s_own_changes_tell_our_run_from_a_rival_s_in_the_same_second() -> None:
    record = ended(Outcome.EXECUTED).record
    tasks = source(row(last_run_s=LANDED_S))
    assert tasks.effect(record, LANDED_S, task_meta(WINDOW, LANDED_S)) is Outcome.EXECUTED
    for others in (
        task_meta(LANDED_S, LANDED_S),
        task_meta(WINDOW, LANDED_S, task_id=8),
    ):
        assert tasks.effect(record, LANDED_S, others) is Outcome.SUPERSEDED
    of_ours = msgspec.structs.replace(record, operation=Operation("invoke", b"\1" * 32, "execute"))
    assert tasks.effect(of_ours, LANDED_S, task_meta(WINDOW, LANDED_S)) is Outcome.SUPERSEDED
    ours = task_meta(WINDOW, LANDED_S, contract=b"\1" * 32)
    assert tasks.effect(of_ours, LANDED_S, ours) is Outcome.EXECUTED
    assert source(row()).effect(record, LANDED_S, task_meta(WINDOW, WINDOW)) is Outcome.NO_EFFECT


def test_a_meta_that_cannot_be_read_leaves_it_to_the_task_s_last_run() -> None:
    tasks = source(row(last_run_s=LANDED_S))
    assert tasks.effect(ended(Outcome.EXECUTED).record, LANDED_S, "AAAA") is Outcome.EXECUTED


def test_a_failed_run_is_simulated_before_the_next_try() -> None:
    tasks = source(row())
    tasks.due(5_000, 10)
    tasks.ended(ended(Outcome.FAILED))
    tasks.wait(RUN, 2_000, code_of("backing_off"))
    (due,) = tasks.due(5_000, 10)
    assert due.gated


async def test_a_task_that_cannot_pay_is_held_until_it_can_or_another_fee_is_known() -> None:
    fees = {9: 1_001}
    table = _core.TaskTable()
    table.apply(row().pack(), 0, 1)
    tasks = TaskSource(table, CALL, 0, 1, read=unread, fee_of=lambda shape: fees.get(shape, 0))
    assert tasks.due(5_000, 10) == []
    assert tasks.reasons() == {code_of("gas_below_fee"): 1}
    await tasks.look(101)
    assert tasks.due(5_000, 10) == []
    fees[9] = 1_000
    await tasks.look(102)
    assert [due.execution for due in tasks.due(5_000, 10)] == [RUN]

    tasks.give_up(RUN, code_of("gas_below_fee"))
    table.apply(row(ledger=103)._replace(gas_stroops=2_000).pack(), 0, 1)
    assert [due.execution for due in tasks.due(5_000, 10)] == [RUN]


def test_rows_of_tasks_that_are_not_handled_are_left_out_and_nobody_elses() -> None:
    suspects = Suspects()
    suspects._deaths = {(TASKS, 2): DEATHS_MAX, (TASKS, 4): 1, (TASKS, 5): DEATHS_MAX}
    table = _core.TaskTable()
    tasks = TaskSource(table, CALL, 0, 1, read=unread, suspects=suspects)
    tasks.ingest(entry(*(row()._replace(task_id=task_id) for task_id in range(1, 7))))
    assert [task_id for task_id in range(1, 8) if table.get(task_id) is not None] == [1, 3, 4, 6]


def test_more_rows_than_may_be_in_hand_at_once_are_all_taken_in() -> None:
    tasks = source()
    many = range(1, 2 * AT_ONCE_MAX + 4)
    tasks.ingest(entry(*(row()._replace(task_id=task_id) for task_id in many)))
    assert len(tasks) == len(many)


async def test_of_the_tasks_that_could_not_pay_one_is_simulated_again_now_and_then() -> None:
    """The fee may have fallen since, or never have been what was heard."""
    fees = {9: 1_001}
    table = _core.TaskTable()
    table.apply(row().pack() + row()._replace(task_id=8).pack(), 0, 1)

    async def as_it_was(task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
        rows = b"".join(row(ledger=ledger_min)._replace(task_id=one).pack() for one in ids_of(task_ids))
        return cast("_core.EntriesBatch", SimpleNamespace(rows=rows, problems=[]))

    tasks = TaskSource(table, CALL, 0, 1, read=as_it_was, fee_of=lambda shape: fees.get(shape, 0))
    assert tasks.due(5_000, 10) == []
    for ledger in range(101, 101 + ASK_AGAIN_LEDGERS):
        await tasks.look(ledger)
        assert tasks.due(5_000, 10) == []
    await tasks.look(101 + ASK_AGAIN_LEDGERS)
    (due,) = tasks.due(5_000, 10)
    assert due.gated
    tasks.give_up(due.execution, code_of("gas_below_fee"))
    await tasks.look(102 + ASK_AGAIN_LEDGERS)
    assert tasks.due(5_000, 10) == []
    fees[9] = 900
    await tasks.look(103 + ASK_AGAIN_LEDGERS)
    assert len(tasks.due(5_000, 10)) == 2
