"""What is said while something is away: a line at the start, one a minute, one at the end, however many shards wait."""

from __future__ import annotations

from collections import Counter

import pytest

from helpers.faults.scene import Scenario

SHARDS = 8
RETRIED_LEDGERS = 20
"""Seconds in which a shard that cannot be loaded is tried again five times."""


@pytest.mark.verify
async def test_shards_that_cannot_be_loaded_while_the_rpc_is_away_are_told_as_one(scenario: Scenario) -> None:
    async with scenario(shards=SHARDS) as s:
        s.rpc.cut()
        said_before = len(s.run.events)
        s.processes.kill(s.processes.worker(0))
        await s.processes.logged("leases_freed")
        await s.pass_ledgers(RETRIED_LEDGERS)
        said = Counter(event["event"] for event in list(s.run.events)[said_before:])
        s.rpc.mend()
        again = await s.processes.logged("loads_again")
        report = await s.judged(ledgers=10)
    assert again["failures"] > SHARDS, "none was tried again"
    assert said["load_failed"] == 1, said
    assert sum(said.values()) - said["ledger"] <= 8, said
    assert report.executed >= s.setup.tasks, report.summary()
