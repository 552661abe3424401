"""The fleet's dead letters: executions that failed too often to be tried again by themselves."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from sorofast import _core
from sorofast.coordination import requests
from sorofast.coordination.suspects import DEATHS_MAX, SuspectStore
from sorofast.coordination.visit import dead_records, visit, visit_fleet
from sorofast.executions.key import TASKS, Subject
from sorofast.executions.records import RetryRecord
from sorofast.settings import RedisConfig

__all__ = ["KILLED_WORKERS", "DeadGroup", "DeadView", "ask_for", "groups_of", "read_dead"]

KILLED_WORKERS = "KilledWorkers"
"""The error of what is kept out since workers died while they handled it. It is no record of a shard, and is forgotten
by itself a day after the last death.
"""


class DeadView(msgspec.Struct, frozen=True):
    """One dead letter. `failures` were paid for on the day of the last one, and `without_effect` runs in a row did
    nothing. It ends by itself at `tried_again_s` (Unix seconds); None for one that stands. `asked` is what an operator
    has asked for and the fleet has not carried out yet: "retry", "purge" or None.
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
    without_effect: int = 0
    tried_again_s: int | None = None

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
            without_effect=record.without_effect,
            tried_again_s=record.not_before_s or None,
        )

    @classmethod
    def killer(cls, subject: Subject, deaths: int, shards: int) -> DeadView:
        source, name = subject
        return cls(
            shard=_core.shard_of(int(name), shards) if source == TASKS else 0,
            execution=f"{name}" if source == TASKS else f"{source}/{name}",
            source=source,
            id=name,
            window="",
            error=KILLED_WORKERS,
            reason=f"{deaths} workers died while they handled it",
            attempts=deaths,
            failures=0,
            asked=None,
        )


class DeadGroup(msgspec.Struct, frozen=True):
    """The dead letters of one error."""

    error: str
    count: int
    reason: str
    ids: list[int | str]


async def read_dead(config: RedisConfig, shards: int) -> list[DeadView]:
    """Every dead letter, by id and window. Raises RedisUnreachable, and DecodeError for records of another version."""
    async with visit_fleet(config, shards) as redis:
        asked = await requests.waiting(redis, config.prefix, range(shards))
        records = await dead_records(redis, config.prefix, shards)
        _, suspects = await SuspectStore(redis, config.prefix).read(None)
    found = [DeadView.of(shard, record, asked.get(record.execution)) for shard, record in records]
    found += [
        DeadView.killer(subject, deaths, shards)
        for subject, deaths in (suspects or {}).items()
        if deaths >= DEATHS_MAX
    ]
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
    """Asks the owners of the letters' shards to retry or purge them. What killed workers is handled again at once.
    SorofastError when a shard's list is full.
    """
    by_shard: dict[int, list[str]] = defaultdict(list)
    for letter in letters:
        if letter.error != KILLED_WORKERS:
            by_shard[letter.shard].append(letter.execution)
    async with visit(config) as redis:
        store = SuspectStore(redis, config.prefix)
        for letter in letters:
            if letter.error == KILLED_WORKERS:
                await store.clear((letter.source, letter.id))
        for shard, executions in by_shard.items():
            await requests.ask(redis, config.prefix, shard, action, executions)
