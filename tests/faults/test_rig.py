"""The rig with a real fleet in it: a calm scene is judged well, signals and clocks reach it, and a miss is found."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from helpers.faults.clocks import HostClock
from helpers.faults.oracle import BrokenPromise
from helpers.faults.scene import Scenario


@pytest.mark.verify
async def test_a_calm_scene_is_judged_well(scenario: Scenario) -> None:
    async with scenario() as s:
        report = await s.judged(ledgers=10)
    assert report.executed >= 24, report.summary()
    assert (report.missed, report.early, report.failed) == ([], 0, 0), report.summary()
    # One envelope for each run; a busy machine may have had to send one again.
    assert report.hashes == len(report.runs) <= report.sends


@pytest.mark.verify
async def test_a_fleet_that_stands_still_is_found_to_miss_its_tasks(scenario: Scenario) -> None:
    async with scenario() as s:
        async with s.processes.stopped(*s.processes.everyone()):
            assert set(s.processes.states(*s.processes.everyone())) == {"stopped"}
            await s.pass_ledgers(12)
            late = await s.oracle.look(await s.latest_ledger(), bound_ledgers=5)
        assert late.missed
        with pytest.raises(BrokenPromise, match="nothing missed: task"):
            # Nothing was bent from outside the fleet, as far as the oracle was told: it is the fleet's fault.
            await s.oracle.check(await s.latest_ledger(), bound_ledgers=5)
        report = await s.judged(ledgers=10)
    assert report.missed == []


@pytest.mark.verify
async def test_signals_reach_the_process_they_are_meant_for(scenario: Scenario) -> None:
    async with scenario() as s:
        follower, (other, *_) = s.processes.follower(), s.processes.others()
        s.processes.kill(other)
        died = await s.processes.logged("worker_died")
        assert died["exit_code"] == -signal.SIGKILL
        await s.processes.logged("worker_up", lambda event: event["pid"] not in (other, follower))
        assert s.processes.follower() == follower
        report = await s.judged(ledgers=8)
    assert report.executed >= 24, report.summary()


@pytest.mark.verify
async def test_a_stepped_host_clock_is_wrong_for_the_run_and_right_for_its_redis(
    scenario: Scenario, host_clock: HostClock
) -> None:
    async with scenario(host_clock=host_clock, workers=1) as s:
        assert b"libfaketime" in await asyncio.to_thread(maps_of, s.processes.supervisor)
        assert b"libfaketime" in await asyncio.to_thread(maps_of, s.processes.worker(0))
        assert b"libfaketime" not in await asyncio.to_thread(maps_of, s.valkey.pid)
        true_s = s.run.events[-1]
        host_clock.step(3_600)
        first = len(s.run.events)
        await s.until(lambda: len(s.run.events) > first + 2, "two more events")
        shown = s.run.events[-1]["timestamp"]
        assert shown[:13] != true_s["timestamp"][:13], (shown, true_s)
        host_clock.step(0)
        await s.judged(ledgers=8, early_max=None)


def maps_of(pid: int) -> bytes:
    """What is mapped into a process."""
    return Path(f"/proc/{pid}/maps").read_bytes()
