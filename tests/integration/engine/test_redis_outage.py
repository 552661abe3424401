"""A Redis that stands still for longer than a lease, under a fleet at work."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from helpers.demo import at_work, options_of
from sorofast.coordination.client import open_redis
from sorofast.settings import RedisConfig

OUTAGE_LEDGERS = 7


def server_of(socket: str) -> int:
    """The process that serves this unix socket."""
    for process in psutil.Process().children(recursive=True):
        if "valkey" in process.name() and any(
            connection.laddr == socket for connection in process.net_connections("unix")
        ):
            return process.pid
    raise AssertionError(f"nobody serves {socket}")


@pytest.mark.timeout(240)
async def test_a_redis_that_stands_still_and_comes_back_costs_no_run_and_doubles_none(tmp_path: Path) -> None:
    options = options_of(workers=2, due_per_ledger=8)
    async with at_work(options, tmp_path) as work:
        socket = work.fleet.redis_url.removeprefix("unix://").partition("?")[0]
        pid = await asyncio.to_thread(server_of, socket)
        os.kill(pid, signal.SIGSTOP)
        try:
            await work.trial.pass_ledgers(OUTAGE_LEDGERS)
        finally:
            os.kill(pid, signal.SIGCONT)
        await work.trial.pass_ledgers(20)
        report = await work.trial.end(work.run)
    # Seven ledgers of standstill and those of the takeover leave some windows late, but none behind for good.
    assert report.duplicates == 0, report
    assert (report.early, report.failed) == (0, 0), report
    assert report.open <= 20, report
    assert report.executed > 50, report


@pytest.mark.timeout(120)
async def test_a_redis_that_was_emptied_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    options = options_of(workers=2, due_per_ledger=8)
    async with at_work(options, tmp_path) as work:
        run = work.run
        redis = await open_redis(RedisConfig(url=work.fleet.redis_url))
        await redis.flushall()
        await redis.aclose()
        async with asyncio.timeout(60):
            assert await run.wait() == 3
    assert "Redis was emptied or replaced" in run.failure
    assert "Traceback" not in run.log_path.read_text(encoding="utf-8")
