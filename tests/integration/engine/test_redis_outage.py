"""A Redis that stands still, refuses or forgets, under a fleet at work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

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


@asynccontextmanager
async def busy(redis: Redis) -> AsyncIterator[None]:
    """Somebody's script that runs until it is killed."""
    await redis.config_set("busy-reply-threshold", "50")
    endless = asyncio.create_task(redis.eval("while true do redis.call('GET', KEYS[1]) end", 1, "k"))
    yield
    while not endless.done():
        with contextlib.suppress(ResponseError):
            await redis.script_kill()
        await asyncio.sleep(0.05)
    with contextlib.suppress(ResponseError):
        await endless


@asynccontextmanager
async def setting(redis: Redis, name: str, bad: str, good: str) -> AsyncIterator[None]:
    await redis.config_set(name, bad)
    yield
    await redis.config_set(name, good)


TROUBLES: dict[str, tuple[Callable[[Redis], AbstractAsyncContextManager[None]], str]] = {
    "busy": (busy, "busy with a script"),
    "full": (lambda redis: setting(redis, "maxmemory", "1", "0"), "out of memory"),
    "no replicas": (lambda redis: setting(redis, "min-replicas-to-write", "1", "0"), "too few replicas"),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_redis_that_refuses_for_a_while_kills_no_worker_and_work_goes_on_after_it(
    tmp_path: Path, trouble: str
) -> None:
    make, said = TROUBLES[trouble]
    options = options_of(workers=2, due_per_ledger=8)
    async with at_work(options, tmp_path) as work:
        redis = Redis.from_url(work.fleet.redis_url, socket_timeout=60)
        async with redis, make(redis):
            await work.trial.pass_ledgers(OUTAGE_LEDGERS)
        await work.trial.pass_ledgers(20)
        report = await work.trial.end(work.run)
        log = work.run.log_path.read_text(encoding="utf-8")
    assert said in log
    assert "worker_died" not in log
    assert "Traceback" not in log
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
