"""The log of a bad night, as an operator reads it: each trouble is said once, truly, and told to be over."""

from __future__ import annotations

import asyncio
import base64
import itertools
import struct
import time
from collections import Counter
from typing import Any

import pytest
from stellar_sdk import xdr as stellar_xdr

from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario, Scene
from helpers.operator import sorofast

SHARDS = 8
OUTAGE_LEDGERS = 20
STALLED_AFTER_S = 15.0
SINCE_WITHIN_S = 2.5
"""A follower that has just asked waits a ledger before it asks again, and an outage ends when the RPC is asked next."""
LONG_S = 90.0
BOUND_LEDGERS = 13
"""What was claimed while the RPC was away has to expire first, and all that waited runs at once."""
TRAPPED = "HostError: Error(WasmVm, InvalidAction)\n\nEvent log (newest first):\n   0: nothing of use"


def said_since(s: Scene, before: int) -> Counter[str]:
    """What was said beyond what is said of every ledger, by event."""
    said = Counter(str(event["event"]) for event in list(s.run.events)[before:])
    del said["ledger"]
    return said


async def status(s: Scene, *more: str) -> Any:
    done = await sorofast("status", "-c", str(s.fleet.config_path), *more)
    assert done.code == 0, done.err
    return done


@pytest.mark.timeout(150)
@pytest.mark.parametrize("hold", [False, pytest.param(True, marks=pytest.mark.verify)], ids=["cut", "hangs"])
async def test_an_rpc_that_is_away_is_one_line_at_its_start_and_one_at_its_end(
    scenario: Scenario, hold: bool
) -> None:
    settings = {"network": {"timeout_s": 4}}
    async with scenario(shards=SHARDS, settings=settings) as s:
        before = len(s.run.events)
        began_s = time.monotonic()
        s.rpc.cut(hold=hold)
        started = await s.processes.logged("rpc_unreachable")
        await s.pass_ledgers(OUTAGE_LEDGERS)
        shown = (await status(s, "-o", "json")).json
        table = " ".join((await status(s)).out.split())
        s.rpc.mend()
        lasted_s = time.monotonic() - began_s
        back = await s.processes.logged("rpc_back")
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
        said = said_since(s, before)
    del said["shards_held"], said["following"]  # of the drain
    assert said == {"rpc_unreachable": 1, "rpc_back": 1, "draining": 1, "stopped": 1}, said
    assert "ssl:default" not in str(started["reason"]), started
    assert abs(back["after_s"] - lasted_s) < SINCE_WITHIN_S, (back, lasted_s)
    assert back["text"] == f"RPC back after {back['after_s']:.0f} s"
    assert back["failures"] > 3
    assert [one["name"] for one in shown["outages"]][:1] == ["rpc_unreachable"], shown["outages"]
    assert shown["ledger"]["stale"]
    assert "outage: rpc_unreachable" in table
    assert f"no ledger after {shown['ledger']['sequence']}" in table
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_call_that_alone_is_not_answered_is_told_by_its_name_and_not_as_an_rpc_that_is_away(
    scenario: Scenario,
) -> None:
    async with scenario(shards=SHARDS, start=False) as s:
        hung = s.rpc.black_hole("simulateTransaction", carried_out=False)
        run = await s.start_run()
        await run.ready()
        await hung.struck(6)
        first = await s.processes.logged("simulation_unanswered")
        await s.pass_ledgers(10)
        s.rpc.rules.clear()
        await s.processes.logged("simulations_answered_again")
        await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
        said = said_since(s, 0)
    assert "did not answer within 3 s" in str(first["reason"])
    assert (said["rpc_unreachable"], said["simulation_unanswered"]) == (0, 1), said


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_redis_that_is_away_is_one_line_at_its_start_and_one_at_its_end(scenario: Scenario) -> None:
    async with scenario(shards=SHARDS) as s:
        before = len(s.run.events)
        s.redis.cut()
        began_s = time.monotonic()
        first = await s.processes.logged("redis_unreachable")
        await s.pass_ledgers(OUTAGE_LEDGERS)
        s.redis.mend()
        lasted_s = time.monotonic() - began_s
        back = await s.processes.logged("redis_back")
        await s.pass_ledgers(4)
        said = said_since(s, before)
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
    assert (said["redis_unreachable"], said["redis_back"]) == (1, 1), said
    assert sum(said.values()) <= 12, said
    assert abs(back["after_s"] - lasted_s) < 2 * SINCE_WITHIN_S, (back, lasted_s)
    assert "Error 104" not in str(first["reason"]), first
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_network_that_stands_still_is_said_and_status_shows_it(scenario: Scenario) -> None:
    async with scenario() as s:
        before = len(s.run.events)
        # Long enough for two commands to look at it, and for the server to call itself unhealthy.
        stall_s = STALLED_AFTER_S + 25
        await s.admin.set_fault_plan({"ledger": [{"kind": "stall", "after_s": 0.0, "seconds": stall_s}]})
        first = await s.processes.logged("ledgers_stalled", timeout_s=LONG_S)
        async with asyncio.timeout(STALLED_AFTER_S):
            # What members say of themselves is as old as their last heartbeat.
            while not (shown := (await status(s, "-o", "json")).json)["ledger"]["stale"]:
                pass
        table = " ".join((await status(s)).out.split())
        back = await s.processes.logged("ledgers_close_again", timeout_s=LONG_S)
        said = said_since(s, before)
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
    assert "no ledger after" in str(first["reason"])
    del said["shards_held"]  # of the start, told a second later
    assert said == {"ledgers_stalled": 1, "ledgers_close_again": 1}, said
    assert back["after_s"] > STALLED_AFTER_S
    assert back["text"].startswith("ledgers close again after")
    assert shown["ledger"]["stale"], shown["ledger"]
    assert "ledgers_stalled" in table
    assert report.executed >= s.setup.tasks, report.summary()


