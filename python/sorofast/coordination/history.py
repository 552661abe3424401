"""Reads the bounded histories of the shards: how executions ended, newest first, for commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio import Redis

from sorofast.coordination.client import redis_errors
from sorofast.coordination.keys import ShardKeys
from sorofast.errors import DecodeError
from sorofast.executions.key import Execution, Subject
from sorofast.executions.records import HistoryRecord

__all__ = ["Following", "among_newest", "newest", "of_subject", "oldest_ms", "recent"]

PAGE = 1_000
SCANNED_MAX = 20_000


async def newest(redis: Redis, key: str, count: int) -> list[HistoryRecord]:
    """At most `count` entries of one history, newest first. DecodeError, as for all of these, where one does not
    read.
    """
    with redis_errors("reading a history"):
        entries: Any = await redis.xrevrange(key, count=max(1, count))
    return [_record(entry_id, fields) for entry_id, fields in entries]


async def oldest_ms(redis: Redis, prefix: str, shard: int) -> int | None:
    """When the oldest end was settled that the shard's history still holds, by Redis's clock; None if it is empty."""
    with redis_errors("reading a history"):
        entries: Any = await redis.xrange(ShardKeys.of(prefix, shard).history, count=1)
    return int(entries[0][0].partition(b"-")[0]) if entries else None


async def of_subject(
    redis: Redis, prefix: str, shard: int, subject: Subject, count: int
) -> list[HistoryRecord]:
    """The newest ends of the executions of one subject, newest first."""

    def wanted(record: HistoryRecord) -> bool:
        try:
            return Execution.parse(record.execution).subject == subject
        except ValueError:
            return False

    return await _scan(redis, ShardKeys.of(prefix, shard).history, count, wanted)


async def recent(
    redis: Redis, prefix: str, shards: int, count: int, wanted: Callable[[HistoryRecord], bool]
) -> list[HistoryRecord]:
    """The newest wanted ends of all shards, newest first."""
    found: list[HistoryRecord] = []
    for shard in range(shards):
        found += await _scan(redis, ShardKeys.of(prefix, shard).history, count, wanted)
    return sorted(found, key=lambda record: record.at_ms, reverse=True)[:count]


async def among_newest(
    redis: Redis, prefix: str, shards: int, wanted: Callable[[HistoryRecord], bool]
) -> list[HistoryRecord]:
    """The wanted ones among the newest PAGE ends of each shard: for what is rare, and not worth a longer search."""
    found: list[HistoryRecord] = []
    for shard in range(shards):
        ends = await newest(redis, ShardKeys.of(prefix, shard).history, PAGE)
        found += [record for record in ends if wanted(record)]
    return found


class Following:
    """What is added to the histories from now on; `poll` returns it, oldest first."""

    def __init__(self, redis: Redis, prefix: str, shards: int) -> None:
        self._redis = redis
        self._keys = [ShardKeys.of(prefix, shard).history for shard in range(shards)]
        self._after: list[bytes] = []

    async def poll(self) -> list[HistoryRecord]:
        """At most PAGE a shard at a time; the first call only notes where the histories end."""
        with redis_errors("reading the histories"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for at, key in enumerate(self._keys):
                    if self._after:
                        pipe.xrange(key, min=b"(" + self._after[at], count=PAGE)
                    else:
                        pipe.xrevrange(key, count=1)
                replies = await pipe.execute()
        if not self._after:
            self._after = [reply[0][0] if reply else b"0-0" for reply in replies]
            return []
        found: list[HistoryRecord] = []
        for at, reply in enumerate(replies):
            if reply:
                self._after[at] = reply[-1][0]
                found += [_record(entry_id, fields) for entry_id, fields in reply]
        return sorted(found, key=lambda record: record.at_ms)


async def _scan(
    redis: Redis, key: str, count: int, wanted: Callable[[HistoryRecord], bool]
) -> list[HistoryRecord]:
    found: list[HistoryRecord] = []
    before = b"+"
    for _ in range(SCANNED_MAX // PAGE):
        with redis_errors("reading a history"):
            entries: Any = await redis.xrevrange(key, max=before, count=PAGE)
        for entry_id, fields in entries:
            record = _record(entry_id, fields)
            if wanted(record):
                found.append(record)
                if len(found) == count:
                    return found
        if len(entries) < PAGE:
            break
        before = b"(" + entries[-1][0]
    return found


def _record(entry_id: bytes, fields: dict[bytes, bytes]) -> HistoryRecord:
    """DecodeError for what none of our versions wrote."""
    try:
        return HistoryRecord(
            at_ms=int(entry_id.partition(b"-")[0]),
            execution=fields[b"execution"].decode(),
            attempt=int(fields[b"attempt"]),
            outcome=fields[b"outcome"].decode(),
            hash=fields[b"hash"].decode(),
            detail=msgspec.json.decode(fields[b"detail"], type=dict),
        )
    except (KeyError, ValueError) as error:  # msgspec's errors are ValueErrors too
        raise DecodeError(
            f"entry {entry_id.decode()} of a history is none of this sorofast's ({error!r}): another version or other "
            "software writes under this redis.prefix"
        ) from error
