"""A secret's file that is gone, or that others may read by now, keeps a worker from starting and ends nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.faults.scene import Scenario


@pytest.mark.verify
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["deleted", pytest.param("readable by others", marks=pytest.mark.verify)])
async def test_a_worker_that_dies_while_the_seed_cannot_be_read_is_replaced_once_it_can(
    scenario: Scenario, how: str
) -> None:
    async with scenario(tasks=32, due_per_ledger=4) as s:
        seed: Path = s.fleet.directory / "channels.seed"
        text = seed.read_bytes()
        if how == "deleted":
            seed.unlink()
        else:
            seed.chmod(0o644)
        s.processes.kill(s.processes.others()[0])
        refused = await s.processes.logged("worker_refused")
        assert "channels.seed" in refused["reason"]
        assert refused["fix"]
        # The living worker has taken everything, and goes on.
        await s.processes.logged("shards_held", lambda event: len(event["shards"]) == s.setup.shards)
        before = await s.latest_ledger()
        await s.pass_ledgers(5)
        assert [run for run in s.oracle.runs() if run.ledger > before + 1]
        assert s.run.returncode is None, s.run.failure
        seed.unlink(missing_ok=True)
        seed.touch(mode=0o600)
        seed.write_bytes(text)
        await s.processes.logged("workers_back")
        report = await s.judged(ledgers=10)
        said = [event["event"] for event in s.run.events].count("worker_refused")
    assert said <= 2
    assert report.executed >= 32, report.summary()
