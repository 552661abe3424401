"""Claims, settles and snapshots against a real server, and what a lost reply may do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope, owned
from sorofast.coordination import shard as shard_module
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.scripts import Scripts
from sorofast.coordination.shard import MAX_COMMIT, MAX_SNAPSHOT_BYTES, Refusal, ShardStore
from sorofast.executions.records import RetryRecord, Settle

Expire = Callable[[Term], Awaitable[None]]


# --- claims


async def test_a_claim_is_stored_before_it_is_accepted_and_read_back_exactly(store: ShardStore) -> None:
    term, version = await owned(store)
    claims = [envelope(task, channel=task) for task in range(5)]
    reply = await store.commit(term, version, [], claims)
    assert reply.accepted == {claim.execution for claim in claims}
    assert reply.refused == {}
    assert reply.version == version + 1
    state = await store.load(term)
    assert state.wal == claims
    assert state.version == reply.version


async def test_why_claims_are_refused(store: ShardStore) -> None:
    term, version = await owned(store)
    first = await store.commit(term, version, [], [envelope(1, channel=1)])
    reply = await store.commit(
        term,
        first.version,
        [],
        [
            envelope(2, channel=1),
            envelope(1, channel=2),
            envelope(3, channel=3, sequence=BIG + 2),
            envelope(4, channel=77),
            envelope(5, channel=5),
            envelope(6, channel=5),
        ],
    )
    assert reply.refused == {
        envelope(2).execution: Refusal.CHANNEL_BUSY,
        envelope(1).execution: Refusal.IN_FLIGHT,
        envelope(3).execution: Refusal.SEQUENCE,
        envelope(4).execution: Refusal.UNCONFIRMED,
        envelope(6).execution: Refusal.CHANNEL_BUSY,
    }
    assert reply.accepted == {envelope(5).execution}
    with pytest.raises(ValueError, match="twice"):
        await store.commit(term, reply.version, [], [envelope(7, channel=7), envelope(7, channel=8)])
    assert [record.channel for record in (await store.load(term)).wal] == [1, 5]


@pytest.mark.parametrize("confirmed", [2**53, 2**53 + 1, 2**62 + 1, 2**63 - 2])
async def test_sequences_are_exact_where_doubles_are_not(store: ShardStore, confirmed: int) -> None:
    assert float(confirmed) in {float(confirmed - 1), float(confirmed + 1)}
    term = await store.acquire(1, "a")
    assert term is not None
    version = await store.set_confirmed(term, 0, {1: confirmed, 2: confirmed})
    reply = await store.commit(
        term,
        version,
        [],
        [
            envelope(1, channel=1, sequence=confirmed),
            envelope(2, channel=2, sequence=confirmed + 1),
        ],
    )
    assert reply.refused == {envelope(1).execution: Refusal.SEQUENCE}
    record = envelope(2, channel=2, sequence=confirmed + 1)
    await store.commit(
        term, reply.version, [Settle(record=record, outcome="executed", confirmed=confirmed + 1)], []
    )
    assert (await store.load(term)).confirmed == {1: confirmed, 2: confirmed + 1}


async def test_asking_again_gives_the_same_acceptance(store: ShardStore) -> None:
    """The reply was lost: the caller repeats the call with the version it knew before."""
    term, version = await owned(store)
    old = envelope(9, channel=9)
    first = await store.commit(term, version, [], [old])
    call = (
        [Settle(record=old, outcome="executed", confirmed=BIG + 1)],
        [envelope(1, channel=1), envelope(2, channel=1), envelope(3, channel=9, sequence=BIG + 2)],
    )
    once = await store.commit(term, first.version, *call)
    again = await store.commit(term, first.version, *call)
    assert (again.accepted, again.refused) == (once.accepted, once.refused)
    assert again.accepted == {envelope(1).execution, envelope(3).execution}
    assert again.version > once.version
    assert len(await store.history(1)) == 1
    assert len((await store.load(term)).wal) == 2


async def test_an_attempt_with_other_bytes_is_not_taken_for_the_one_in_the_log(store: ShardStore) -> None:
    term, version = await owned(store)
    reply = await store.commit(term, version, [], [envelope()])
    rebuilt = envelope(hash=b"\xff" * 32)
    reply = await store.commit(term, reply.version, [], [rebuilt])
    assert reply.refused == {rebuilt.execution: Refusal.IN_FLIGHT}
    assert [record.hash for record in (await store.load(term)).wal] == [envelope().hash]


async def test_the_script_itself_lets_an_execution_into_the_log_once(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    term, version = await owned(store)
    records: list[bytes] = []
    claims = [
        shard_module._claim_fields(claim, records, 2)
        for claim in (envelope(5, channel=5), envelope(5, channel=6))
    ]
    keys = ShardKeys.of(prefix, 1)
    reply = await Scripts(redis).run(
        "commit_ledger-6",
        [keys.lease, keys.wal, keys.channels, keys.retry, keys.dead, keys.history],
        [
            term.owner,
            term.epoch,
            version,
            5_000,
            100,
            b"\x90",
            msgspec.msgpack.encode(claims),
            b"\x90",
            *records,
        ],
    )
    assert reply == [b"ok", version + 1, 1, Refusal.IN_FLIGHT.encode()]
    assert (await store.load(term)).wal == [envelope(5, channel=5)]


async def test_an_old_request_delivered_late_brings_nothing_back(
    store: ShardStore, redis: Redis, prefix: str
) -> None:
    """What a broken connection held: the same script call, after its envelope was claimed again and settled."""
    term, version = await owned(store)
    sent: list[tuple[str, list[str], list[str | bytes | int]]] = []
    run = store._scripts.run

    async def overheard(name: str, keys: list[str], args: list[str | bytes | int]) -> object:
        sent.append((name, keys, args))
        return await run(name, keys, args)

    store._scripts.run = overheard  # type: ignore[assignment, method-assign]
    reply = await store.commit(term, version, [], [envelope()])
    late = sent[-1]
    expired = Settle(record=envelope(), outcome="expired", confirmed=BIG)
    reply = await store.commit(term, reply.version, [expired], [])
    assert (await Scripts(redis).run(*late))[0] == b"stale"
    state = await store.load(term)
    assert state.wal == []
    assert state.version == reply.version


async def test_concurrent_writers_of_one_owner_all_get_through(store: ShardStore) -> None:
    term, version = await owned(store)
    replies = await asyncio.gather(
        store.commit(term, version, [], [envelope(1, channel=1)]),
        store.store_snapshot(term, b"table", "5-0"),
        store.commit(term, version, [], [envelope(2, channel=2)]),
    )
    assert all(not reply.refused for reply in replies if not isinstance(reply, int))
    state = await store.load(term)
    assert len(state.wal) == 2
    assert state.snapshot == b"table"


async def test_the_largest_commit_fits_and_a_larger_one_is_refused(store: ShardStore) -> None:
    term = await store.acquire(1, "a")
    assert term is not None
    version = await store.set_confirmed(term, 0, dict.fromkeys(range(MAX_COMMIT), BIG))
    claims = [envelope(task, channel=task) for task in range(MAX_COMMIT)]
    reply = await store.commit(term, version, [], claims)
    assert len(reply.accepted) == MAX_COMMIT
    dead = [
        Settle(record=claim, outcome="failed", confirmed=BIG + 1, dead=claim.channel % 2 == 0)
        for claim in claims
    ]
    again = [msgspec.structs.replace(claim, attempt=2, sequence=BIG + 2) for claim in claims]
    reply = await store.commit(term, reply.version, dead, again)
    assert len(reply.accepted) == MAX_COMMIT
    with pytest.raises(ValueError, match="at most"):
        await store.commit(term, reply.version, [], [*claims, envelope(MAX_COMMIT)])


# --- settles


async def test_settling_moves_the_channel_and_writes_history(store: ShardStore) -> None:
    term, version = await owned(store)
    record = envelope()
    reply = await store.commit(term, version, [], [record])
    settle = Settle(
        record=record, outcome="executed", confirmed=BIG + 1, history={"ledger": 101, "reason": None}
    )
    reply = await store.commit(term, reply.version, [settle], [])
    state = await store.load(term)
    assert state.wal == []
    assert state.confirmed[3] == BIG + 1
    (entry,) = await store.history(1)
    assert (entry.execution, entry.attempt, entry.outcome) == (record.execution, 1, "executed")
    assert entry.detail == {"ledger": 101, "reason": None}
    assert entry.hash == record.hash.hex()
    assert entry.at_ms > 1_700_000_000_000

    # Once more, and with another sequence: what is settled stays settled.
    wrong = msgspec.structs.replace(settle, confirmed=BIG + 9)
    await store.commit(term, reply.version, [wrong], [])
    assert (await store.load(term)).confirmed[3] == BIG + 1
    assert len(await store.history(1)) == 1


async def test_an_expired_envelope_is_rebuilt_in_the_same_call(store: ShardStore) -> None:
    term, version = await owned(store)
    record = envelope()
    reply = await store.commit(term, version, [], [record])
    second = msgspec.structs.replace(record, attempt=2, hash=b"\x02" * 32)
    reply = await store.commit(
        term, reply.version, [Settle(record=record, outcome="expired", confirmed=BIG)], [second]
    )
    assert reply.accepted == {record.execution}
    assert (await store.load(term)).wal == [second]


async def test_retry_and_dead_letters_move_with_the_settle(store: ShardStore) -> None:
    term, version = await owned(store)
    record = envelope()
    retry = RetryRecord(id=1, window=record.window, attempts=1, not_before_s=1_700_000_100, reason="trapped")
    reply = await store.commit(term, version, [], [record])
    reply = await store.commit(
        term, reply.version, [Settle(record=record, outcome="failed", confirmed=BIG + 1, retry=retry)], []
    )
    assert (await store.load(term)).retry == [retry]

    second = msgspec.structs.replace(record, attempt=2, sequence=BIG + 2)
    reply = await store.commit(term, reply.version, [], [second])
    assert (await store.load(term)).retry == [retry], "a takeover now must still know what it has cost"

    reply = await store.commit(
        term, reply.version, [Settle(record=second, outcome="failed", confirmed=BIG + 2, dead=True)], []
    )
    state = await store.load(term)
    assert state.retry == []
    assert state.dead == [
        RetryRecord(id=1, window=record.window, attempts=2, not_before_s=0, reason="failed")
    ]
    counts = (await store.counts())[1]
    assert (counts.in_flight, counts.retry, counts.dead, counts.history, counts.channels) == (0, 0, 1, 2, 10)


async def test_a_retry_whose_window_is_gone_can_be_dropped(store: ShardStore) -> None:
    term, version = await owned(store)
    record = envelope()
    retry = RetryRecord(id=1, window=record.window, attempts=1, not_before_s=0, reason="no_effect")
    reply = await store.commit(term, version, [], [record])
    settle = Settle(record=record, outcome="no_effect", confirmed=BIG + 1, retry=retry)
    reply = await store.commit(term, reply.version, [settle], [])
    await store.commit(term, reply.version, [], [], drop=[record.execution, "99:1"])
    assert (await store.load(term)).retry == []


async def test_history_is_bounded(store: ShardStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sorofast.coordination.shard.HISTORY_ENTRIES", 100)
    term = await store.acquire(1, "a")
    assert term is not None
    version = await store.set_confirmed(term, 0, dict.fromkeys(range(500), BIG))
    claims = [envelope(task, channel=task) for task in range(500)]
    reply = await store.commit(term, version, [], claims)
    settles = [Settle(record=claim, outcome="executed", confirmed=BIG + 1) for claim in claims]
    await store.commit(term, reply.version, settles, [])
    assert 100 <= (await store.counts())[1].history <= 200  # trimming is by whole nodes of the stream


async def test_a_channel_in_flight_keeps_its_sequence(store: ShardStore) -> None:
    term, version = await owned(store)
    reply = await store.commit(term, version, [], [envelope(channel=3)])
    await store.set_confirmed(term, reply.version, {3: BIG + 50, 4: BIG + 50})
    confirmed = (await store.load(term)).confirmed
    assert confirmed[3] == BIG
    assert confirmed[4] == BIG + 50


# --- snapshots


async def test_the_next_owner_gets_the_snapshot_and_the_log(store: ShardStore) -> None:
    term, version = await owned(store)
    await store.commit(term, version, [], [envelope()])
    table = bytes(range(256)) * 16_384  # 4 MiB
    await store.release(term, table, "105-0")
    following = await store.acquire(1, "b")
    assert following is not None
    state = await store.load(following)
    assert state.snapshot == table
    assert state.snapshot_stream_id == "105-0"
    assert state.wal == [envelope()]
    assert state.confirmed == dict.fromkeys(range(10), BIG)


async def test_snapshots_bound_the_trimming_of_the_stream(store: ShardStore) -> None:
    for shard in range(4):
        assert await store.oldest_snapshot() is None
        term = await store.acquire(shard, "a")
        assert term is not None
        await store.store_snapshot(term, b"", f"{9 + shard * 91}-0")
    assert await store.oldest_snapshot() == "9-0"


async def test_a_snapshot_has_a_bound_and_a_stream_id(store: ShardStore) -> None:
    term = await store.acquire(1, "a")
    assert term is not None
    with pytest.raises(ValueError, match="above"):
        await store.store_snapshot(term, bytes(MAX_SNAPSHOT_BYTES + 1), "1-0")
    with pytest.raises(ValueError, match="stream id"):
        await store.store_snapshot(term, b"", "yesterday")


# --- scripts


async def test_scripts_survive_being_forgotten(store: ShardStore, redis: Redis) -> None:
    term, version = await owned(store)
    await redis.script_flush()
    reply = await store.commit(term, version, [], [envelope()])
    assert reply.accepted
    await redis.script_flush()
    assert len(await store.renew([term])) == 1
