"""The whole process group is told to end at once, as service managers do."""

from __future__ import annotations

import time

import pytest

from helpers.faults.scene import Scenario

DRAIN_MAX_S = 10.0


@pytest.mark.verify
async def test_sigterm_to_every_process_at_once_drains_in_order(scenario: Scenario) -> None:
    """What a service manager does: supervisor, workers and the embedded Redis get the signal in the same moment."""
    own = {"redis": {"url": "embedded", "dir": "own"}}
    async with scenario(due_per_ledger=6, tasks=48, settings=own) as s:
        await s.run.wait_for(lambda event: event.get("in_flight", 0) > 0, "have something in flight", 30)
        everyone = s.processes.everyone()
        assert len(everyone) >= 4, "supervisor, two workers and a Redis"
        began = time.monotonic()
        s.processes.terminate(*everyone)
        assert await s.run.wait() == 0, s.run.failure
        took_s = time.monotonic() - began
        await s.start_run()
        await s.runs[-1].ready()
        report = await s.judged(ledgers=10)
    assert took_s < DRAIN_MAX_S, took_s
    assert report.executed >= 24, report.summary()
