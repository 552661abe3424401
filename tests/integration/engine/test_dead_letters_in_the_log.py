"""A shard's dead letters in a real Redis: whoever owns it next finds what an operator asked for, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog
from redis.asyncio import Redis

from sorofast import _core
from sorofast.chain.ledger import LedgerClock
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.requests import RETRY, ask
from sorofast.coordination.shard import ShardState, ShardStore
from sorofast.engine.context import WorkerContext
from sorofast.engine.dead_letters import DeadLetters
from sorofast.engine.retries import DAY_S, Retries
from sorofast.executions import legacy
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import RetryRecord, WalRecord, encode_record
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.registry.row import Flag, Row, rows_of
from sorofast.settings import RedisConfig, RetryConfig
from sorofast.triggers.tasks import TaskSource

PREFIX, SHARD, TASK = "letters", 0, 7
TODAY = 20_000
NOW_S = TODAY * DAY_S + 3_600
EARLIER, WINDOW, LATER = NOW_S - 900, NOW_S - 600, NOW_S - 300


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        client = await open_redis(RedisConfig(url=url))
        yield client
        await client.aclose()


@dataclass
class Owner:
    """The owner of the shard, as far as its dead letters are concerned."""

    context: WorkerContext
    term: Term
    state: ShardState
    retries: Retries
    letters: DeadLetters
    table: _core.TaskTable

    @classmethod
    async def takes_over(cls, redis: Redis, now_s: int = NOW_S) -> Owner:
        """One that knows nothing but the log: the last one was killed."""
        await redis.hset(ShardKeys.of(PREFIX, SHARD).lease, "expires_ms", "1")
        ledgers = LedgerClock(5.0)
        ledgers.observe(100, now_s)
        store = ShardStore(redis, PREFIX, 1)
        chance = SimpleNamespace(random=lambda: 0.0, uniform=lambda low, _: low)
        config = SimpleNamespace(retry=RetryConfig(max_attempts=3, base_ledgers=2))
        parts = {"store": store, "ledgers": ledgers, "config": config, "rng": chance}
        context = cast("WorkerContext", SimpleNamespace(log=structlog.get_logger(), **parts))
        term = await store.acquire(SHARD, f"owner at {now_s}")
        assert term is not None
        state = await store.load(term)
        table = _core.TaskTable()
        flags = Flag.ACTIVE | Flag.KEEPER_ALLOWED
        table.apply(Row(TASK, 60, WINDOW, 10**9, 9, 10**6, 1, 100, flags, 0).pack(), 0, 1)
        source = TaskSource(table, execute_call(bytes(32), bytes(32)), SHARD, 1, read=cast("Any", None))
        retries = Retries(context, state)
        letters = DeadLetters(context, retries, state.dead, lambda _: source)
        for letter in state.dead:
            letters.put_aside(letter)
        return cls(context, term, state, retries, letters, table)

    async def tend(self) -> None:
        requests = await self.context.store.requests(self.term)
        if requests or self.letters.changes():
            await self.letters.answer(self.term, self.state.version, requests, ())

    def fails(self, window: int = WINDOW) -> bool:
        """One more paid failure; whether it makes a dead letter."""
        record = WalRecord(
            id=TASK, window=window, attempt=1, channel=0, sequence=11, max_ledger=110, max_time_s=NOW_S + 60,
            hash=bytes(32), envelope="AAAA", claimed_ledger=99, epoch=1, template=9, due_s=window + 60,
        )  # fmt: skip
        at_s = self.context.ledgers.latest[1]
        case = Ended(record, Outcome.FAILED, ChannelView(11, 100, at_s, 100), "")
        retry, dead = self.retries.record_of(case)
        self.retries.ended(case, retry, dead=dead)
        return dead

    def rests(self, window: int) -> bool:
        """Whether nothing of the task's window is tried before the next day."""
        self.retries.look_at([Execution(TASKS, TASK, window)])
        held = self.retries.backoffs.get((TASKS, TASK))
        return held is not None and held.reason == code_of("quarantined")

    @property
    def reason(self) -> int:
        (row,) = rows_of(self.table.rows())
        return row.reason


