"""Processes that stand still, die, keep dying, or are told to end, while work is in flight."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from helpers.faults.scene import Scenario
from sorofast.coordination.leases import LEASE_TTL_S
from sorofast.demo.fleet import Event

DRAIN_MAX_S = 10.0


@pytest.mark.parametrize("who", ["follower", pytest.param("worker", marks=pytest.mark.verify)])
async def test_an_owner_that_stood_still_past_its_lease_changes_nothing_when_it_goes_on(
    scenario: Scenario, who: str
) -> None:
    async with scenario(due_per_ledger=4, tasks=32) as s:
        stale = s.processes.follower() if who == "follower" else s.processes.others()[0]
        async with s.processes.stopped(stale):
            # The other worker takes everything once the leases have run out.
            await s.processes.logged("shards_held", lambda event: len(event["shards"]) == s.setup.shards)
            await s.pass_ledgers(int(2 * LEASE_TTL_S))
        report = await s.judged(ledgers=10)
    assert report.executed >= 32, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()


@pytest.mark.verify
async def test_bytes_that_a_stopped_owner_sends_late_do_no_harm(scenario: Scenario) -> None:
    """Everybody stands still with claims in the log; what goes on afterwards is old and new owners at once."""
    async with scenario(due_per_ledger=4, tasks=32) as s:
        for _ in range(3):
            stale = s.processes.others()
            async with s.processes.stopped(*stale):
                await s.pass_ledgers(int(LEASE_TTL_S) + 1)
            await s.pass_ledgers(1)
        report = await s.judged(ledgers=10)
    assert report.executed >= 32, report.summary()


@pytest.mark.verify
async def test_a_worker_that_keeps_dying_ends_the_run_with_the_reason_and_loses_nothing(
    scenario: Scenario,
) -> None:
    killing = False

    def kill(event: Event) -> None:
        if killing and event["event"] == "worker_up" and event["slot"] == 0:
            os.kill(event["pid"], signal.SIGKILL)

    async with scenario(listener=kill) as s:
        killing = True
        s.processes.kill(s.processes.worker(0))
        async with asyncio.timeout(60):
            assert await s.run.wait() == 1
        assert "died 5 times" in s.run.failure
        killing = False
        again = await s.start_run()
        await again.ready()
        report = await s.judged(ledgers=10)
    assert report.executed >= 24, report.summary()


@pytest.mark.verify
async def test_a_drain_under_load_is_short_and_the_next_run_finds_nothing_lost(scenario: Scenario) -> None:
    async with scenario(due_per_ledger=6, tasks=48) as s:
        took_s = []
        for number in range(3):
            run = s.runs[-1]
            if number:
                run = await s.start_run()
                await run.ready()
            await run.wait_for(lambda event: event.get("in_flight", 0) > 0, "have something in flight", 30)
            began = time.monotonic()
            assert await run.stop() == 0
            took_s.append(round(time.monotonic() - began, 2))
        last = await s.start_run()
        await last.ready()
        report = await s.judged(ledgers=10)
    assert max(took_s) < DRAIN_MAX_S, took_s
    assert report.executed >= 24, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()
