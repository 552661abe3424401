"""No task is forgotten: whatever has gone wrong before, what is due runs once nothing goes wrong any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helpers.shard_world import ShardWorld
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.engine import claims, simulate
from sorofast.engine.retries import BACKOFF_LEDGERS_MAX, JITTER_SHARE
from sorofast.settings import RedisConfig

TROUBLE_LEDGERS = 40
QUIET_LEDGERS = int(BACKOFF_LEDGERS_MAX * (1 + JITTER_SHARE)) + 10
"""The longest back-off, and a few to work off what has waited."""
LATE_MAX = 3


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        client = await open_redis(RedisConfig(url=url))
        yield client
        await client.aclose()


async def live_through(world: ShardWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "build", world.build)
    monkeypatch.setattr(claims, "COMMIT_PAUSE_S", 0.0)
    monkeypatch.setattr(simulate.Simulator, "_simulate", lambda _, due: world.simulate(due))
    for _ in range(2):
        world.chain.trouble = True
        await world.pass_ledgers(TROUBLE_LEDGERS)
        world.chain.settle_down()
        await world.pass_ledgers(QUIET_LEDGERS)
        for _ in range(10):
            await world.pass_ledgers(1)
            late = {task: by for task, by in world.chain.overdue_ledgers().items() if by > LATE_MAX}
            assert not late, late
    assert world.chain.ran


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", [0, pytest.param(100, marks=pytest.mark.verify)])
async def test_whatever_went_wrong_all_that_is_due_runs_once_nothing_does(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    for seed in range(first, first + (1 if not first else 12)):
        try:
            await live_through(ShardWorld(redis, f"world-{seed}", seed), monkeypatch)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
