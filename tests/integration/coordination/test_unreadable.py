"""What is made of keys that hold something else than they should, one call at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope, owned
from sorofast.coordination.control import FleetControl
from sorofast.coordination.fleet import Fleet, FleetMeta
from sorofast.coordination.keys import FleetKeys, ShardKeys
from sorofast.coordination.restores import RestoreNeed, RestoreStore
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.suspects import SuspectStore
from sorofast.errors import FleetMismatch, RedisUnreadable
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.records import RetryRecord, Settle, encode_record
from sorofast.observability.unreadable import UnreadableKeys
from sorofast.testing.clock import StubClock

SHARD = 1
META = FleetMeta(2, 4, "network", "C" * 56, 16, "fingerprint")


@pytest.fixture
def said() -> Any:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def unreadable(said: Any, clock: StubClock) -> UnreadableKeys:
    return UnreadableKeys(structlog.get_logger(), clock)


@pytest.fixture
def keys(prefix: str) -> ShardKeys:
    return ShardKeys.of(prefix, SHARD)


@pytest.fixture
def store(redis: Redis, prefix: str, unreadable: UnreadableKeys) -> ShardStore:
    return ShardStore(redis, prefix, 4, unreadable=unreadable)


@pytest.fixture
def fleet(redis: Redis, prefix: str, unreadable: UnreadableKeys) -> Fleet:
    return Fleet(redis, prefix, unreadable=unreadable)


def told(said: Any, key: str) -> list[Mapping[str, Any]]:
    return [line for line in said if line["event"] == "redis_unreadable" and line["key"] == key]


def entry(ledger: int, previous: int) -> LedgerEntry:
    return LedgerEntry(
        generation="g", epoch=1, ledger=ledger, previous=previous, events_through=ledger, close_time_s=ledger,
        rows=b"", snapshot_ledger=ledger, channels=[], successes=[], removed=[], node="n",
    )  # fmt: skip


async def test_a_record_that_does_not_read_blocks_its_channel_and_its_run_and_stays(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, version = await owned(store)
    lost, good = envelope(1, channel=1), envelope(5, channel=5)
    await store.commit(term, version, [], [lost, good])
    newer = b"\x93\x09\xa59.9.9\x00"
    await redis.hset(keys.wal, lost.execution, newer)
    state = await store.load(term)
    assert [record.execution for record in state.wal] == [good.execution]
    assert list(state.blocked) == [1]
    assert state.withheld == [lost.key]
    reply = await store.commit(term, state.version, [], [envelope(1, channel=9), envelope(9, channel=1)])
    assert reply.refused == {lost.execution: "in_flight", envelope(9).execution: "channel_busy"}
    assert await redis.hget(keys.wal, lost.execution) == newer
    (line,) = told(said, keys.wal)
    assert "written by sorofast 9.9.9" in line["reason"]
    assert line["field"] == lost.execution
    assert keys.channels in line["fix"]


async def test_a_dead_letter_that_does_not_read_stays_given_up_and_a_retry_is_passed_over(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, _ = await owned(store)
    letter = RetryRecord(id=7, window=9, attempts=3, not_before_s=0, reason="trapped")
    await redis.hset(keys.dead, "7:9", encode_record(letter)[:7])
    await redis.hset(keys.dead, "8:9", encode_record(letter))
    await redis.hset(keys.retry, "5:9", b"\xc1")
    state = await store.load(term)
    assert (state.dead, state.retry) == ([], [])
    assert set(state.withheld) == {Execution(TASKS, 7, 9), Execution(TASKS, 8, 9)}
    assert [len(told(said, key)) for key in (keys.dead, keys.retry)] == [2, 1]


@pytest.mark.parametrize("value", [b"garbage", None])
async def test_a_channel_that_forgot_what_it_carries_is_told_again_so_that_it_can_be_settled(
    store: ShardStore, redis: Redis, keys: ShardKeys, value: bytes | None
) -> None:
    term, version = await owned(store)
    record = envelope(1, channel=1)
    await store.commit(term, version, [], [record])
    if value is None:
        await redis.hdel(keys.channels, "1:tx")
    else:
        await redis.hset(keys.channels, "1:tx", value)
    state = await store.load(term)
    assert state.unbound == [record]
    version = await store.bind(term, state.version, state.unbound)
    await store.commit(term, version, [Settle(record=record, outcome="executed", confirmed=BIG + 1)], [])
    assert (await store.load(term)).wal == []


async def test_a_sequence_that_does_not_read_counts_as_never_confirmed(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, _ = await owned(store)
    await redis.hset(keys.channels, mapping={"1": "x", "2": "9" * 5_000, "3": "-4", "odd": "1", "x:tx": "1"})
    state = await store.load(term)
    assert sorted(state.confirmed) == [0, 4, 5, 6, 7, 8, 9]
    assert not state.blocked
    assert len(told(said, keys.channels)) == 5


@pytest.mark.parametrize("name", ["lease", "wal", "channels", "retry", "dead"])
async def test_a_shard_s_key_of_another_type_is_told_and_left_alone_and_nothing_is_half_written(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any, name: str
) -> None:
    term, version = await owned(store)
    key = getattr(keys, name)
    await redis.delete(key)
    await redis.set(key, "of somebody else")
    others = [other for other in (keys.lease, keys.wal, keys.channels, keys.history) if other != key]
    before = [await redis.dump(other) for other in others]
    with pytest.raises(RedisUnreadable):
        await store.commit(term, version, [], [envelope(1, channel=1)])
    with pytest.raises(RedisUnreadable):
        await store.load(term)
    assert [await redis.dump(other) for other in others] == before
    assert await redis.get(key) == b"of somebody else"
    assert [line["key"] for line in said if line["event"] == "redis_unreadable"] == [key]


async def test_a_lease_that_does_not_read_is_named_and_no_other_is_kept_from_being_renewed(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, version = await owned(store)
    other = await store.acquire(2, "a")
    assert other is not None
    await redis.hset(keys.lease, "epoch", "many")
    with pytest.raises(RedisUnreadable):
        await store.commit(term, version, [], [])
    assert [line["key"] for line in said if line["event"] == "redis_unreadable"] == [keys.lease]
    await redis.delete(keys.lease)
    await redis.set(keys.lease, "of somebody else")
    assert [one.name for one in await store.renew([term, other])] == [other.name]
    assert list(await store.owners()) == [2]


async def test_a_history_that_takes_no_entry_is_done_without(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, version = await owned(store)
    record = envelope(1, channel=1)
    version = (await store.commit(term, version, [], [record])).version
    await redis.set(keys.history, "of somebody else")
    reply = await store.commit(
        term,
        version,
        [Settle(record=record, outcome="executed", confirmed=BIG + 1)],
        [envelope(2, channel=2)],
    )
    assert reply.accepted == {envelope(2).execution}
    assert len(told(said, keys.history)) == 1


async def test_a_snapshot_of_another_type_is_written_anew(
    store: ShardStore, redis: Redis, keys: ShardKeys, said: Any
) -> None:
    term, _ = await owned(store)
    await redis.set(keys.snapshot, "of somebody else")
    assert (await store.load(term)).snapshot is None
    await redis.delete(keys.snapshot)
    await redis.set(keys.snapshot, "of somebody else")
    await store.store_snapshot(term, b"table", "100-0")
    assert (await store.load(term)).snapshot == b"table"
    await redis.hset(keys.snapshot, "stream_id", b"\xff")
    assert (await store.load(term)).snapshot_stream_id is None
    assert await store.oldest_snapshot() is None


async def test_members_that_are_none_are_forgotten_and_the_others_stay(
    fleet: Fleet, redis: Redis, prefix: str, said: Any
) -> None:
    key = FleetKeys.of(prefix).members
    await fleet.heartbeat("a", {"reads": 2})
    later_ms = 9_999_999_999_999
    odd = {"b": b"\xff\xff", "c": b"no number", "d": f"{later_ms} {{}}", "e": b"", "f": b"9" * 100_000}
    await redis.hset(key, mapping=odd)
    soon = int((await redis.time())[0]) * 1000 + 3_000
    await redis.hset(key, mapping={"g": f"{soon} [1]", b"\xff": f"{soon} {{}}", "h": f"{soon} {{"})
    assert await fleet.heartbeat("a", {"reads": 2}) == {"a": {"reads": 2}}
    assert set(await redis.hkeys(key)) == {b"a", b"g", b"\xff", b"h"}
    assert await fleet.members() == {"a": {"reads": 2}}
    assert told(said, key)
    await redis.delete(key)
    await redis.set(key, "of somebody else")
    assert await fleet.heartbeat("a", {}) == {"a": {}}


async def test_a_follower_goes_on_from_the_stream_when_its_cursor_does_not_read(
    fleet: Fleet, redis: Redis, prefix: str, said: Any
) -> None:
    keys = FleetKeys.of(prefix)
    term = await fleet.acquire_follower("a")
    assert term is not None
    await fleet.append_ledger(term, entry(100, 0), "7-1")
    for ledger, spoiled in enumerate(
        [
            {"ledger": "x"},
            {"ledger": "999999"},
            {"ledger": "9" * 50},
            {"cursor": b"\xff"},
            {"cursor": "9" * 30 + "-1"},
        ],
        start=101,
    ):
        await redis.hset(keys.cursor, mapping=spoiled)
        assert await fleet.follower_state() == (ledger - 1, None)
        await fleet.append_ledger(term, entry(ledger, ledger - 1), "7-1")
        assert await fleet.follower_state() == (ledger, "7-1")
    await redis.delete(keys.cursor)
    await redis.set(keys.cursor, "of somebody else")
    assert await fleet.follower_state() == (105, None)
    await fleet.append_ledger(term, entry(106, 105), None)
    assert told(said, keys.cursor)


async def test_what_is_in_the_stream_beyond_the_cursor_does_not_stop_the_fleet(
    fleet: Fleet, redis: Redis, prefix: str, said: Any
) -> None:
    key = FleetKeys.of(prefix).ledgers
    term = await fleet.acquire_follower("a")
    assert term is not None
    await fleet.append_ledger(term, entry(100, 0), "7-1")
    await redis.xadd(key, {"x": "y"}, id="100-5")
    await fleet.append_ledger(term, entry(101, 100), "7-1")
    assert [one.ledger for _, one in await fleet.read_ledgers("0-0", 0, 1)] == [100]
    assert [one.ledger for _, one in await fleet.read_ledgers("100-0", 0, 1)] == [101]
    for _ in range(100):
        await redis.xadd(key, {"x": "y"})
    assert [one.ledger for _, one in await fleet.last_ledgers(1)] == []
    assert await fleet.read_ledgers("101-0", 0, 64) == []
    await fleet.append_ledger(term, entry(102, 101), "7-1")
    assert [one.ledger for _, one in await fleet.last_ledgers(5)] == [102]
    await redis.delete(key)
    await redis.set(key, "of somebody else")
    assert await fleet.read_ledgers("102-0", 0, 1) == []
    await fleet.append_ledger(term, entry(103, 102), "7-1")
    assert [one.ledger for _, one in await fleet.last_ledgers(5)] == [103]
    assert told(said, key)


async def test_a_fleet_s_name_or_parameters_that_do_not_read_refuse_who_starts_and_stop_nobody_else(
    fleet: Fleet, redis: Redis, prefix: str
) -> None:
    keys = FleetKeys.of(prefix)
    generation = await fleet.check_meta(META)
    await redis.set(keys.generation, "x")
    with pytest.raises(RedisUnreadable):
        await fleet.generation()
    with pytest.raises(FleetMismatch, match=r"generation holds 'x'"):
        await Fleet(redis, prefix).check_meta(META)
    await redis.set(keys.generation, generation)
    assert await fleet.generation() == generation
    await redis.hset(keys.meta, "schema", b"\xff")
    assert await fleet.raise_schema(2) == 2
    await redis.delete(keys.meta)
    await redis.set(keys.meta, "x")
    with pytest.raises(FleetMismatch, match="meta"):
        await Fleet(redis, prefix).check_meta(META)


async def test_a_pause_that_does_not_read_is_none(
    redis: Redis, prefix: str, unreadable: UnreadableKeys, said: Any
) -> None:
    control, key = FleetControl(redis, prefix, unreadable), FleetKeys.of(prefix).control
    await redis.hset(key, mapping={"cause": "queue_full", "number": "x"})
    assert await control.pause() is None
    assert told(said, key)
    await redis.set(key, "of somebody else")
    assert await control.begin("queue_full", "words", 100, 1_000, "a") == 1
    assert await control.pause() is not None


async def test_suspects_that_do_not_read_are_forgotten_and_the_others_stay(
    redis: Redis, prefix: str, unreadable: UnreadableKeys
) -> None:
    suspects, key = SuspectStore(redis, prefix, unreadable=unreadable), FleetKeys.of(prefix).suspects
    await suspects.note("a", "by SIGKILL", [(TASKS, 7)])
    await redis.hset(key, mapping={"8": "x", b"\xff": b"\xff", "9": "1 2"})
    await suspects.note("b", "by SIGKILL", [(TASKS, 7)])
    _, deaths = await suspects.read(None)
    assert deaths == {(TASKS, 7): 2}
    await redis.hset(key, "", "x")
    _, deaths = await suspects.read(None)
    assert deaths == {(TASKS, 7): 2}


async def test_needs_for_restores_that_do_not_read_are_passed_over_and_new_ones_are_told(
    redis: Redis, prefix: str, unreadable: UnreadableKeys, said: Any
) -> None:
    store, key = RestoreStore(redis, prefix, unreadable), FleetKeys.of(prefix).restores
    need = RestoreNeed(keys=(b"a",), wanted_by="7", asked_ledger=100, asked_s=1_000)
    await store.add(7, need)
    await redis.hset(key, mapping={"8": "x", "no number": b"\xff", b"\xff": b"\x90"})
    assert await store.read() == {7: need}
    await redis.set(key, "of somebody else")
    await store.add(7, need)
    assert told(said, key)
    assert await store.read() == {7: need}


async def test_who_only_looks_changes_nothing(redis: Redis, prefix: str) -> None:
    keys = FleetKeys.of(prefix)
    for key in (keys.members, keys.control, keys.cursor, keys.ledgers):
        await redis.set(key, "of somebody else")
    fleet = Fleet(redis, prefix)
    for looking in (fleet.members, FleetControl(redis, prefix).pause, lambda: fleet.last_ledgers(1)):
        with pytest.raises(RedisUnreadable):
            await looking()
    for key in (keys.members, keys.control, keys.cursor, keys.ledgers):
        assert await redis.get(key) == b"of somebody else"