def letter(window: int = WINDOW, **changes: Any) -> RetryRecord:
    record = RetryRecord(
        id=TASK, window=window, attempts=3, not_before_s=0, reason="trapped", failures=3, day=TODAY
    )
    return msgspec.structs.replace(record, **changes)


async def leave(redis: Redis, kind: str, record: RetryRecord, raw: bytes | None = None) -> None:
    key = getattr(ShardKeys.of(PREFIX, SHARD), kind)
    await redis.hset(key, record.execution, raw or encode_record(record))


async def test_who_takes_over_after_a_retry_counts_nothing_of_earlier_windows_either(redis: Redis) -> None:
    """The owner that was asked dies as soon as Redis has carried it out."""
    await leave(redis, "retry", letter(EARLIER, failures=2, attempts=0))
    await leave(redis, "dead", letter())
    owner = await Owner.takes_over(redis)
    await ask(redis, PREFIX, SHARD, RETRY, [letter().execution])
    await owner.tend()
    after = await Owner.takes_over(redis)
    assert (after.state.dead, after.state.retry) == ([], [])
    assert [after.fails() for _ in range(3)] == [False, False, True]


async def test_a_dead_letter_of_an_older_version_is_dated_once_and_keeps_later_windows_for_that_day_only(
    redis: Redis,
) -> None:
    old = legacy.RetryRecord1(
        task_id=TASK, window=WINDOW, attempts=3, not_before_s=0, reason="trapped", failures=3
    )
    await leave(redis, "dead", letter(), msgspec.msgpack.encode(old))
    owner = await Owner.takes_over(redis)
    assert owner.rests(LATER)
    await owner.tend()
    same_day = await Owner.takes_over(redis, NOW_S + 60)
    assert [one.day for one in same_day.state.dead] == [TODAY]
    assert same_day.rests(LATER)
    next_day = await Owner.takes_over(redis, NOW_S + DAY_S)
    assert not next_day.rests(LATER)
    await next_day.tend()
    assert not (await Owner.takes_over(redis, NOW_S + 2 * DAY_S)).rests(LATER)
    assert next_day.reason == code_of("quarantined"), "its own window waits for the operator"


async def test_a_dead_letter_without_effect_ends_with_its_day_whoever_owns_the_shard_by_then(
    redis: Redis,
) -> None:
    next_day_s = (TODAY + 1) * DAY_S
    await leave(redis, "dead", letter(failures=0, without_effect=3, owed=12, not_before_s=next_day_s))
    owner = await Owner.takes_over(redis)
    assert owner.reason == code_of("quarantined")
    assert owner.table.next_due() == next_day_s
    assert owner.rests(LATER)
    await owner.tend()
    after = await Owner.takes_over(redis, next_day_s)
    assert [one.execution for one in after.state.dead] == [letter().execution]
    assert not after.rests(WINDOW)
    assert (TASKS, TASK) in after.retries.backoffs, "the next run is simulated first"
    await after.tend()
    assert (await Owner.takes_over(redis, next_day_s + 5)).state.dead == []


async def test_a_retry_ends_a_dead_letter_without_effect_before_its_day(redis: Redis) -> None:
    next_day_s = (TODAY + 1) * DAY_S
    await leave(redis, "dead", letter(failures=0, without_effect=3, owed=12, not_before_s=next_day_s))
    owner = await Owner.takes_over(redis)
    await ask(redis, PREFIX, SHARD, RETRY, [letter().execution])
    await owner.tend()
    assert not owner.rests(WINDOW)
    assert owner.table.next_due() == WINDOW + 60
    assert not (await Owner.takes_over(redis)).rests(LATER)
