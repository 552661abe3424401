"""A shard's state in Redis: its lease, write-ahead log, channels, retries, dead letters, history and
snapshot.

Every change is one script on the shard's slot, which compares the lease's owner and epoch and the shard's
`version`. The version is raised by every change and works in both directions. Redis behind the caller: Redis
lost something, ShardRegressed. The caller behind Redis: a reply was lost, or this is an old request that a
broken connection delivered late; the script then changes nothing and answers with the version, and a caller
who is still there simply asks again. So a request that nobody waits for any more cannot bring back an
envelope that was settled in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from redis.asyncio import Redis

from sorofast.clock import Clock, SystemClock
from sorofast.coordination.client import redis_errors, shown, unless_unreadable
from sorofast.coordination.history import newest
from sorofast.coordination.keys import ShardKeys, facts_of, shard_name, shard_number
from sorofast.coordination.leases import LEASE_TTL_MS, Leases, Term
from sorofast.coordination.requests import REQUESTS_MAX, Request, decode_request
from sorofast.coordination.scripts import Arg, Scripts
from sorofast.coordination.state import ShardState, read_state
from sorofast.coordination.streams import ledger_of
from sorofast.errors import LeaseLost, RedisUnreachable, RedisUnreadable, ShardRegressed
from sorofast.executions.records import (
    RECORD_SCHEMA,
    HistoryRecord,
    RetryRecord,
    Settle,
    WalRecord,
    encode_record,
    envelope_name,
)
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["CommitReply", "Refusal", "ShardCounts", "ShardState", "ShardStore"]

HISTORY_ENTRIES = 10_000
MAX_COMMIT = 1_000
MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024
_STALE_ROUNDS = 5

_pack = msgspec.msgpack.encode


class Refusal:
    """Why `commit` did not accept a claim; the values of `CommitReply.refused`."""

    IN_FLIGHT = "in_flight"
    """The execution already has an unsettled envelope."""
    CHANNEL_BUSY = "channel_busy"
    """The channel carries another unsettled envelope."""
    SEQUENCE = "sequence"
    """The channel's confirmed sequence in Redis is not the claim's sequence - 1."""
    UNCONFIRMED = "unconfirmed"
    """The channel's sequence was never confirmed: `set_confirmed` first."""


@dataclass(frozen=True, slots=True)
class CommitReply:
    version: int
    accepted: frozenset[str]
    """Executions ("task:window") whose envelope may be sent now, also if an earlier call accepted them."""
    refused: dict[str, str]
    """Execution -> one of `Refusal`."""
    term: Term
    """The caller's term, renewed by the same script."""


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Sizes of one shard's parts, for `status`."""

    shard: int
    in_flight: int
    retry: int
    dead: int
    history: int
    channels: int
    snapshot_stream_id: str | None


