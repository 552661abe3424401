"""What is said while something is away: a line at the start, one a minute, one at the end, however many shards wait."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections import Counter

import pytest

from helpers.faults.scene import Scenario

SHARDS = 8
PIPE_BYTES = 4_096
DRAIN_MAX_S = 15.0
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
        back = await s.processes.logged("rpc_back")
        # Each shard is tried again within a quarter of a minute, and what fell due meanwhile runs after that.
        report = await s.judged(ledgers=26, bound_ledgers=25)
    assert back["failures"] > SHARDS, "none was tried again"
    assert said["rpc_unreachable"] == 1, said
    assert said["load_failed"] == 0, said
    assert sum(said.values()) - said["ledger"] <= 8, said
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
async def test_a_log_that_nobody_reads_holds_up_no_run_and_no_drain(scenario: Scenario) -> None:
    """As when a terminal is held by Ctrl-S, or a collector hangs: the pipe is full, and every write to it waits."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    async with scenario(start=False) as s:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOROFAST_")}
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sorofast", "run", "--workers", "2", "-c", str(s.fleet.config_path)),
            env=environment | {"SOROFAST_LOG__LEVEL": "debug", "SOROFAST_ENGINE__DRAIN_TIMEOUT_S": "7"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=writer,
        )
        try:
            os.close(writer)
            await s.pass_until_due()
            await s.pass_ledgers(25)
            run.terminate()
            async with asyncio.timeout(DRAIN_MAX_S):
                code = await run.wait()
            sent = len(s.log.entries)
        finally:
            if run.returncode is None:
                run.kill()
                await run.wait()
            os.close(reader)
        again = await s.start_run()
        await again.ready()
        await s.judged(ledgers=10)
    assert code == 0
    assert sent >= 2 * s.setup.tasks
