"""What a task that is due waits for, out of what the fleet holds about it and says of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sorofast import _core
from sorofast.coordination.client import open_redis
from sorofast.coordination.control import FleetControl
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.coordination.keys import ShardKeys
from sorofast.executions.records import RetryRecord, encode_record
from sorofast.registry.row import Flag, Row
from sorofast.registry.store import StoredTask
from sorofast.settings import RedisConfig
from sorofast.views.explanation import Explanation, read_explanation

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARDS, TASK, DAY_S = 16, 3, 86_400
TODAY = 20_000
NOW_S = TODAY * DAY_S + 3_600
WINDOW, EARLIER = NOW_S - 60, NOW_S - 600
FAILURES_MAX = 3


@pytest_asyncio.fixture(loop_scope="session")
async def config(tmp_path: Path) -> AsyncIterator[RedisConfig]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        yield RedisConfig(url=url, prefix=f"test-{token_hex(4)}")


@pytest_asyncio.fixture(loop_scope="session")
async def redis(config: RedisConfig) -> AsyncIterator[Redis]:
    """That of a fleet with one worker."""
    client = await open_redis(config)
    fleet = Fleet(client, config.prefix)
    await fleet.check_meta(FleetMeta(FLEET_SCHEMA, SHARDS, "network", "contract", 64, "fingerprint"))
    await fleet.heartbeat("a", {})
    yield client
    await client.aclose()


async def explained(config: RedisConfig, interval_s: int = 30) -> Explanation:
    row = Row(TASK, interval_s, WINDOW, 10**9, 1, 10**6, 1, 1, int(Flag.ACTIVE), 0)
    task = StoredTask(row, None, None)
    return await read_explanation(config, SHARDS, task, NOW_S, 10, paid_failures_max=FAILURES_MAX)


async def hold(redis: Redis, config: RedisConfig, kind: str, window: int, day: int) -> None:
    record = RetryRecord(
        id=TASK, window=window, attempts=3, not_before_s=0, reason="trapped", failures=FAILURES_MAX, day=day
    )
    key = getattr(ShardKeys.of(config.prefix, _core.shard_of(TASK, SHARDS)), kind)
    await redis.hset(key, record.execution, encode_record(record))  # type: ignore[misc]


async def test_a_task_that_is_due_in_a_fleet_that_works_is_due(redis: Redis, config: RedisConfig) -> None:
    assert (await explained(config)).state == "due"
    assert (await explained(config, interval_s=90)).state == "waiting"


async def test_a_pause_of_the_fleet_is_why_a_due_task_waits(redis: Redis, config: RedisConfig) -> None:
    control = FleetControl(redis, config.prefix)
    await control.begin("queue_full", "the queue is full", 7, NOW_S, "a")
    told = await explained(config)
    assert told.state == "fleet_paused"
    assert "since ledger 7: the queue is full" in told.waits_for
    assert (await explained(config, interval_s=90)).state == "waiting"


async def test_a_fleet_without_a_worker_is_why_a_due_task_waits(redis: Redis, config: RedisConfig) -> None:
    await Fleet(redis, config.prefix).leave("a")
    told = await explained(config)
    assert told.state == "no_workers"
    assert "sorofast run" in told.waits_for


@pytest.mark.parametrize("kind", ["retry", "dead"])
async def test_paid_failures_of_earlier_windows_hold_a_task_for_the_rest_of_their_day(
    redis: Redis, config: RedisConfig, kind: str
) -> None:
    await hold(redis, config, kind, EARLIER, TODAY)
    told = await explained(config)
    assert told.state == "quarantined"
    assert "trapped" in told.waits_for
    assert f"in {DAY_S - 3_600} s" in told.waits_for


async def test_paid_failures_of_yesterday_hold_nothing(redis: Redis, config: RedisConfig) -> None:
    await hold(redis, config, "retry", EARLIER, TODAY - 1)
    assert (await explained(config)).state == "due"


async def test_a_dead_letter_of_this_window_is_the_stronger_reason(redis: Redis, config: RedisConfig) -> None:
    await hold(redis, config, "dead", WINDOW, TODAY)
    assert (await explained(config)).state == "dead"
