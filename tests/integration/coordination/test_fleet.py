"""The fleet's shared part against a real server: parameters, members, the follower's role, the ledger stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope, until
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import MAX_BLOCK_MS, LedgerEntry
from sorofast.errors import FleetMismatch, LeaseLost, SorofastError

META = FleetMeta(
    schema=FLEET_SCHEMA,
    shards=4,
    network="Standalone Network ; February 2017",
    contract="C" + "A" * 55,
    channels=16,
    channel_fingerprint="f" * 16,
)


def entry(ledger: int, previous: int, epoch: int = 1) -> LedgerEntry:
    return LedgerEntry(
        generation="g",
        epoch=epoch,
        ledger=ledger,
        previous=previous,
        events_through=ledger,
        close_time_s=1_700_000_000 + 5 * ledger,
        rows=b"\x01" * 56,
        snapshot_ledger=ledger,
        channels=[(0, BIG, ledger, 1_700_000_000, ledger)],
        successes=[],
        removed=[],
        node="node",
    )


async def follower(fleet: Fleet, owner: str = "a") -> Term:
    term = await fleet.acquire_follower(owner)
    assert term is not None
    return term


async def follower_expires(redis: Redis, prefix: str) -> None:
    await redis.hset(FleetKeys.of(prefix).follower, "expires_ms", "1")


# --- parameters


async def test_the_first_engine_creates_the_fleet_and_the_rest_agree(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    generations = await asyncio.gather(*(Fleet(redis, prefix).check_meta(META) for _ in range(8)))
    assert len(set(generations)) == 1
    assert await fleet.generation() == generations[0]
    assert await fleet.shards() == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shards", 8),
        ("network", "Test SDF Network ; September 2015"),
        ("contract", "C" + "B" * 55),
        ("channels", 32),
        ("channel_fingerprint", "e" * 16),
    ],
)
async def test_an_engine_with_other_parameters_is_refused(fleet: Fleet, name: str, value: object) -> None:
    await fleet.check_meta(META)
    other = replace(META, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(FleetMismatch, match=rf"{name} is .* there and {value} here.*redis\.prefix"):
        await fleet.check_meta(other)
    await fleet.check_meta(META)


async def test_a_new_generation_begins_when_redis_was_emptied(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    before = await fleet.check_meta(META)
    keys = FleetKeys.of(prefix)
    await redis.delete(keys.meta, keys.generation)
    assert await fleet.check_meta(META) != before


async def test_the_schema_of_records_only_rises_and_an_unknown_one_is_refused(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    assert await fleet.raise_schema(2) == 1
    assert not await redis.exists(FleetKeys.of(prefix).meta)
    await fleet.check_meta(replace(META, schema=1))
    assert fleet.schema == 1
    assert await fleet.raise_schema(2) == 2
    assert await fleet.raise_schema(1) == 2
    await fleet.check_meta(META)
    await redis.hset(FleetKeys.of(prefix).meta, "schema", "3")
    with pytest.raises(FleetMismatch, match=r"records of schema 3, and sorofast .* reads 1 to 2"):
        await fleet.check_meta(META)


async def test_no_fleet_yet_is_said_so(fleet: Fleet) -> None:
    with pytest.raises(FleetMismatch, match="start `sorofast run` first"):
        await fleet.inflight()


async def test_keys_of_other_software_are_named(fleet: Fleet, redis: Redis, prefix: str) -> None:
    await redis.set(FleetKeys.of(prefix).meta, "not ours")
    with pytest.raises(SorofastError, match=r"another redis\.prefix"):
        await fleet.check_meta(META)


# --- members


async def test_members_live_as_long_as_they_beat(fleet: Fleet, redis: Redis, prefix: str) -> None:
    assert await fleet.heartbeat("a", {"pid": 1}) == {"a": {"pid": 1}}
    assert await fleet.heartbeat("b", {"host": "ünï x"}) == {"a": {"pid": 1}, "b": {"host": "ünï x"}}
    assert (await fleet.members()).keys() == {"a", "b"}
    await redis.hset(FleetKeys.of(prefix).members, "a", '1 {"pid":1}')
    assert (await fleet.members()).keys() == {"b"}
    assert (await fleet.heartbeat("b", {})).keys() == {"b"}
    assert await redis.hlen(FleetKeys.of(prefix).members) == 1
    await fleet.leave("b")
    await fleet.leave("b")
    assert await fleet.members() == {}


async def test_a_member_that_stops_beating_is_forgotten_on_redis_clock(fleet: Fleet) -> None:
    await fleet.heartbeat("a", {})

    async def forgotten() -> bool:
        return "a" not in await fleet.heartbeat("b", {})

    await until(forgotten)


async def test_a_members_info_has_a_bound(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="bytes"):
        await fleet.heartbeat("a", {"much": "x" * 20_000})


# --- the follower and its stream


async def test_one_follower_at_a_time(fleet: Fleet, redis: Redis, prefix: str) -> None:
    assert await fleet.follower() is None
    first = await follower(fleet)
    assert await fleet.acquire_follower("b") is None
    assert await fleet.follower() == ("a", 1)
    renewed = await fleet.renew_follower(first)
    assert renewed.trusted_until > first.trusted_until
    await follower_expires(redis, prefix)
    assert await fleet.follower() is None
    second = await follower(fleet, "b")
    assert second.epoch == 2
    with pytest.raises(LeaseLost):
        await fleet.renew_follower(first)
    await fleet.release_follower(first)
    assert await fleet.follower() == ("b", 2)
    await fleet.release_follower(second)
    assert await fleet.follower() is None


async def test_ledgers_are_published_in_order_and_read_back(fleet: Fleet) -> None:
    term = await follower(fleet)
    assert await fleet.follower_state() == (0, None)
    await fleet.append_ledger(term, entry(100, 0), None)
    assert await fleet.follower_state() == (100, None)
    await fleet.append_ledger(term, entry(101, 100), "7-101")
    await fleet.append_ledger(term, entry(105, 101), "7-105")
    assert await fleet.follower_state() == (105, "7-105")
    assert await fleet.read_ledgers("0-0", 0, 10) == [
        ("100-0", entry(100, 0)),
        ("101-0", entry(101, 100)),
        ("105-0", entry(105, 101)),
    ]
    assert [name for name, _ in await fleet.read_ledgers("100-0", 0, 1)] == ["101-0"]
    assert [name for name, _ in await fleet.last_ledgers(2)] == ["101-0", "105-0"]
    assert await fleet.trim("101-0") == 1
    assert [name for name, _ in await fleet.last_ledgers(9)] == ["101-0", "105-0"]


async def test_publishing_again_does_nothing(fleet: Fleet) -> None:
    term = await follower(fleet)
    await fleet.append_ledger(term, entry(100, 0), "7-c")
    await fleet.append_ledger(term, entry(100, 0), "7-c")
    assert len(await fleet.last_ledgers(9)) == 1


async def test_a_follower_whose_term_is_over_publishes_nothing(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    old = await follower(fleet)
    await fleet.append_ledger(old, entry(100, 0), "7-c")
    await follower_expires(redis, prefix)
    new = await follower(fleet, "b")
    with pytest.raises(LeaseLost, match="epoch 2"):
        await fleet.append_ledger(old, entry(101, 100), "7-old")
    with pytest.raises(LeaseLost):
        await fleet.append_ledger(old, entry(100, 0), "7-c")
    await fleet.append_ledger(new, entry(101, 100, epoch=2), "7-new")
    assert await fleet.follower_state() == (101, "7-new")


async def test_an_older_term_of_the_same_follower_publishes_nothing(fleet: Fleet) -> None:
    old = await follower(fleet)
    await follower(fleet)
    with pytest.raises(LeaseLost, match="epoch 2"):
        await fleet.append_ledger(old, entry(100, 0), "7-c")
    with pytest.raises(LeaseLost):
        await fleet.renew_follower(old)
    assert await fleet.follower_state() == (0, None)


@pytest.mark.parametrize(("ledger", "previous"), [(102, 100), (101, 0), (100, 101), (101, 101)])
async def test_an_entry_that_does_not_follow_the_last_is_refused(
    fleet: Fleet, redis: Redis, prefix: str, ledger: int, previous: int
) -> None:
    first = await follower(fleet)
    await fleet.append_ledger(first, entry(100, 0), "7-c")
    await fleet.append_ledger(first, entry(101, 100), "7-c")
    await follower_expires(redis, prefix)
    second = await follower(fleet, "b")
    with pytest.raises(LeaseLost, match="does not follow"):
        await fleet.append_ledger(second, entry(ledger, previous, epoch=2), "7-x")
    assert await fleet.follower_state() == (101, "7-c")


async def test_the_stream_itself_refuses_what_a_lost_cursor_would_let_through(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    term = await follower(fleet)
    await fleet.append_ledger(term, entry(100, 0), "7-c")
    await redis.delete(FleetKeys.of(prefix).cursor)
    with pytest.raises(LeaseLost, match="the stream is at 100, "):
        await fleet.append_ledger(term, entry(99, 0), "7-x")
    assert await fleet.follower_state() == (100, None)


async def test_a_reader_waits_for_the_next_ledger(fleet: Fleet, redis: Redis, prefix: str) -> None:
    term = await follower(fleet)
    waiting = asyncio.create_task(fleet.read_ledgers("0-0", MAX_BLOCK_MS, 10))

    async def blocked() -> bool:
        return any(client["cmd"] == "xread" for client in await redis.client_list())

    await until(blocked)
    await fleet.append_ledger(term, entry(100, 0), None)
    assert [name for name, _ in await waiting] == ["100-0"]
    assert await fleet.read_ledgers("100-0", 1, 10) == []


async def test_an_entry_has_a_bound(fleet: Fleet) -> None:
    term = await follower(fleet)
    large = entry(100, 0)
    large.rows = bytes(17 * 1024 * 1024)
    with pytest.raises(ValueError, match="bytes"):
        await fleet.append_ledger(term, large, None)


# --- across shards


async def test_the_follower_watches_what_is_in_flight_everywhere(fleet: Fleet, store: ShardStore) -> None:
    await fleet.check_meta(META)
    assert await fleet.inflight() == {}
    for shard in (0, 3):
        term = await store.acquire(shard, "a")
        assert term is not None
        version = await store.set_confirmed(term, 0, {shard: BIG, shard + 10: BIG})
        await store.commit(term, version, [], [envelope(shard + 70, channel=shard)])
    watched = await fleet.inflight()
    assert {channel: (run.id, at) for channel, (run, at) in watched.items() if run is not None} == {
        0: (70, BIG + 1),
        3: (73, BIG + 1),
    }


async def test_a_dead_members_leases_are_free_at_once(fleet: Fleet, store: ShardStore) -> None:
    await fleet.check_meta(META)
    await fleet.heartbeat("dead", {})
    await fleet.heartbeat("alive", {})
    for shard, owner in enumerate(["dead", "alive", "dead", "dead"]):
        assert await store.acquire(shard, owner) is not None
    assert await fleet.acquire_follower("dead") is not None
    assert await fleet.release_member("dead") == 4
    assert await fleet.release_member("dead") == 0
    assert await store.owners() == {1: ("alive", 1)}
    assert (await fleet.members()).keys() == {"alive"}
    taken = await store.acquire(0, "alive")
    assert taken is not None
    assert taken.epoch == 2
    assert await fleet.acquire_follower("alive") is not None