def behind(ledgers: int) -> Any:
    """An answer as of so many ledgers earlier."""

    def rewrite(_: Call, answer: Any) -> Any:
        result = answer.get("result", {})
        if "latestLedger" in result:
            result["latestLedger"] = max(1, result["latestLedger"] - ledgers)
        return answer

    return rewrite


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "stranger",
    [False, pytest.param(True, marks=pytest.mark.verify)],
    ids=["lags or was reset", "another network"],
)
@pytest.mark.verify
async def test_an_rpc_that_goes_back_is_told_in_one_plain_line_and_when_it_is_over(
    scenario: Scenario, stranger: bool
) -> None:
    async with scenario(shards=SHARDS) as s:
        # Far enough that the first ledger of all is further behind than a server lags.
        await s.pass_ledgers(max(3, 30 - await s.latest_ledger()))
        before = len(s.run.events)
        for method in ("getHealth", "getLedgerEntries", "getEvents"):
            s.rpc.rewrite(method, behind(10_000))
        if stranger:
            s.rpc.patch("getNetwork", {"result": {"passphrase": "Another Network ; 2026"}})
        first = await s.processes.logged("rpc_out_of_step")
        s.processes.kill(s.processes.others()[0])
        await s.processes.logged("leases_freed")
        await s.pass_ledgers(OUTAGE_LEDGERS)
        s.rpc.rules.clear()
        back = await s.processes.logged("rpc_in_step_again")
        said = said_since(s, before)
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
    if stranger:
        assert "serves another network now, 'Another Network ; 2026'" in str(first["reason"])
    else:
        assert "went back from ledger" in str(first["reason"])
        assert "it lags, or is of another or a reset network" in str(first["reason"])
    assert (said["rpc_out_of_step"], said["rpc_in_step_again"]) == (1, 1), said
    assert said["load_failed"] == said["shards_dropped"] == said["rpc_unreachable"] == 0, said
    assert back["after_s"] >= OUTAGE_LEDGERS / 2
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_new_follower_does_not_believe_a_leap_that_the_fleet_s_last_ledger_contradicts(
    scenario: Scenario,
) -> None:
    """Every second answer is of a ledger far ahead. The one who follows dies, and its heir starts with such a one."""

    def ahead(_: Call, answer: Any) -> Any:
        answer["result"]["latestLedger"] += 500
        return answer

    async with scenario() as s:
        await s.pass_ledgers(3)
        for method in ("getHealth", "getEvents", "getLedgerEntries"):
            turns = itertools.cycle((True, False))
            s.rpc.rewrite(method, ahead, when=lambda _, turns=turns: next(turns))
        for _ in range(3):
            before = len(s.processes.events("following"))
            s.processes.kill(s.processes.follower())
            await s.processes.logged("following", times=before + 1)
            await s.pass_ledgers(3)
        s.rpc.rules.clear()
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_network_that_was_replaced_by_another_with_the_same_name_is_held_off_and_told(
    scenario: Scenario,
) -> None:
    """A reset test network that has come further than the fleet: its ledgers closed at other times."""

    def earlier(_: Call, answer: Any) -> Any:
        for ledger in answer["result"]["ledgers"]:
            raw = bytearray(base64.b64decode(ledger["headerXdr"]))
            # LedgerHeaderHistoryEntry: three hashes and a version, the close time, no upgrades, milliseconds in arm 3.
            seconds, upgrades, arm, milliseconds = struct.unpack_from(">QIiQ", raw, 100)
            assert (upgrades, milliseconds // 1000) == (0, seconds)
            struct.pack_into(">QIiQ", raw, 100, seconds - 3_600, 0, arm, milliseconds - 3_600_000)
            ledger["headerXdr"] = base64.b64encode(raw).decode()
        return answer

    async with scenario() as s:
        s.rpc.cut()
        await s.processes.logged("rpc_unreachable")
        s.rpc.rewrite("getLedgers", earlier)
        s.rpc.mend()
        first = await s.processes.logged("rpc_out_of_step")
        sent = len(s.log.entries)
        await s.pass_ledgers(5)
        held = len(s.log.entries) - sent
        s.rpc.rules.clear()
        await s.processes.logged("rpc_in_step_again")
        report = await s.judged(ledgers=14, bound_ledgers=BOUND_LEDGERS)
    assert "has another ledger" in str(first["reason"])
    assert "closed 3600 s earlier" in str(first["reason"])
    assert held <= 2 * s.setup.tasks
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(200)
async def test_tasks_that_no_simulation_lets_run_are_told_once_and_when_they_run_again(
    scenario: Scenario,
) -> None:
    def trap(_: Call, answer: Any) -> Any:
        answer["result"] = {"latestLedger": answer["result"]["latestLedger"], "error": TRAPPED, "events": []}
        return answer

    settings = {"retry": {"base_ledgers": 1}}
    async with scenario(shards=SHARDS, settings=settings, start=False) as s:
        trapped = s.rpc.rewrite("simulateTransaction", trap)
        run = await s.start_run()
        await run.ready()
        await s.pass_until_due()
        await s.pass_ledgers(15)
        assert trapped.hits > s.setup.tasks, "nothing was tried again"
        said = said_since(s, 0)
        told = s.processes.events("tasks_skipped")
        alone = s.processes.events("task_skipped")
        s.rpc.rules.clear()
        await s.processes.logged("no_task_skipped", timeout_s=LONG_S)
        await s.judged(ledgers=10, bound_ledgers=70)
    assert sum(said[name] for name in ("task_skipped", "tasks_skipped")) <= 8, said
    skipped = {event["task"] for event in alone} | {task for event in told for task in event["tasks"]}
    assert skipped <= set(range(1, s.setup.tasks + 1))
    assert len(skipped) >= 5
    assert all("error" in event for event in (*told, *alone))


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_channels_that_all_go_out_of_use_at_once_are_told_in_a_few_lines(scenario: Scenario) -> None:
    result = stellar_xdr.TransactionResult(
        stellar_xdr.Int64(100),
        stellar_xdr.TransactionResultResult(stellar_xdr.TransactionResultCode.txINSUFFICIENT_BALANCE),
        stellar_xdr.TransactionResultExt(0),
    )
    refusal = {"status": "ERROR", "hash": "00" * 32, "latestLedger": 1, "errorResultXdr": result.to_xdr()}
    async with scenario(shards=SHARDS, due_per_ledger=10, tasks=60) as s:
        before = len(s.run.events)
        s.rpc.answer("sendTransaction", result=refusal | {"latestLedgerCloseTime": "1"})
        await s.processes.logged("channels_quarantined")
        await s.pass_ledgers(OUTAGE_LEDGERS)
        said = said_since(s, before)
        quarantined = {
            channel for event in s.processes.events("channels_quarantined") for channel in event["channels"]
        }
        s.rpc.rules.clear()
        await s.processes.logged("channels_back", timeout_s=LONG_S)
        await s.judged(ledgers=12, bound_ledgers=80)
    assert len(quarantined) > SHARDS, quarantined
    assert said["channels_quarantined"] <= 6, said
    assert said["send_refused"] <= 6, said
    assert sum(said.values()) <= 20, said
