"""Restores of a shard: offered while somebody needs them, one operation of a need at a time, each a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from sorofast import _core
from sorofast.coordination.restores import RestoreNeed, need_id
from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.key import Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import Proof, WalRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import Due
from sorofast.triggers.restores import RestoreSource

LEDGER, CLOSE_S, SHARDS = 100, 1_000, 4
KEYS = (b"one", b"other")
NUMBER = need_id(KEYS)
SHARD = _core.shard_of(NUMBER, SHARDS)


def need(*, ledger: int = LEDGER, refused_until: int = 0) -> RestoreNeed:
    return RestoreNeed(
        keys=KEYS,
        wanted_by="7",
        asked_ledger=ledger,
        asked_s=CLOSE_S,
        refused="too dear" if refused_until else "",
        refused_until=refused_until,
    )


@dataclass
class Noted:
    """What the fleet needs, and what the source says became of it."""

    needs: Mapping[int, RestoreNeed] = field(default_factory=lambda: {NUMBER: need()})
    said: list[str] = field(default_factory=list)

    def expired(self, need: RestoreNeed) -> bool:
        return need.asked_ledger == 0

    def refuse(self, number: int, why: str) -> None:
        self.said.append(f"refused: {why}")

    def rest(self, number: int, until_s: int) -> None:
        self.said.append(f"rests until {until_s}")

    def worked(self, number: int) -> None:
        self.said.append("worked")

    def drop(self, number: int) -> None:
        self.said.append("dropped")


def source(noted: Noted, shard: int = SHARD) -> RestoreSource:
    made = RestoreSource(noted, shard, SHARDS, LEDGER, structlog.get_logger())
    made.ingest(entry(LEDGER))
    return made


def entry(ledger: int) -> LedgerEntry:
    return LedgerEntry(
        generation="g",
        epoch=1,
        ledger=ledger,
        previous=ledger - 1,
        events_through=ledger,
        close_time_s=CLOSE_S + 5 * (ledger - LEDGER),
        rows=b"",
        snapshot_ledger=ledger,
        channels=[],
        successes=[],
        removed=[],
        node="node",
    )


def ended_of(execution: Execution) -> Ended:
    """The end of one that this version did not begin."""
    due = replace(source(Noted()).due(CLOSE_S, 1)[0], execution=execution)
    return ended(due, Outcome.EXPIRED)


def ended(due: Due, outcome: Outcome) -> Ended:
    record = WalRecord(
        source=due.execution.source,
        id=due.execution.id,
        window=due.execution.window,
        attempt=1,
        channel=1,
        sequence=8,
        max_ledger=LEDGER + 6,
        max_time_s=2_000,
        hash=bytes(32),
        envelope="",
        claimed_ledger=LEDGER,
        epoch=1,
        template=due.template,
        due_s=due.due_s,
        operation=due.call.described,
        proof=due.call.proof,
    )
    return Ended(record, outcome, ChannelView(8, LEDGER + 1, CLOSE_S + 5, LEDGER + 1), "for a reason")


def test_a_need_is_one_shards_to_do_and_the_same_one_s_whatever_the_order_of_its_entries() -> None:
    offered = [shard for shard in range(SHARDS) if source(Noted(), shard).due(CLOSE_S, 9)]
    assert offered == [SHARD]
    assert need_id(reversed(KEYS)) == NUMBER != need_id(KEYS[:1])


def test_a_restore_says_what_it_is_about_and_its_success_is_all_that_it_proves() -> None:
    (due,) = source(Noted()).due(CLOSE_S, 9)
    assert due.call.operation.kind == due.call.described.kind == "restore"
    assert due.call.described.purpose == "2 archived entries for task 7"
    assert due.call.proof is Proof.SUCCESS
    assert due.execution.name == f"restores/{NUMBER:016x}:{LEDGER}"


def test_what_the_engine_has_is_not_offered_again_until_it_comes_back() -> None:
    restores = source(Noted())
    (due,) = restores.due(CLOSE_S, 9)
    assert restores.due(CLOSE_S, 9) == []
    assert restores.next_due_s() is None
    restores.wait(due.execution, CLOSE_S + 30, code_of("backing_off"))
    assert restores.due(CLOSE_S + 29, 9) == []
    assert restores.next_due_s() == CLOSE_S + 30
    (again,) = restores.due(CLOSE_S + 30, 9)
    assert again.execution == due.execution


async def test_what_is_in_the_log_of_the_owner_before_is_not_offered_beside_it() -> None:
    restores = source(Noted())
    (due,) = source(Noted()).due(CLOSE_S, 9)
    restores.started(due.execution)
    await restores.look(LEDGER + 1)
    assert restores.due(CLOSE_S + 5, 9) == []
    restores.ended(ended(due, Outcome.EXECUTED))
    assert restores.due(CLOSE_S + 5, 9) != []


async def test_one_operation_of_a_need_follows_the_other_as_another_window() -> None:
    noted = Noted()
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    restores.started(due.execution)
    restores.ingest(entry(LEDGER + 2))
    restores.ended(ended(due, Outcome.EXECUTED))
    (following,) = restores.due(CLOSE_S + 10, 9)
    assert following.execution.subject == due.execution.subject
    assert following.execution.window == LEDGER + 2
    assert noted.said == ["worked"]


def test_a_failed_operation_is_told_to_those_who_wait_for_it() -> None:
    noted = Noted()
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    restores.started(due.execution)
    restores.ended(ended(due, Outcome.FAILED))
    assert noted.said == ["refused: the operation that restores them failed: for a reason"]


async def test_a_need_that_is_held_back_comes_back_in_its_ledger_and_one_that_is_gone_does_not() -> None:
    noted = Noted()
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    noted.needs = {NUMBER: need(refused_until=LEDGER + 2)}
    assert not restores.still_due(due)
    await restores.look(LEDGER + 1)
    assert restores.due(CLOSE_S + 5, 9) == []
    await restores.look(LEDGER + 2)
    assert [one.execution for one in restores.due(CLOSE_S + 10, 9)] == [due.execution]
    noted.needs = {}
    assert not restores.still_due(due)
    await restores.look(LEDGER + 3)
    assert restores.due(CLOSE_S + 15, 9) == []


async def test_a_need_that_stands_for_long_is_dropped_unless_it_is_in_flight() -> None:
    noted = Noted({NUMBER: need(ledger=0)})
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    restores.started(due.execution)
    await restores.look(LEDGER + 1)
    assert noted.said == []
    restores.wait(due.execution, CLOSE_S, code_of("expired"))
    await restores.look(LEDGER + 2)
    assert noted.said == ["dropped"]


async def test_those_who_wait_know_how_long_a_failed_restore_rests() -> None:
    noted = Noted()
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    restores.wait(due.execution, CLOSE_S + 30, code_of("backing_off"))
    await restores.look(LEDGER + 1)
    assert noted.said == [f"rests until {CLOSE_S + 30}"]
    restores.ingest(entry(LEDGER + 6))
    await restores.look(LEDGER + 6)
    assert len(noted.said) == 1


async def test_a_need_that_is_over_leaves_nothing_behind_once_it_has_rested() -> None:
    noted = Noted()
    restores = source(noted)
    (due,) = restores.due(CLOSE_S, 9)
    restores.started(due.execution)
    restores.ended(ended(due, Outcome.FAILED))
    restores.wait(due.execution, CLOSE_S + 30, code_of("backing_off"))
    noted.needs = {}
    await restores.look(LEDGER + 1)
    assert restores.ingest(entry(LEDGER + 6)) == []
    await restores.look(LEDGER + 6)
    assert restores.ingest(entry(LEDGER + 7)) == [due.execution.subject]
    assert restores.ingest(entry(LEDGER + 8)) == []


def test_a_restore_that_another_version_named_otherwise_is_taken_up_and_ends_like_every_other() -> None:
    noted = Noted(needs={})
    restores = source(noted)
    foreign = Execution("restores", "entries of task 7", "w1")
    restores.started(foreign)
    restores.wait(foreign, CLOSE_S + 5, code_of("backing_off"))
    restores.ended(replace(ended_of(foreign), outcome=Outcome.EXECUTED))
    assert noted.said == ["worked"]
