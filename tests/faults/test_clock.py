"""A host whose wall clock is wrong, or jumps while the engine works: nothing is paid early, nothing is missed.

The engine's processes, and only they, run by that clock; the network and Redis keep the true time.
"""

from __future__ import annotations

import itertools

import pytest

from helpers.faults.clocks import HostClock
from helpers.faults.scene import Scenario

TASKS = 40
WORKERS = 2
HOUR_S = 3_600.0
STEPS_S = (4.0, 15.0, -15.0, HOUR_S, -HOUR_S, 0.0)
"""Where the clock stands one after the other, each for a few ledgers."""
LEDGERS_PER_STEP = 5
CLAIM_TAKES_S = 0.25
GUARD_S = 0.5


@pytest.mark.verify
@pytest.mark.parametrize(
    "offset_s",
    [0.0, 4.0, 15.0, -15.0, HOUR_S, -HOUR_S],
)
async def test_a_clock_that_is_wrong_from_the_start_makes_nothing_early_and_nothing_missed(
    scenario: Scenario, host_clock: HostClock, offset_s: float
) -> None:
    host_clock.step(offset_s)
    async with scenario(tasks=TASKS, workers=WORKERS, intervals_s=(5, 15), host_clock=host_clock) as s:
        judged = await s.judged(ledgers=20, bent=False)
        assert judged.executed >= TASKS, judged.summary()
        said = s.processes.events("wall_clock_wrong")
        # All workers have one clock, so it is said once for all; the run is shorter than the minute after which it is
        # repeated.
        assert len(said) == (1 if offset_s else 0), said
        assert all((one["ahead_s"] > 0) == (offset_s > 0) for one in said)


async def test_a_clock_that_steps_in_mid_run_makes_nothing_early_and_nothing_missed(
    scenario: Scenario, host_clock: HostClock
) -> None:
    async with scenario(tasks=TASKS, workers=WORKERS, intervals_s=(5, 15), host_clock=host_clock) as s:
        for offset_s in STEPS_S:
            host_clock.step(offset_s)
            await s.pass_ledgers(LEDGERS_PER_STEP)
        judged = await s.judged(ledgers=8, bent=False)
        assert judged.executed >= 3 * TASKS, judged.summary()
        assert s.processes.events("wall_clock_wrong")
        assert s.processes.events("wall_clock_right_again")


@pytest.mark.verify
@pytest.mark.parametrize("offset_s", STEPS_S[:-1])
async def test_a_single_step_makes_nothing_early_and_nothing_missed(
    scenario: Scenario, host_clock: HostClock, offset_s: float
) -> None:
    async with scenario(tasks=TASKS, workers=WORKERS, intervals_s=(5, 15), host_clock=host_clock) as s:
        await s.pass_ledgers(8)
        host_clock.step(offset_s)
        judged = await s.judged(ledgers=20, bent=False)
        assert judged.executed >= TASKS, judged.summary()
        assert len(s.processes.events("wall_clock_wrong")) == 1


@pytest.mark.verify
async def test_what_waits_for_the_clock_is_claimed_before_its_second_and_sent_when_that_has_passed(
    scenario: Scenario,
) -> None:
    """So a claim that takes a quarter of a second delays no run by that, and nothing leaves too soon."""
    settings = {"engine": {"timing": "safe", "guard_s": GUARD_S}}
    async with scenario(tasks=16, intervals_s=(6, 9), resolvers=0, ledger_close="3s", settings=settings) as s:
        await s.until(lambda: len(s.log.entries) >= 16, "every task has been sent once", 60)
        s.redis.delay("commit_ledger", seconds=CLAIM_TAKES_S)
        first = len(s.log.entries)
        await s.until(lambda: len(s.log.entries) >= first + 40, "the tasks are sent again", 60)
        sent_s = {entry.hash: entry.at_s for entry in s.log.entries[first:]}
        runs = sorted((await s.judged(ledgers=4)).runs, key=lambda run: (run.task_id, run.ledger))
        interval_s = {spec.task_id: spec.interval_s for spec in s.network.specs}
        after_s = sorted(
            sent_s[run.hash] - before.close_time_s - interval_s[run.task_id]
            for before, run in itertools.pairwise(runs)
            if before.task_id == run.task_id and run.hash in sent_s
        )
        assert after_s[0] >= GUARD_S, after_s
        # Those of the first ledgers come later: this host's clock is not believed yet.
        assert after_s[5] < GUARD_S + CLAIM_TAKES_S, after_s


@pytest.mark.verify
@pytest.mark.parametrize("slow", ["getLedgerEntries", "getHealth"])
async def test_a_clock_that_is_right_is_not_blamed_for_a_node_that_takes_its_time(
    scenario: Scenario, slow: str
) -> None:
    """Every ledger is seen four seconds after it closed, which is what a clock four seconds ahead looks like."""
    async with scenario(tasks=12, workers=WORKERS, intervals_s=(20, 30)) as s:
        delayed = s.rpc.delay(slow, seconds=4.0)
        await delayed.struck(8, 90)
        assert s.processes.events("wall_clock_wrong") == []
        await s.judged(ledgers=8)
        assert s.processes.events("wall_clock_wrong") == []
