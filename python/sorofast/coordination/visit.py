"""For commands that only look at a fleet: no lease, no script, nothing changed, no server started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis

from sorofast.coordination.client import open_redis, redis_errors
from sorofast.coordination.embedded import home_of, running_url
from sorofast.coordination.keys import FleetKeys, ShardKeys
from sorofast.errors import FleetMismatch, RedisUnreachable
from sorofast.executions.records import Record, RetryRecord, WalRecord, decode_record
from sorofast.settings import RedisConfig

__all__ = ["TaskRecords", "dead_records", "knows_fleet", "task_records", "visit", "visit_fleet"]

_SCAN_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class TaskRecords:
    """Envelopes on their way, runs that wait for another attempt, and dead letters; of several windows."""

    in_flight: list[WalRecord]
    retry: list[RetryRecord]
    dead: list[RetryRecord]


@asynccontextmanager
async def visit(config: RedisConfig) -> AsyncIterator[Redis]:
    """A connection to the fleet's Redis; to the embedded server only while an engine runs one.

    Raises RedisUnreachable.
    """
    if config.url == "embedded":
        url = running_url(config)
        if url is None:
            raise RedisUnreachable(
                f"no embedded Redis runs in {home_of(config)}: start `sorofast run`, or, if it runs with other "
                "settings, give them here too (--config or SOROFAST_CONFIG), or its server by redis.url"
            )
        config = replace(config, url=url)
    redis = await open_redis(config)
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def visit_fleet(config: RedisConfig, shards: int, *, may_be_new: bool = False) -> AsyncIterator[Redis]:
    """The same, to the Redis of a fleet of so many shards.

    FleetMismatch where the fleet has another number, since its records would be looked for where they are not, and
    where there is no fleet, unless it `may_be_new`: an empty answer would be taken for a good one.
    """
    async with visit(config) as redis:
        with redis_errors("reading the fleet's parameters"):
            raw: Any = await redis.hget(FleetKeys.of(config.prefix).meta, "shards")
        stored = None if raw is None else raw.decode(errors="replace")
        if stored is None and not may_be_new:
            raise FleetMismatch(
                f"there is no fleet under redis.prefix {config.prefix!r}: start `sorofast run` first, or check the "
                "prefix"
            )
        if stored not in (None, str(shards)):
            shards_of_it = "1 shard" if stored == "1" else f"{stored} shards"
            raise FleetMismatch(
                f"the fleet under redis.prefix {config.prefix!r} has {shards_of_it}, and engine.shards is {shards} "
                f"here: set it to {stored}, so that its records are looked for where they are"
            )
        yield redis


async def knows_fleet(config: RedisConfig) -> bool:
    """Whether a fleet was ever started under the prefix. Raises RedisUnreachable."""
    async with visit(config) as redis:
        with redis_errors("looking for a fleet"):
            return bool(await redis.exists(FleetKeys.of(config.prefix).meta))


async def task_records(redis: Redis, prefix: str, shard: int, task_id: int) -> TaskRecords:
    """The records of `task_id`, which belongs to `shard`. The three kinds are read one after the other, so they
    may be a ledger apart. Raises RedisUnreachable, and DecodeError for records of another version.
    """
    keys = ShardKeys.of(prefix, shard)
    with redis_errors("reading a task's records"):
        return TaskRecords(
            in_flight=[record async for record in _matching(redis, keys.wal, task_id, WalRecord)],
            retry=[record async for record in _matching(redis, keys.retry, task_id, RetryRecord)],
            dead=[record async for record in _matching(redis, keys.dead, task_id, RetryRecord)],
        )


async def dead_records(redis: Redis, prefix: str, shards: int) -> list[tuple[int, RetryRecord]]:
    """(shard, dead letter) of every dead letter. Raises RedisUnreachable, and DecodeError for records of another
    version.
    """
    with redis_errors("reading the dead letters"):
        async with redis.pipeline(transaction=False) as pipe:
            for shard in range(shards):
                pipe.hvals(ShardKeys.of(prefix, shard).dead)
            replies = await pipe.execute()
    return [(shard, decode_record(raw, RetryRecord)) for shard, reply in enumerate(replies) for raw in reply]


async def _matching(redis: Redis, key: str, task_id: int, kind: type[Record]) -> AsyncIterator[Record]:
    """Fields are named `task:window`. A hash is bounded by what a shard may have in flight, in retry or dead."""
    async for _, raw in redis.hscan_iter(key, match=f"{task_id}:*", count=_SCAN_COUNT):
        yield decode_record(raw, kind)
