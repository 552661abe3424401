"""The fleet's dead letters: executions that failed too often to be tried again by themselves."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from sorofast.coordination import requests
from sorofast.coordination.visit import dead_records, visit
from sorofast.executions.records import RetryRecord
from sorofast.settings import RedisConfig

__all__ = ["DeadGroup", "DeadView", "ask_for", "groups_of", "read_dead"]


class DeadView(msgspec.Struct, frozen=True):
    """One dead letter. `failures` were paid for on the day of the last one. `asked` is what an operator has asked for
    and the fleet has not carried out yet: "retry", "purge" or None.
    """

    shard: int
    execution: str
    source: str
    id: int | str
    window: int | str
    error: str
    reason: str
    attempts: int
    failures: int
    asked: str | None

    @classmethod
    def of(cls, shard: int, record: RetryRecord, asked: str | None) -> DeadView:
        return cls(
            shard=shard,
            execution=record.execution,
            source=record.source,
            id=record.id,
            window=record.window,
            error=record.error or "unnamed",
            reason=record.reason,
            attempts=record.attempts,
            failures=record.failures,
            asked=asked,
        )


class DeadGroup(msgspec.Struct, frozen=True):
    """The dead letters of one error."""

    error: str
    count: int
    reason: str
    ids: list[int | str]


async def read_dead(config: RedisConfig, shards: int) -> list[DeadView]:
    """Every dead letter, by id and window. Raises RedisUnreachable, and DecodeError for records of another version."""
    async with visit(config) as redis:
        asked = await requests.waiting(redis, config.prefix, range(shards))
        records = await dead_records(redis, config.prefix, shards)
    found = [DeadView.of(shard, record, asked.get(record.execution)) for shard, record in records]
    return sorted(found, key=lambda letter: (letter.source, str(letter.id).zfill(20), str(letter.window)))


def groups_of(letters: list[DeadView]) -> list[DeadGroup]:
    """By error, the most frequent first."""
    by_error: dict[str, list[DeadView]] = defaultdict(list)
    for letter in letters:
        by_error[letter.error].append(letter)
    groups = [
        DeadGroup(error, len(group), group[-1].reason, [letter.id for letter in group])
        for error, group in by_error.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.error))


async def ask_for(config: RedisConfig, action: str, letters: list[DeadView]) -> None:
    """Asks the owners of the letters' shards to retry or purge them. SorofastError when a shard's list is full."""
    by_shard: dict[int, list[str]] = defaultdict(list)
    for letter in letters:
        by_shard[letter.shard].append(letter.execution)
    async with visit(config) as redis:
        for shard, executions in by_shard.items():
            await requests.ask(redis, config.prefix, shard, action, executions)
