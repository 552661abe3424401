"""A shard that goes to another worker while its cycle is at work leaves nothing behind."""

from __future__ import annotations

import pytest

from helpers.faults.scene import Scenario


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_a_shard_handed_over_in_mid_cycle_leaves_no_phantom_in_flight(scenario: Scenario) -> None:
    """What is counted as in flight must be: a drain waits for it."""
    async with scenario(workers=1, tasks=40, intervals_s=(2, 5)) as s:
        slow = s.redis.delay("commit_ledger", seconds=0.4)
        other = await s.start_run(1)
        await other.ready()
        await s.pass_ledgers(8)
        assert slow.hits
        slow.lift()
        await s.pass_ledgers(6)
        await s.judged(ledgers=9)
        told = [event["event"] for run in s.runs for event in run.events]
    assert "drain_incomplete" not in told
