"""What is the fleet's fault stops the fleet and charges no task, is said once, and runs go on by themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from stellar_sdk import xdr as stellar_xdr

from helpers.faults.scene import Scenario, Scene
from helpers.keeper_account import KeeperAccount, runs_since
from helpers.operator import sorofast

TASKS = 24
FEW_TASKS = 12
"""No more than one round of the channels."""
PAUSE_LEDGERS = 6
QUEUE_FULL = {"status": "TRY_AGAIN_LATER", "hash": "00" * 32, "latestLedger": 1, "latestLedgerCloseTime": "1"}


def sends_after(s: Scene, ledger: int) -> dict[int, int]:
    """How many envelopes were sent in each ledger after that one."""
    counts = Counter(one.latest_ledger for one in s.log.entries if one.latest_ledger > ledger)
    return dict(sorted(counts.items()))


def assert_tried_once_a_ledger(sent: dict[int, int]) -> None:
    """From the ledger after the refusal's on. In that one, a worker that planned while the refusal was being noted may
    have had its envelopes on the way.
    """
    at_once, *later = sent.values()
    assert at_once <= 8, sent
    assert set(later) == {1}, sent


async def status(s: Scene) -> Any:
    done = await sorofast("status", "-c", str(s.fleet.config_path), "-o", "json")
    assert done.code == 0, done.err
    return done.json


async def resumed(s: Scene, cause: str) -> int:
    """Waits until the run says that it goes on; the ledger in which it did."""
    await s.processes.logged("fleet_resumed", lambda event: event["cause"] == cause)
    return await s.latest_ledger()


def assert_no_dead_letters(s: Scene) -> None:
    events = [event for run in s.runs for event in run.events]
    assert [event for event in events if "dead letter" in str(event.get("then"))] == []


def assert_said_once(s: Scene, cause: str) -> None:
    events = [event for run in s.runs for event in run.events]
    assert [event["event"] for event in events if event["event"] == cause] == [cause]
    assert [event["cause"] for event in events if event["event"] == "fleet_resumed"] == [cause]
    assert [event for event in events if event["event"] == "channels_quarantined"] == []
    assert_no_dead_letters(s)


@pytest.mark.timeout(180)
async def test_nothing_is_sent_while_the_keeper_has_no_account_and_all_runs_once_it_has(
    scenario: Scenario,
) -> None:
    async with scenario(tasks=TASKS) as s:
        keeper = KeeperAccount(s.network)
        await s.pass_ledgers(3)
        gone = await keeper.merge()
        await s.processes.logged("keeper_missing")
        s.processes.kill(s.processes.follower())
        await s.pass_ledgers(PAUSE_LEDGERS)
        told = await status(s)
        sent = sends_after(s, gone)
        there = await keeper.make_again()
        at = await resumed(s, "keeper_missing")
        await s.pass_ledgers(3)
        runs = await runs_since(s.network, gone - 1)
        report = await s.judged(ledgers=6)
    assert sent == {}, f"the keeper was gone in ledger {gone}"
    assert set(runs.failed) <= {gone, gone + 1}
    assert told["paused"]["since_ledger"] in (gone, gone + 1)
    assert s.network.keeper.public_key in told["paused"]["text"]
    assert "create and fund it" in told["paused"]["text"]
    assert at <= there + 2
    assert runs.within(range(at, at + 3)) >= 10, "what fell due meanwhile goes out at once"
    assert_said_once_whoever_follows(s)
    assert report.failed <= TASKS


def assert_said_once_whoever_follows(s: Scene) -> None:
    """Once for the run, though the follower that began to say it was killed, and once that it is over."""
    told = [event for event in s.run.events if event["event"] == "keeper_missing"]
    assert 1 <= len(told) <= 2
    assert len(s.processes.events("fleet_resumed")) == 1
    assert_no_dead_letters(s)


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_one_try_a_ledger_goes_out_while_the_keeper_cannot_sign(scenario: Scenario) -> None:
    async with scenario(tasks=TASKS) as s:
        keeper = KeeperAccount(s.network)
        await s.pass_ledgers(3)
        taken = await keeper.take_signing_power()
        await s.processes.logged("keeper_cannot_sign")
        refused = next(one.latest_ledger for one in s.log.entries if one.code == "txFAILED")
        await s.pass_ledgers(PAUSE_LEDGERS)
        told = await status(s)
        sent = sends_after(s, refused)
        back = await keeper.give_signing_power_back()
        at = await resumed(s, "keeper_cannot_sign")
        await s.pass_ledgers(3)
        runs = await runs_since(s.network, taken)
        await s.judged(ledgers=6)
    assert_tried_once_a_ledger(sent)
    assert len(sent) >= PAUSE_LEDGERS - 2, "somebody tries in every ledger"
    assert told["paused"]["cause"] == "keeper_cannot_sign"
    assert "weight" in told["paused"]["text"]
    assert at <= back + 2
    assert runs.within(range(at, at + 3)) >= 10, "what fell due meanwhile goes out at once"
    assert_said_once(s, "keeper_cannot_sign")


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_pause_whose_finder_died_ends_when_its_cause_is_gone(scenario: Scenario) -> None:
    async with scenario(tasks=TASKS) as s:
        keeper = KeeperAccount(s.network)
        await s.pass_ledgers(3)
        await keeper.take_signing_power()
        await s.processes.logged("keeper_cannot_sign")
        await s.pass_ledgers(1)
        s.processes.kill(*s.processes.everyone())
        await s.run.wait()
        await keeper.give_signing_power_back()
        assert (await status(s))["paused"]["cause"] == "keeper_cannot_sign"
        before = await s.latest_ledger()
        run = await s.start_run()
        await run.ready()
        first = min(sends_after(s, before), default=0) or await s.latest_ledger()
        await s.pass_ledgers(4)
        told = await status(s)
        runs = await runs_since(s.network, first)
        await s.judged(ledgers=6)
    assert told["paused"] is None
    assert runs.within(range(first + 1, first + 6)) >= 15


@pytest.mark.timeout(180)
async def test_a_fee_below_the_market_is_one_cause_for_the_fleet_and_ends_with_it(scenario: Scenario) -> None:
    async with scenario(tasks=TASKS) as s:
        await s.pass_ledgers(3)
        surge = s.rpc.answer("sendTransaction", result=refusal("txINSUFFICIENT_FEE", 17_300))
        await s.processes.logged("fee_below_market")
        refused = await s.latest_ledger()
        await s.pass_ledgers(8)
        told = await status(s)
        sent = sends_after(s, refused)
        surge.lift()
        healed = await s.latest_ledger()
        at = await resumed(s, "fee_below_market")
        await s.pass_ledgers(3)
        runs = await runs_since(s.network, refused)
        report = await s.judged(ledgers=6)
    assert_tried_once_a_ledger(sent)
    assert len(sent) >= 6, "somebody tries in every ledger"
    assert told["paused"]["cause"] == "fee_below_market"
    assert "at least 17300 stroops" in told["paused"]["text"]
    assert "bids 1000" in told["paused"]["text"]
    assert at <= healed + 2
    assert runs.within(range(at, at + 3)) >= 10, "what fell due meanwhile goes out at once"
    assert report.failed == 0
    assert_said_once(s, "fee_below_market")


def refusal(code: str, fee_stroops: int = 0) -> dict[str, object]:
    """A node's answer to a transaction that it refuses with that code."""
    result = stellar_xdr.TransactionResult(
        stellar_xdr.Int64(fee_stroops),
        stellar_xdr.TransactionResultResult(stellar_xdr.TransactionResultCode[code]),
        stellar_xdr.TransactionResultExt(0),
    )
    return QUEUE_FULL | {"status": "ERROR", "errorResultXdr": result.to_xdr()}


