"""What no version of ours wrote stands in Redis: an operator's redis-cli, other software, a newer version or a mistake
put it there. No worker ends of it, what can run goes on running, and a line says where it stands and what to do.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from helpers.faults.scene import Scenario, Scene
from sorofast import _core
from sorofast.coordination.keys import FleetKeys, ShardKeys, facts_of

PREFIX = "sorofast"
SHARD = 1
"""Whose keys are spoiled. The other shards are to go on."""
WATCHED_LEDGERS = 4
DEAD_AFTER_LEDGERS = 7
"""Every envelope of before is dead by then."""

FLEET, OF_SHARD = FleetKeys.of(PREFIX), ShardKeys.of(PREFIX, SHARD)
KEYS = [getattr(keys, name) for keys in (FLEET, OF_SHARD) for name in keys.__slots__]

NAMES = {"wal": b"9:9", "retry": b"9:9", "dead": b"9:9", "channels": b"1:tx", "requests": b""}
ODD_NAME = b"\xff\x00 odd"
HUGE = 4 << 20

Spoil = Callable[[bytes], bytes]
_chance = random.Random(7)
SPOILS: dict[str, Spoil] = {
    "random bytes": lambda value: _chance.randbytes(64),
    "cut short": lambda value: value[: len(value) // 2],
    "another shape": lambda value: b'{"owner": ["x", {"epoch": null}], "schema": "one"}',
    "huge": lambda value: b"\xfe" * HUGE,
}


async def replaced_by_another_type(redis: Redis, key: str) -> None:
    await redis.delete(key)
    if facts_of(key).type == "string":
        await redis.rpush(key, "what other software left")
    else:
        await redis.set(key, "what other software left")


async def spoiled(redis: Redis, key: str, spoil: Spoil) -> None:
    """Every value that stands there, and one more."""
    match facts_of(key).type:
        case "hash":
            stored: dict[bytes, bytes] = await redis.hgetall(key)
            more = [NAMES.get(key.rpartition(":")[2], b"more"), ODD_NAME]
            for name in [*list(stored)[:20], *more]:
                await redis.hset(key, name, spoil(stored.get(name, b"more")))
        case "string":
            await redis.set(key, spoil(await redis.get(key)))
        case "stream":
            newest = await redis.xrevrange(key, count=1)
            fields = newest[0][1] if newest else {b"entry": b"more"}
            await redis.xadd(key, {name: spoil(value) for name, value in fields.items()})
        case "list":
            await redis.rpush(key, spoil(b"more"))
        case "zset":
            await redis.zadd(key, {spoil(b"more"): float("inf"), ODD_NAME: 1.5})


async def put_right(s: Scene, redis: Redis, key: str, kept: bytes | None) -> None:
    """What the line tells an operator to do, where there is something to do."""
    if key in (FLEET.meta, FLEET.generation):
        assert kept is not None
        await redis.restore(key, 0, kept, replace=True)
    elif key == OF_SHARD.wal:
        await s.pass_ledgers(DEAD_AFTER_LEDGERS)
        await redis.delete(key, OF_SHARD.channels)
    elif not facts_of(key).spare:
        await redis.delete(key)


def ran_elsewhere(s: Scene, after: int) -> int:
    runs = (run for run in s.oracle.runs() if run.ledger > after)
    return sum(_core.shard_of(run.task_id, s.setup.shards) != SHARD for run in runs)


async def watched(s: Scene, redis: Redis, key: str, how: str, bend: Callable[[], Awaitable[None]]) -> None:
    kept = await redis.dump(key)
    await bend()
    if key == OF_SHARD.snapshot and how != "cut short":
        # Only the next owner reads it. Five deaths within a minute would end the run.
        owner = (await redis.hget(OF_SHARD.lease, "owner")).decode()
        s.processes.kill(int(owner.split("-")[-2]))
        async with asyncio.timeout(30):
            while (await redis.hget(OF_SHARD.lease, "owner")).decode() in ("", owner):
                await asyncio.sleep(0.05)
        await s.pass_ledgers(2)
    before = await s.latest_ledger()
    await s.pass_ledgers(WATCHED_LEDGERS)
    assert ran_elsewhere(s, before + 1) >= 3, f"{key} is {how}: nothing runs"
    await put_right(s, redis, key, kept)
    await s.pass_ledgers(1)


def told(s: Scene, event: str) -> list[dict[str, Any]]:
    return [line for run in s.runs for line in run.events if line["event"] == event]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "key",
    [
        pytest.param(
            key,
            id=key.rpartition(":")[2],
            marks=[] if key in (FLEET.members, OF_SHARD.wal) else pytest.mark.verify,
        )
        for key in KEYS
    ],
)
@pytest.mark.verify
async def test_whatever_stands_in_a_key_no_worker_ends_of_it_and_the_healthy_shards_go_on(
    scenario: Scenario, key: str
) -> None:
    async with scenario(tasks=48, intervals_s=(4, 8)) as s:
        redis: Redis
        async with s.valkey.client() as redis:
            await watched(s, redis, key, "of another type", lambda: replaced_by_another_type(redis, key))
            for how, spoil in SPOILS.items():
                await watched(s, redis, key, how, lambda spoil=spoil: spoiled(redis, key, spoil))  # type: ignore[misc]
        report = await s.judged(ledgers=16, bound_ledgers=14)
        lines = told(s, "redis_unreadable")
        died = [line for line in told(s, "worker_died") if line["exit_code"] != -signal.SIGKILL]
        broke = [*told(s, "internal_error"), *told(s, "background_task_broke"), *told(s, "send_broke")]
    assert not died, died
    assert not broke, broke
    assert report.executed >= s.setup.tasks, report.summary()
    # Nobody reads it before the next start.
    if key != FLEET.meta:
        named = [line for line in lines if line["key"] == key]
        assert named, lines
        assert all(line["fix"] and line["reason"] for line in named)