class ShardStore:
    """All shards of one fleet. Raises LeaseLost, ShardRegressed (both end the term) and RedisUnreachable."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        shards: int,
        clock: Clock | None = None,
        *,
        schema: int = RECORD_SCHEMA,
        unreadable: UnreadableKeys | None = None,
    ) -> None:
        """A member of the fleet gives `unreadable`, to be told what it could not read and passed over."""
        self._redis = redis
        self._keys = [ShardKeys.of(prefix, shard) for shard in range(shards)]
        self._clock = clock or SystemClock()
        self._unreadable = unreadable
        self._scripts = Scripts(redis, unreadable)
        self._leases = Leases(self._scripts, self._clock)
        self._seen: dict[str, tuple[int, int]] = {}
        self.schema = schema
        """The schema of the records it writes; a member of a fleet keeps it to what every live member reads."""

    async def acquire(self, shard: int, owner: str) -> Term | None:
        """Begins a term, or None while another owner's term runs."""
        granted = await self._leases.acquire(self._keys[shard].lease, shard_name(shard), owner)
        if granted is None:
            return None
        term, version = granted
        self._seen[term.name] = (term.epoch, version)
        return term

    async def renew(self, terms: Sequence[Term]) -> list[Term]:
        """Renews all in one round trip; terms that were lost are left out."""
        return await self._leases.renew([(self._of(term).lease, term) for term in terms])

    async def load(self, term: Term) -> ShardState:
        """The shard's whole state, read atomically under the term. Records that do not read are told, and stay.

        RedisUnreadable where a key is not what it should be, as for everything here.
        """
        keys = self._of(term)
        every = [keys.lease, keys.wal, keys.channels, keys.retry, keys.dead, keys.snapshot]
        try:
            with redis_errors(f"reading shard {term.name}"):
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hmget(keys.lease, ["owner", "epoch", "version"])
                    pipe.hgetall(keys.wal)
                    pipe.hgetall(keys.channels)
                    pipe.hgetall(keys.retry)
                    pipe.hgetall(keys.dead)
                    pipe.hmget(keys.snapshot, ["data", "stream_id"])
                    lease, wal, channels, retry, dead, snapshot = await pipe.execute()
        except RedisUnreadable as error:
            if await self._scripts.put_right(every, error):
                return await self.load(term)
            raise
        try:
            owner, epoch, version = (lease[0] or b"").decode(), int(lease[1] or 0), int(lease[2] or 0)
        except ValueError as error:
            raise RedisUnreadable(f"{keys.lease} holds no lease: {facts_of(keys.lease).fix}") from error
        seen = self._latest(term, 0)
        if epoch < term.epoch or (epoch == term.epoch and version < seen):
            raise _regressed(term, version, seen)
        if epoch > term.epoch or owner != term.owner:
            raise _lost(term, owner, epoch)
        self._seen[term.name] = (term.epoch, version)
        if self._unreadable is not None:
            for key in every:
                self._unreadable.fine(key)
        return read_state(keys, version, wal, channels, retry, dead, snapshot, self._unreadable)

    async def commit(
        self,
        term: Term,
        version: int,
        settles: Sequence[Settle],
        claims: Sequence[WalRecord],
        drop: Sequence[str] = (),
    ) -> CommitReply:
        """Settles, then claims, and renews the lease, in one script.

        A claim is accepted when its channel carries nothing, the confirmed sequence is the claim's sequence -
        1, and its execution has no other envelope; or when this very envelope was accepted before (a lost
        reply, asked again). Settling what is settled already changes nothing. `drop` takes executions out of
        the retry hash whose window somebody else ran.
        """
        if len(settles) > MAX_COMMIT or len(claims) > MAX_COMMIT or len(drop) > MAX_COMMIT:
            raise ValueError(f"a commit takes at most {MAX_COMMIT} settles, claims and drops each")
        if len({claim.execution for claim in claims}) < len(claims):
            raise ValueError(
                "one commit claims an execution twice, and could not say which claim it accepted"
            )
        keys = self._of(term)
        records: list[bytes] = []
        packed = (
            _pack([_settle_fields(settle, records, self.schema) for settle in settles]),
            _pack([_claim_fields(claim, records, self.schema) for claim in claims]),
            _pack(list(drop)),
        )
        sent_at_s = self._clock.monotonic()
        reply = await self._write(
            "commit_ledger-6",
            [keys.lease, keys.wal, keys.channels, keys.retry, keys.dead, keys.history],
            term,
            version,
            [LEASE_TTL_MS, HISTORY_ENTRIES, *packed, *records],
        )
        told = {int(reply[at]): shown(reply[at + 1]) for at in range(2, len(reply), 2)}
        unwritten = told.pop(-1, None)
        if unwritten is not None and self._unreadable is not None:
            self._unreadable.found(keys.history, unwritten, facts_of(keys.history).fix)
        refused = {claims[at].execution: reason for at, reason in told.items()}
        return CommitReply(
            version=int(reply[1]),
            accepted=frozenset(claim.execution for claim in claims if claim.execution not in refused),
            refused=refused,
            term=replace(term, trusted_until=self._leases.trust(sent_at_s)),
        )

    async def set_confirmed(self, term: Term, version: int, confirmed: Mapping[int, int]) -> int:
        """Stores channel sequences read from the chain (takeover, first use) and returns the new version.

        A channel with an envelope in flight keeps what it has: settling that envelope moves it.
        """
        keys = self._of(term)
        pairs = _pack([(str(channel), str(sequence)) for channel, sequence in confirmed.items()])
        reply = await self._write("confirm_channels-2", [keys.lease, keys.channels], term, version, [pairs])
        return int(reply[1])

    async def bind(self, term: Term, version: int, records: Sequence[WalRecord]) -> int:
        """Lets the channels of these records say again that they carry them, as only what a channel carries can be
        settled; returns the new version.
        """
        keys = self._of(term)
        pairs = _pack([(f"{record.channel}:tx", envelope_name(record)) for record in records])
        reply = await self._write("confirm_channels-2", [keys.lease, keys.channels], term, version, [pairs])
        return int(reply[1])

    async def requests(self, term: Term) -> dict[bytes, Request]:
        """What operators have asked of the shard and nobody has carried out yet, by its own bytes, oldest first."""
        key = self._of(term).requests
        try:
            with redis_errors(f"reading the requests to shard {term.name}"):
                stored: Any = await self._redis.lrange(key, 0, REQUESTS_MAX - 1)
        except RedisUnreadable as error:
            await self._scripts.put_right([key], error)
            raise
        found = {raw: request for raw in stored if (request := decode_request(raw)) is not None}
        if self._unreadable is not None:
            if len(found) < len(set(stored)):
                reason = "some of them ask nothing that this version knows"
                self._unreadable.found(key, reason, facts_of(key).fix, "requests")
            else:
                self._unreadable.fine(key, "requests")
        return found

    async def answer(
        self,
        term: Term,
        version: int,
        requests: Collection[bytes],
        revived: Sequence[str],
        retries: Sequence[RetryRecord],
        *,
        forgotten: Sequence[str] = (),
        rewritten: Sequence[RetryRecord] = (),
    ) -> int:
        """Takes `requests` off the list, the dead letters of the `revived` executions and the retry records of the
        `forgotten` ones away, stores `retries`, and the `rewritten` dead letters in the place of what they were, in one
        script; returns the new version.
        """
        keys = self._of(term)
        reply = await self._write(
            "answer_requests-4",
            [keys.lease, keys.requests, keys.dead, keys.retry],
            term,
            version,
            [
                len(requests),
                _pack(list(revived)),
                _pack([retry.execution for retry in retries]),
                _pack(list(forgotten)),
                _pack([letter.execution for letter in rewritten]),
                *requests,
                *(encode_record(record, self.schema) for record in (*retries, *rewritten)),
            ],
        )
        return int(reply[1])

    async def store_snapshot(self, term: Term, snapshot: bytes, stream_id: str, version: int = 0) -> int:
        """Keeps the packed task table that includes the ledger entry `stream_id`; returns the new version.

        `version` may be left out: the store remembers the latest one this term was told.
        """
        return await self._store_snapshot(term, snapshot, stream_id, version, ends_term=False)

    async def release(self, term: Term, snapshot: bytes | None, stream_id: str | None) -> None:
        """Ends the term, storing a last snapshot in the same script.

        What is in flight stays in the log for the next owner. Nothing happens when the term is over already.
        """
        if snapshot is None or stream_id is None:
            await self._leases.release([self._of(term).lease], term.owner, term.epoch)
        else:
            try:
                await self._store_snapshot(term, snapshot, stream_id, 0, ends_term=True)
            except LeaseLost:
                return
        self._seen.pop(term.name, None)

    async def owners(self) -> dict[int, tuple[str, int]]:
        """Shard -> (owner, epoch) of the terms that run now, by Redis's clock."""
        with redis_errors("reading the shards' owners"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                for keys in self._keys:
                    pipe.hmget(keys.lease, ["owner", "epoch", "expires_ms"])
                replies = await pipe.execute(raise_on_error=False)
        now, *leases = (unless_unreadable(reply, "reading the shards' owners") for reply in replies)
        now_ms = now[0] * 1000 + now[1] // 1000
        owners: dict[int, tuple[str, int]] = {}
        for shard, lease in enumerate(leases):
            # One that does not read is nobody's.
            with suppress(TypeError, ValueError):
                owner, epoch, expires_ms = lease
                if owner and int(expires_ms) > now_ms:
                    owners[shard] = owner.decode(), int(epoch)
        return owners

    async def counts(self) -> list[ShardCounts]:
        """Sizes of every shard's parts, in the order of shards."""
        with redis_errors("counting the shards' records"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for keys in self._keys:
                    pipe.hlen(keys.wal)
                    pipe.hlen(keys.retry)
                    pipe.hlen(keys.dead)
                    pipe.xlen(keys.history)
                    pipe.hlen(keys.channels)
                    pipe.hget(keys.snapshot, "stream_id")
                replies = await pipe.execute()
        counts = []
        for shard in range(len(self._keys)):
            in_flight, retry, dead, history, fields, stream_id = replies[shard * 6 : shard * 6 + 6]
            counts.append(
                ShardCounts(
                    shard=shard,
                    in_flight=in_flight,
                    retry=retry,
                    dead=dead,
                    history=history,
                    channels=fields - in_flight,
                    snapshot_stream_id=shown(stream_id) if stream_id else None,
                )
            )
        return counts

    async def oldest_snapshot(self) -> str | None:
        """Below which entry the ledger stream may be trimmed: the least of all snapshots' stream ids.

        None while a shard has no snapshot, or none that reads.
        """
        with redis_errors("looking for the oldest snapshot"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for keys in self._keys:
                    pipe.hget(keys.snapshot, "stream_id")
                replies = await pipe.execute(raise_on_error=False)
        stored = [unless_unreadable(reply, "looking for the oldest snapshot") for reply in replies]
        ids = [one.decode(errors="replace") for one in stored if one is not None]
        try:
            return min(ids, key=ledger_of) if ids and len(ids) == len(stored) else None
        except ValueError:
            return None

    async def history(self, shard: int, count: int = 100) -> list[HistoryRecord]:
        """The newest settled executions of a shard, newest first; at most HISTORY_ENTRIES."""
        return await newest(self._redis, self._keys[shard].history, min(count, HISTORY_ENTRIES))

    def _of(self, term: Term) -> ShardKeys:
        return self._keys[shard_number(term.name)]

    def _latest(self, term: Term, version: int) -> int:
        """The caller's version, or a later one that a reply to this very term named."""
        epoch, seen = self._seen.get(term.name, (0, 0))
        return max(version, seen) if epoch == term.epoch else version

    async def _store_snapshot(
        self, term: Term, snapshot: bytes, stream_id: str, version: int, *, ends_term: bool
    ) -> int:
        if len(snapshot) > MAX_SNAPSHOT_BYTES:
            raise ValueError(f"a snapshot of {len(snapshot)} bytes is above {MAX_SNAPSHOT_BYTES}")
        ledger_of(stream_id)
        keys = self._of(term)
        reply = await self._write(
            "store_snapshot-2",
            [keys.lease, keys.snapshot],
            term,
            version,
            [stream_id, snapshot, "1" if ends_term else "0"],
        )
        return int(reply[1])

    async def _write(
        self, script: str, keys: Sequence[str], term: Term, version: int, args: Sequence[Arg]
    ) -> list[Any]:
        """Calls a fenced script, and again with the version Redis names if the caller's was not the latest."""
        seen = self._latest(term, version)
        for _ in range(_STALE_ROUNDS):
            reply: list[Any] = await self._scripts.run(script, keys, [term.owner, term.epoch, seen, *args])
            match reply[0]:
                case b"ok":
                    if self._latest(term, 0) < int(reply[1]):
                        self._seen[term.name] = (term.epoch, int(reply[1]))
                    return reply
                case b"lost":
                    raise _lost(term, shown(reply[1]), int(reply[2]))
                case b"regressed":
                    raise _regressed(term, int(reply[1]), seen)
            seen = int(reply[1])
        raise RedisUnreachable(
            f"shard {term.name} changed under {script} {_STALE_ROUNDS} times in a row: "
            "several writers of one process are racing for it"
        )


def _lost(term: Term, owner: str, epoch: int) -> LeaseLost:
    return LeaseLost(
        f"shard {term.name}: epoch {term.epoch} of {term.owner} is over, "
        + (f"{owner} holds it at epoch {epoch}" if owner else f"it was released at epoch {epoch}")
    )


def _regressed(term: Term, version: int, seen: int) -> ShardRegressed:
    return ShardRegressed(
        f"shard {term.name}: Redis is at version {version} and had told {term.owner} {seen} in epoch {term.epoch}; "
        "it was rolled back, flushed or failed over to a replica that was behind"
    )


def _claim_fields(record: WalRecord, records: list[bytes], schema: int) -> tuple[str | int, ...]:
    """What the script is told of a claim; the record itself joins `records`."""
    records.append(encode_record(record, schema))
    return (
        record.execution,
        str(record.channel),
        envelope_name(record),
        str(record.sequence - 1),
        len(records),
    )


def _settle_fields(settle: Settle, records: list[bytes], schema: int) -> tuple[str | int, ...]:
    """What the script is told of a settle; the retry record or dead letter joins `records`."""
    record = settle.record
    kept = settle.retry
    if settle.dead and kept is None:
        kept = RetryRecord(
            source=record.source,
            id=record.id,
            window=record.window,
            attempts=record.attempt,
            not_before_s=0,
            reason=settle.outcome,
        )
    if kept is not None:
        records.append(encode_record(kept, schema))
    number = len(records) if kept is not None else 0
    return (
        record.execution,
        str(record.channel),
        envelope_name(record),
        str(settle.confirmed),
        0 if settle.dead else number,
        number if settle.dead else 0,
        str(record.attempt),
        settle.outcome,
        (settle.landed or record.hash).hex(),
        msgspec.json.encode(settle.history).decode(),
    )
