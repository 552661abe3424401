"""Things that happen between two steps, where one alone would do no harm: no fleet stops for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import seeded
from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import POLL_S, Scenario, Scene, with_fields
from sorofast.audit.seed import task_entries

pytestmark = [pytest.mark.verify, pytest.mark.timeout(180)]

FAR_LEDGERS = 100_000
HOUR_S = 3_600


def overdue(task_id: int) -> dict[str, Any]:
    """Has been due since long ago, and then not for an hour; each calls another target."""
    return {
        "target": scval.to_address(seeded(f"target {task_id % 8}")),
        "function": scval.to_symbol("increment"),
        "args": scval.to_vec([]),
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(HOUR_S),
        "last_run": scval.to_uint64(task_id),
    }


@contextlib.asynccontextmanager
async def deposits(s: Scene) -> AsyncIterator[list[int]]:
    """The gas of all tasks grows all the time. Only while nothing lands, since the rest of their entries is as at the
    beginning.
    """
    rounds: list[int] = []

    async def go_on() -> None:
        while True:
            latest = await s.latest_ledger()
            seeds = task_entries(
                s.network.registry, s.network.specs, s.network.keeper.public_key, s.first_due_s, latest
            )
            gas = {"gas_balance": scval.to_int128(10**9 + len(rounds))}
            await s.admin.put_entries(
                [
                    (with_fields(raw, overdue(spec.task_id) | gas), live_until)
                    for spec, (raw, live_until) in zip(s.network.specs, seeds, strict=True)
                ]
            )
            rounds.append(latest)
            await asyncio.sleep(3 * POLL_S)

    going = asyncio.create_task(go_on())
    try:
        yield rounds
    finally:
        going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going


async def test_deposits_into_tasks_that_are_being_simulated_end_no_worker(scenario: Scenario) -> None:
    """With a Redis that takes its time, so that much happens from one cycle to the next."""
    async with scenario(tasks=3, reshape=overdue, workers=1, shards=1, start=False) as s:
        nothing = s.rpc.drop_request("sendTransaction")
        slow = s.rpc.delay("simulateTransaction", seconds=0.8)
        s.redis.delay("HMGET", seconds=0.6)
        async with deposits(s) as rounds:
            run = await s.start_run()
            await run.ready()
            await slow.struck(2)
            await s.pass_ledgers(12)
            assert len(rounds) > 20
        assert nothing.hits
        assert s.processes.events("worker_died") == []
        report = await s.judged(ledgers=14, bound_ledgers=12)
    assert report.executed == 3, report.summary()


def far_ahead(_: Call, answer: Any) -> Any:
    """As a node of a network that is much older answers."""
    if "result" in answer and "latestLedger" in answer["result"]:
        answer["result"]["latestLedger"] += FAR_LEDGERS
    return answer


async def test_an_address_that_leads_to_another_network_for_some_seconds_stops_nothing_for_good(
    scenario: Scenario,
) -> None:
    """No request fails over it: whoever stands before the nodes just asks another one."""
    async with scenario() as s:
        await s.pass_ledgers(3)
        methods = ("getHealth", "getEvents", "getLedgerEntries", "getTransaction", "sendTransaction")
        elsewhere = [s.rpc.rewrite(method, far_ahead) for method in methods]
        s.rpc.patch("getNetwork", {"result": {"passphrase": "Another one ; 2026"}})
        await elsewhere[0].struck(12)
        await s.calm()
        await s.pass_ledgers(10)
        report = await s.judged(ledgers=12)
    assert report.executed >= 30, report.summary()


async def test_a_close_time_that_was_misheard_before_an_outage_stops_nothing_for_good(
    scenario: Scenario,
) -> None:
    def later(_: Call, answer: Any) -> Any:
        health = answer["result"]
        health["latestLedgerCloseTime"] = str(int(health["latestLedgerCloseTime"]) + 1)
        return answer

    async with scenario() as s:
        await s.pass_ledgers(3)
        lie = s.rpc.rewrite("getHealth", later)
        await s.pass_ledgers(1)
        s.rpc.cut()
        await asyncio.sleep(2.5)
        lie.lift()
        await s.calm()
        await s.pass_ledgers(10)
        report = await s.judged(ledgers=12, early_max=None)
        assert lie.hits
    assert report.executed >= 30, report.summary()
