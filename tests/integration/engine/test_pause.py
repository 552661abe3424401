"""One worker's part in the fleet's pause, against a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis

from sorofast.chain.ledger import LedgerClock
from sorofast.coordination.client import open_redis
from sorofast.coordination.control import FleetControl
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.cycle import NO_CHANNEL, Plan, Run
from sorofast.engine.pause import FLEET_PAUSED, FleetPause
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.observability.outages import Outages
from sorofast.reasons import name_of
from sorofast.registry.layout import execute_call
from sorofast.settings import RedisConfig
from sorofast.testing.clock import StubClock
from sorofast.transactions.causes import FleetCause
from sorofast.transactions.fees import FixedFee
from sorofast.transactions.submit import Receipt, Sent
from sorofast.triggers.base import Due

KEEPER = bytes(range(32))
CALL = execute_call(bytes(32), bytes(32))
REFUSED_FOR_FEE = Receipt(Sent.REFUSED, "txINSUFFICIENT_FEE", 17_300)
QUEUED = Receipt(Sent.QUEUED, "PENDING")
FULL = Receipt(Sent.TRY_LATER, "TRY_AGAIN_LATER")
DEADLINE_S = 10.0

Member = Callable[[str], FleetPause]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        client = await open_redis(RedisConfig(url=url))
        yield client
        await client.aclose()


@pytest.fixture
def ledgers() -> LedgerClock:
    clock = LedgerClock(1.0)
    clock.observe(100, 1_000)
    return clock


@pytest.fixture
def member(redis: Redis, ledgers: LedgerClock) -> Member:
    return lambda name: pause_of(redis, name, ledgers)


def pause_of(redis: Redis, name: str, ledgers: LedgerClock) -> FleetPause:
    outages = Outages(structlog.get_logger(), StubClock())
    return FleetPause(FleetControl(redis, "pause"), name, ledgers, outages, KEEPER, FixedFee(1_000, 10_000))


def record(task_id: int) -> WalRecord:
    return WalRecord(
        id=task_id, window=900, attempt=1, channel=task_id, sequence=1, max_ledger=106, max_time_s=1_060,
        hash=bytes(32), envelope="AAAA", claimed_ledger=100, epoch=1, template=7, due_s=990,
    )  # fmt: skip


def run(task_id: int) -> Run:
    return Run(Due(Execution(TASKS, task_id, 900), 990, CALL, 7, (task_id,)), task_id, 1)


def entry(gone_since: tuple[int, int] | None, keeper: bytes = KEEPER) -> LedgerEntry:
    return LedgerEntry(
        generation="g", epoch=1, ledger=100, previous=99, events_through=100, close_time_s=1_000, rows=b"",
        snapshot_ledger=100, channels=[], successes=[], removed=[], node="n", keeper=keeper,
        keeper_gone_since=gone_since,
    )  # fmt: skip


async def test_the_first_refusal_stops_every_member(member: Member) -> None:
    one, other = member("one"), member("other")
    hearing = asyncio.ensure_future(one.heard(record(1), REFUSED_FOR_FEE, first=True))
    await asyncio.sleep(0)
    assert not one.lets(record(2)), "before Redis has answered"
    await hearing
    assert other.lets(record(3))
    await other.refresh()
    assert other.cause == FleetCause.FEE_BELOW_MARKET
    assert not other.lets(record(3))


async def test_one_run_a_ledger_is_let_through_and_the_rest_waits_with_the_reason(
    member: Member, ledgers: LedgerClock
) -> None:
    one, other = member("one"), member("other")
    await one.heard(record(1), REFUSED_FOR_FEE, first=True)
    await other.refresh()
    ledgers.observe(101, 1_001)
    plans = [Plan(run=[run(2), run(3)]), Plan(run=[run(4)], next_ledger=[(run(5).due, NO_CHANNEL)])]
    await one.let_through(plans[0])
    await other.let_through(plans[1])
    assert [len(plan.run) for plan in plans] == [1, 0]
    assert [(due.execution.id, reason) for due, reason in plans[0].next_ledger] == [(3, FLEET_PAUSED)]
    assert [(due.execution.id, reason) for due, reason in plans[1].next_ledger] == [
        (5, FLEET_PAUSED),
        (4, FLEET_PAUSED),
    ]
    assert one.lets(record(2))
    assert not one.lets(record(3))


async def test_what_a_node_takes_ends_the_pause_for_everybody(member: Member, ledgers: LedgerClock) -> None:
    one, other = member("one"), member("other")
    await one.heard(record(1), REFUSED_FOR_FEE, first=True)
    await other.refresh()
    over = asyncio.ensure_future(one.over())
    await one.heard(record(8), QUEUED, first=True)
    assert one.cause is not None, "sent before the pause began, it proves nothing"
    ledgers.observe(101, 1_001)
    assert await other.try_with(record(2).key)
    await other.heard(record(2), QUEUED, first=True)
    assert other.cause is None
    async with asyncio.timeout(DEADLINE_S):
        await over
    assert one.cause is None


async def test_a_refused_try_leaves_the_next_ledger_another(member: Member, ledgers: LedgerClock) -> None:
    one = member("one")
    await one.heard(record(1), REFUSED_FOR_FEE, first=True)
    for ledger in (101, 102, 103):
        ledgers.observe(ledger, 900 + ledger)
        assert await one.try_with(record(ledger).key)
        await one.heard(record(ledger), REFUSED_FOR_FEE, first=True)
        assert not one.lets(record(ledger))
        assert not await one.try_with(record(ledger).key)


async def test_without_the_keeper_s_account_nothing_is_tried(member: Member, ledgers: LedgerClock) -> None:
    one = member("one")
    await one.heard(record(1), REFUSED_FOR_FEE, first=True)
    one.take(entry((100, 1_000)))
    ledgers.observe(101, 1_001)
    assert one.cause == FleetCause.KEEPER_MISSING
    assert not await one.try_with(record(2).key)
    one.take(entry(None))
    assert one.cause == FleetCause.FEE_BELOW_MARKET, "that one is not over yet"
    assert await one.try_with(record(2).key)


async def test_three_new_envelopes_sent_back_in_a_row_are_a_full_queue(member: Member) -> None:
    one = member("one")
    for task_id in range(10):
        await one.heard(record(task_id), FULL, first=False)
    await one.heard(record(1), FULL, first=True)
    await one.heard(record(2), FULL, first=True)
    await one.heard(record(3), QUEUED, first=True)
    await one.heard(record(4), FULL, first=True)
    await one.heard(record(5), FULL, first=True)
    assert one.cause is None
    await one.heard(record(6), FULL, first=True)
    assert one.cause == FleetCause.QUEUE_FULL


async def test_bytes_that_were_sent_back_try_only_every_second_ledger(
    member: Member, ledgers: LedgerClock
) -> None:
    one = member("one")
    for task_id in (1, 2, 3):
        await one.heard(record(task_id), FULL, first=True)
    records = [record(1), record(2)]
    tries = []
    for ledger in (101, 102, 103, 104):
        ledgers.observe(ledger, 900 + ledger)
        tries.append(len(await one.may_resend(records, [FULL, FULL])))
    assert tries == [1, 0, 1, 0], "the node may have banned them, so new ones come in between"
    ledgers.observe(106, 1_006)
    assert len(await one.may_resend(records, [FULL, None])) == 1, "what was never sent is as good as new"


async def test_a_channel_without_money_is_its_own_fault_and_all_of_them_are_the_fleet_s(
    member: Member,
) -> None:
    one, follower = member("one"), member("follower")
    follower.speaks = lambda: True
    dry = {"quarantined": {"txINSUFFICIENT_BALANCE": 2}}
    for pause in (one, follower):
        await pause.look_at_channels([dry, {"quarantined": {"txNO_ACCOUNT": 1}}, {"pid": 4}], 4)
        assert pause.cause is None
    all_dry = [dry, {"quarantined": {"txNO_ACCOUNT": 1, "txBAD_AUTH": 1}}]
    await one.look_at_channels(all_dry, 4)
    assert one.cause is None, "one member says it for all"
    await follower.look_at_channels(all_dry, 4)
    await one.refresh()
    assert follower.cause == one.cause == FleetCause.NO_USABLE_CHANNEL
    await one.look_at_channels([dry], 4)
    await follower.refresh()
    assert one.cause is None
    assert follower.cause is None


async def test_an_end_is_charged_to_the_task_only_if_it_is_the_task_s(member: Member) -> None:
    one = member("one")
    one.take(entry(None))
    view = ChannelView(1, 100, 1_000, 100)
    cases = {
        "txFAILED/opNO_ACCOUNT": FleetCause.KEEPER_MISSING,
        "txFAILED/opBAD_AUTH": FleetCause.KEEPER_CANNOT_SIGN,
        "txFAILED/INVOKE_HOST_FUNCTION_TRAPPED": None,
    }
    for codes, cause in cases.items():
        assert one.blames(Ended(record(1), Outcome.FAILED, view, "in words", codes=codes)) is cause
    executed = Ended(record(1), Outcome.EXECUTED, view, "", codes="txFAILED/opNO_ACCOUNT")
    assert one.blames(executed) is None
    one.take(entry(None, keeper=b""))
    missing = Ended(record(1), Outcome.FAILED, view, "in words", codes="txFAILED/opNO_ACCOUNT")
    assert one.blames(missing) is None, "an older follower does not look, so the task must back off"


async def test_a_redis_that_is_gone_stops_what_it_stopped_and_raises_nothing(
    tmp_path: Path, ledgers: LedgerClock
) -> None:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        client = await open_redis(RedisConfig(url=url))
    one = pause_of(client, "one", ledgers)
    await one.heard(record(1), REFUSED_FOR_FEE, first=True)
    await one.refresh()
    ledgers.observe(101, 1_001)
    assert one.cause == FleetCause.FEE_BELOW_MARKET
    assert not await one.try_with(record(2).key)
    plan = Plan(run=[run(2)])
    await one.let_through(plan)
    assert plan.run == []
    await client.aclose()


def test_what_waits_for_the_fleet_says_so() -> None:
    assert name_of(FLEET_PAUSED) == "fleet_paused"