@pytest.mark.verify
@pytest.mark.timeout(240)
async def test_a_crowded_market_lets_through_what_it_takes_and_costs_no_back_off(scenario: Scenario) -> None:
    traffic = {"accounts": 200, "fill": 3.0, "bid_stroops": [2_000, 50_000], "instructions": 40_000_000}
    async with scenario(tasks=TASKS) as s:
        await s.pass_ledgers(3)
        await s.admin.set_fault_plan({"traffic": traffic})
        await s.processes.logged("fee_below_market", timeout_s=60)
        await s.pass_ledgers(10)
        refused = sum(one.code == "txINSUFFICIENT_FEE" for one in s.log.entries)
        await s.admin.clear_faults()
        at = await resumed(s, "fee_below_market")
        await s.pass_ledgers(5)
        runs = await runs_since(s.network, at - 1)
        report = await s.judged(ledgers=6)
    assert refused >= 1
    assert runs.within(range(at, at + 4)) >= 10, "nobody backs off for a price that all have to pay"
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_full_queue_is_asked_once_a_ledger_and_everything_runs_when_it_empties(
    scenario: Scenario,
) -> None:
    async with scenario(tasks=TASKS) as s:
        await s.pass_ledgers(3)
        full = s.rpc.answer("sendTransaction", result=QUEUE_FULL)
        await s.processes.logged("queue_full")
        refused = await s.latest_ledger()
        await s.pass_ledgers(8)
        told = await status(s)
        sent = sends_after(s, refused)
        full.lift()
        healed = await s.latest_ledger()
        at = await resumed(s, "queue_full")
        await s.pass_ledgers(3)
        runs = await runs_since(s.network, healed)
        report = await s.judged(ledgers=6)
    assert max(sent.values()) == 1, sent
    assert told["paused"]["cause"] == "queue_full"
    assert at <= healed + 3
    assert runs.within(range(at, at + 3)) >= 10
    assert report.failed == 0
    assert_said_once(s, "queue_full")


