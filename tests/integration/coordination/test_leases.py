"""Terms, trust, fences and a Redis that goes back in time, against a real server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope, owned, until
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import LEASE_TTL_S, TRUST_MARGIN_S, Term
from sorofast.coordination.shard import ShardStore
from sorofast.errors import LeaseLost, ShardRegressed
from sorofast.executions.records import Settle
from sorofast.testing.clock import StubClock

Expire = Callable[[Term], Awaitable[None]]


# --- terms


async def test_one_term_at_a_time_and_epochs_only_grow(store: ShardStore, expire: Expire) -> None:
    first = await store.acquire(1, "a")
    assert first is not None
    assert first.epoch == 1
    assert await store.acquire(1, "b") is None
    assert await store.acquire(2, "b") is not None
    await expire(first)
    second = await store.acquire(1, "b")
    assert second is not None
    assert second.epoch == 2
    assert await store.acquire(1, "a") is None
    await store.release(second, None, None)
    third = await store.acquire(1, "a")
    assert third is not None
    assert third.epoch == 3
    assert {shard: owner for shard, (owner, _) in (await store.owners()).items()} == {1: "a", 2: "b"}


async def test_a_holder_that_lost_the_reply_is_granted_a_new_term(store: ShardStore) -> None:
    first = await store.acquire(1, "a")
    second = await store.acquire(1, "a")
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert await store.renew([first]) == []
    await store.release(first, None, None)
    assert await store.owners() == {1: ("a", second.epoch)}
    with pytest.raises(LeaseLost):
        await store.set_confirmed(first, 0, {1: BIG})


async def test_only_the_exact_term_is_renewed_or_released(store: ShardStore, expire: Expire) -> None:
    mine = await store.acquire(0, "a")
    old = await store.acquire(1, "a")
    assert mine is not None
    assert old is not None
    await expire(old)
    new = await store.acquire(1, "b")
    assert new is not None
    assert [term.name for term in await store.renew([mine, old, new])] == ["s00", "s01"]
    await store.release(old, b"stale", "5-0")
    await store.release(old, None, None)
    assert (await store.owners())[1] == ("b", new.epoch)
    assert (await store.load(new)).snapshot is None


async def test_an_expired_term_that_nobody_took_can_be_renewed(store: ShardStore, expire: Expire) -> None:
    term = await store.acquire(1, "a")
    assert term is not None
    await expire(term)
    assert await store.owners() == {}
    assert len(await store.renew([term])) == 1
    assert await store.acquire(1, "b") is None


async def test_trust_ends_a_second_before_expiry_counted_from_before_the_request(
    redis: Redis, prefix: str
) -> None:
    clock = StubClock(monotonic_s=1_000.0)
    store = ShardStore(redis, prefix, 2, clock)
    term = await store.acquire(1, "a")
    assert term is not None
    assert term.trusted_until == 1_000.0 + LEASE_TTL_S - TRUST_MARGIN_S
    assert term.trusted(1_003.9)
    assert not term.trusted(1_004.0)
    clock.advance(2.0)
    (renewed,) = await store.renew([term])
    assert renewed.trusted_until == 1_002.0 + LEASE_TTL_S - TRUST_MARGIN_S
    clock.advance(1.0)
    reply = await store.commit(renewed, 0, [], [])
    assert reply.term.trusted_until == 1_003.0 + LEASE_TTL_S - TRUST_MARGIN_S


async def test_nobody_is_granted_a_lease_while_its_owner_trusts_it(store: ShardStore) -> None:
    """On the real clocks of both sides, without help."""
    term = await store.acquire(1, "a")
    assert term is not None

    async def taken() -> bool:
        return await store.acquire(1, "b") is not None

    await until(taken, 4 * LEASE_TTL_S)
    assert not term.trusted(time.monotonic())


# --- fences


async def test_every_write_of_an_older_epoch_is_refused_and_changes_nothing(
    store: ShardStore, expire: Expire, redis: Redis, prefix: str
) -> None:
    old, version = await owned(store)
    await store.commit(old, version, [], [envelope(1)])
    await expire(old)
    new = await store.acquire(1, "b")
    assert new is not None
    before = await store.load(new)
    writes = [
        store.commit(old, version, [], [envelope(2, channel=4)]),
        store.commit(old, 10**9, [Settle(record=envelope(1), outcome="executed", confirmed=BIG + 1)], []),
        store.set_confirmed(old, version, {5: BIG + 7}),
        store.store_snapshot(old, b"old", "9-0"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost, match="b holds it at epoch 2"):
            await write
    with pytest.raises(LeaseLost):
        await store.load(old)
    assert await store.load(new) == before


async def test_another_owner_with_the_same_epoch_is_fenced_too(store: ShardStore) -> None:
    term, version = await owned(store)
    impostor = Term(term.name, "z", term.epoch, term.trusted_until)
    with pytest.raises(LeaseLost):
        await store.commit(impostor, version, [], [envelope()])


async def test_a_commit_prolongs_the_term(store: ShardStore, expire: Expire) -> None:
    term, version = await owned(store)
    await expire(term)
    await store.commit(term, version, [], [])
    assert await store.acquire(1, "b") is None


async def test_a_released_shard_takes_no_more_writes(store: ShardStore) -> None:
    term, version = await owned(store)
    await store.release(term, b"table", "100-0")
    with pytest.raises(LeaseLost, match="released"):
        await store.commit(term, version, [], [envelope()])
    assert await store.owners() == {}


# --- Redis going back in time


async def test_a_rolled_back_shard_is_noticed_by_its_owner(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version = await owned(store)
    keys = ShardKeys.of(prefix, 1)
    backup = await redis.dump(keys.lease)
    reply = await store.commit(term, version, [], [envelope()])
    await redis.restore(keys.lease, 0, backup, replace=True)
    with pytest.raises(ShardRegressed, match=f"version {version} and had told a {reply.version}"):
        await store.commit(term, reply.version, [], [])
    with pytest.raises(ShardRegressed):
        await store.load(term)
    # Also when the caller itself forgot what it was told: the store did not.
    with pytest.raises(ShardRegressed):
        await store.store_snapshot(term, b"", "1-0")


async def test_a_flushed_shard_is_a_regression_and_not_a_lost_lease(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version = await owned(store)
    await redis.delete(ShardKeys.of(prefix, 1).lease)
    with pytest.raises(ShardRegressed):
        await store.commit(term, version, [], [])
    with pytest.raises(ShardRegressed):
        await store.load(term)


async def test_a_restarted_store_is_a_witness_by_the_version_it_is_given(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version = await owned(store)
    other = ShardStore(redis, prefix, 4)
    with pytest.raises(ShardRegressed):
        await other.commit(term, version + 1, [], [])
    assert (await other.commit(term, version, [], [])).version == version + 1
