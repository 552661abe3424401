"""What commands ask of a shard is carried out once, by its owner alone, and waits for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope, owned
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.requests import PURGE, REQUESTS_MAX, RETRY, ask, waiting
from sorofast.coordination.shard import ShardStore
from sorofast.errors import LeaseLost, SorofastError
from sorofast.executions.records import RetryRecord, Settle

Expire = Callable[[Term], Awaitable[None]]
SHARD = 1


async def with_dead_letter(store: ShardStore) -> tuple[Term, int, RetryRecord]:
    term, version = await owned(store, shard=SHARD)
    record = envelope()
    letter = RetryRecord(id=1, window=record.window, attempts=3, not_before_s=0, reason="trapped", failures=3)
    reply = await store.commit(term, version, [], [record])
    settle = Settle(record=record, outcome="failed", confirmed=BIG + 1, retry=letter, dead=True)
    reply = await store.commit(term, reply.version, [settle], [])
    return term, reply.version, letter


async def test_a_request_is_read_by_the_owner_and_answered_in_one_step(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version, letter = await with_dead_letter(store)
    await ask(redis, prefix, SHARD, PURGE, [letter.execution])
    assert await waiting(redis, prefix, [SHARD]) == {letter.execution: PURGE}
    requests = await store.requests(term)
    (request,) = requests.values()
    assert (request.action, request.executions) == (PURGE, [letter.execution])
    kept = RetryRecord(id=1, window=letter.window, attempts=3, not_before_s=86_400, reason="trapped")
    version = await store.answer(term, version, requests, [letter.execution], [kept])
    state = await store.load(term)
    assert (state.version, state.dead, state.retry) == (version, [], [kept])
    assert await store.requests(term) == {}


async def test_answering_again_after_a_lost_reply_takes_no_other_request(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version, letter = await with_dead_letter(store)
    await ask(redis, prefix, SHARD, RETRY, [letter.execution])
    requests = await store.requests(term)
    await ask(redis, prefix, SHARD, RETRY, [letter.execution])
    version = await store.answer(term, version, requests, [letter.execution], [])
    await store.answer(term, version, requests, [letter.execution], [])
    (left,) = await store.requests(term)
    assert left not in requests


async def test_only_the_lease_s_holder_answers(
    store: ShardStore, redis: Redis, prefix: str, expire: Expire
) -> None:
    term, version, letter = await with_dead_letter(store)
    await ask(redis, prefix, SHARD, RETRY, [letter.execution])
    requests = await store.requests(term)
    await expire(term)
    assert await store.acquire(SHARD, "b") is not None
    with pytest.raises(LeaseLost):
        await store.answer(term, version, requests, [letter.execution], [])
    assert await waiting(redis, prefix, [SHARD]) == {letter.execution: RETRY}


async def test_a_shard_s_list_is_bounded(redis: Redis, prefix: str) -> None:
    for _ in range(REQUESTS_MAX):
        await ask(redis, prefix, SHARD, RETRY, ["1:1"])
    with pytest.raises(SorofastError, match="wait to be carried out already"):
        await ask(redis, prefix, SHARD, RETRY, ["1:1"])
    assert await redis.llen(ShardKeys.of(prefix, SHARD).requests) == REQUESTS_MAX


async def test_a_request_of_another_version_is_left_to_whoever_reads_it(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, _ = await owned(store, shard=SHARD)
    await redis.rpush(ShardKeys.of(prefix, SHARD).requests, b"\xc1what")
    await ask(redis, prefix, SHARD, "forgive", ["1:1"])
    assert await store.requests(term) == {}
    assert await waiting(redis, prefix, [SHARD]) == {}
    assert await redis.llen(ShardKeys.of(prefix, SHARD).requests) == 2