@pytest.mark.verify
@pytest.mark.timeout(240)
async def test_channels_without_money_are_told_as_the_fleet_s_cause_once_no_other_is_left(
    scenario: Scenario,
) -> None:
    async with scenario(tasks=TASKS) as s:
        await s.pass_ledgers(3)
        one = s.rpc.answer("sendTransaction", result=refusal("txINSUFFICIENT_BALANCE"), count=1)
        await one.struck()
        await s.pass_ledgers(2)
        assert (await status(s))["paused"] is None, "one channel is no fleet"
        dry = s.rpc.answer("sendTransaction", result=refusal("txINSUFFICIENT_BALANCE"))
        await s.processes.logged("no_usable_channel", timeout_s=60)
        told = await status(s)
        dry.lift()
        await s.run.stop()
        run = await s.start_run()
        await run.ready()
        await s.judged(ledgers=8)
        assert (await status(s))["paused"] is None
    assert told["paused"]["cause"] == "no_usable_channel"
    assert "channels create" in told["paused"]["text"]


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_simulator_that_is_too_busy_is_no_task_s_fault(scenario: Scenario) -> None:
    async with scenario(tasks=FEW_TASKS, start=False) as s:
        busy = s.rpc.answer(
            "simulateTransaction", result={"error": "preflight queue full", "latestLedger": 7}
        )
        run = await s.start_run()
        await run.ready()
        await s.pass_until_due()
        await s.pass_ledgers(10)
        assert busy.hits > 0
        busy.lift()
        healed = await s.latest_ledger()
        report = await s.judged(ledgers=6)
    first_runs: dict[int, int] = {}
    for one in report.runs:
        first_runs.setdefault(one.task_id, one.ledger)
    assert len(first_runs) >= FEW_TASKS - 1
    assert max(first_runs.values()) <= healed + 3, (healed, first_runs)
