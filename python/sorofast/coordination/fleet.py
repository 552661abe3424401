"""What the fleet shares: its fixed parameters, who is alive, the follower's role and the ledger stream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Any

import msgspec
from redis.asyncio import Redis

from sorofast import __version__
from sorofast.clock import Clock, SystemClock
from sorofast.coordination.client import redis_errors, shown
from sorofast.coordination.keys import FOLLOWER, FleetKeys, ShardKeys, facts_of
from sorofast.coordination.leases import Leases, Term
from sorofast.coordination.members import decode_info
from sorofast.coordination.scripts import Scripts
from sorofast.coordination.streams import LedgerEntry, LedgerStream, cursor_of, encode_ledger
from sorofast.errors import DecodeError, FleetMismatch, LeaseLost, RedisUnreadable
from sorofast.executions.key import Execution
from sorofast.executions.records import RECORD_SCHEMA, RECORD_SCHEMAS, inflight_of
from sorofast.limits import SHARDS_MAX
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["FLEET_SCHEMA", "MEMBER_TTL_S", "Fleet", "FleetMeta"]

FLEET_SCHEMA = RECORD_SCHEMA
"""The schema of records that a new fleet writes from its first day."""
MEMBER_TTL_S = 5.0
MAX_INFO_BYTES = 16 * 1024
MAX_ENTRY_BYTES = 16 * 1024 * 1024
STREAM_ENTRIES = 20_000
"""A day of ledgers, should nobody trim: who is further behind resyncs from the chain."""
CHANNEL_DIGITS_MAX = 9
_GENERATION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class FleetMeta:
    """What every engine of a fleet must agree on; fixed when the fleet is created."""

    schema: int
    """The schema of the records the fleet writes: FLEET_SCHEMA for a new one. One that is there may write an older one
    until all its members read this.
    """
    shards: int
    network: str
    """Network passphrase."""
    contract: str
    """The registry's C… address."""
    channels: int
    channel_fingerprint: str
    """A hash over the channel accounts' public keys: the same seed file on every host."""


class Fleet:
    """Raises LeaseLost for a follower's term that is over, FleetMismatch, and RedisUnreachable. A member of the fleet
    gives `unreadable`, to be told what it could not read and passed over.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        clock: Clock | None = None,
        unreadable: UnreadableKeys | None = None,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._keys = FleetKeys.of(prefix)
        self._unreadable = unreadable
        self._scripts = Scripts(redis, unreadable)
        self._stream = LedgerStream(redis, self._keys.ledgers, self._scripts, unreadable)
        self._leases = Leases(self._scripts, clock or SystemClock())
        self._shards: int | None = None
        self.schema = min(RECORD_SCHEMAS)
        """The schema of the records the fleet writes, as last told by Redis."""

    async def check_meta(self, meta: FleetMeta) -> str:
        """Creates the fleet or compares with it; returns its generation.

        FleetMismatch names each difference and the fix.
        """
        if meta.shards < 1 or meta.shards > SHARDS_MAX:
            raise ValueError(f"a fleet has 1 to {SHARDS_MAX} shards, not {meta.shards}")
        mine = {name: str(value) for name, value in asdict(meta).items()}
        try:
            reply = await self._scripts.run(
                "check_meta-2",
                [self._keys.meta, self._keys.generation],
                [token_hex(8), *(text for pair in mine.items() for text in pair)],
            )
        except RedisUnreadable as error:
            raise FleetMismatch(
                f"{self._keys.meta} or {self._keys.generation} holds something else than what a fleet is made with "
                f"({error}); if other software uses these keys, choose another redis.prefix, else "
                f"{facts_of(self._keys.meta).fix}"
            ) from error
        texts: list[str] = [raw.decode(errors="replace") for raw in reply]
        if not _GENERATION.fullmatch(texts[0]):
            raise FleetMismatch(
                f"{self._keys.generation} holds {texts[0][:40]!r}, which names no fleet: "
                f"{facts_of(self._keys.generation).fix}"
            )
        stored = dict(zip(texts[1::2], texts[2::2], strict=True))
        self._take_schema(stored.pop("schema", ""))
        del mine["schema"]
        different = [
            f"{name} is {stored.get(name, 'missing')} there and {value} here"
            for name, value in mine.items()
            if stored.get(name) != value
        ]
        if different:
            raise FleetMismatch(
                f"the fleet under redis.prefix {self._prefix!r} was created with other settings: "
                f"{'; '.join(different)}. Use the same ones, or give this fleet its own redis.prefix "
                "(SOROFAST_REDIS__PREFIX)"
            )
        self._shards = meta.shards
        return texts[0]

    def _take_schema(self, stored: str) -> None:
        oldest, newest = min(RECORD_SCHEMAS), max(RECORD_SCHEMAS)
        if not stored.isdecimal() or not oldest <= int(stored) <= newest:
            raise FleetMismatch(
                f"the fleet under redis.prefix {self._prefix!r} writes records of schema {stored or 'none'}, and "
                f"sorofast {__version__} reads {oldest} to {newest}: start the version of sorofast that its members "
                "run, or a newer one"
            )
        self.schema = int(stored)

    async def raise_schema(self, schema: int) -> int:
        """Lets the fleet write that schema, which every live member reads, from now on; returns the fleet's schema."""
        reply = await self._scripts.run("raise_schema-1", [self._keys.meta], [schema])
        self.schema = max(self.schema, min(int(reply), max(RECORD_SCHEMAS)))
        return self.schema

    async def generation(self) -> str | None:
        """The random name the fleet got when it was created; another one later means that Redis was emptied.

        RedisUnreadable where there is something else than a name.
        """
        key = self._keys.generation
        try:
            with redis_errors("reading the fleet's generation"):
                raw: Any = await self._redis.get(key)
            if raw is not None and not _GENERATION.fullmatch(raw.decode(errors="replace")):
                raise RedisUnreadable(f"{key} names no fleet")
        except RedisUnreadable as error:
            await self._scripts.put_right([key], error)
            raise
        if self._unreadable is not None:
            self._unreadable.fine(key)
        return None if raw is None else str(raw.decode())

    async def shards(self) -> int:
        """How many shards the fleet was created with; FleetMismatch when there is no fleet yet."""
        if self._shards is None:
            with redis_errors("reading the fleet's parameters"):
                raw = await self._redis.hget(self._keys.meta, "shards")
            if raw is None:
                raise FleetMismatch(
                    f"there is no fleet under redis.prefix {self._prefix!r}: start `sorofast run` first, "
                    "or check the prefix"
                )
            if not raw.isdigit() or not 1 <= int(raw[:9]) <= SHARDS_MAX:
                raise FleetMismatch(
                    f"{self._keys.meta} holds {raw[:40]!r} as the number of shards: {facts_of(self._keys.meta).fix}"
                )
            self._shards = int(raw)
        return self._shards

    async def heartbeat(self, member: str, info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Says that `member` lives, for MEMBER_TTL_S on Redis's clock; returns everybody who does."""
        packed = msgspec.json.encode(info)
        if len(packed) > MAX_INFO_BYTES:
            raise ValueError(f"a member's info may take {MAX_INFO_BYTES} bytes, not {len(packed)}")
        reply = await self._scripts.run(
            "beat_member-1", [self._keys.members], [member, packed, int(MEMBER_TTL_S * 1000)]
        )
        if reply[0] and self._unreadable is not None:
            self._unreadable.found(
                self._keys.members,
                f"{reply[0]} values are no beats of members",
                facts_of(self._keys.members).fix,
            )
        return self._described(zip(reply[1::2], reply[2::2], strict=True))

    def _described(self, stored: Iterable[tuple[bytes, bytes]]) -> dict[str, dict[str, Any]]:
        """Those who describe themselves; the others count as absent, and are forgotten when their time is over."""
        described: dict[str, dict[str, Any]] = {}
        for name, packed in stored:
            try:
                member, info = decode_info(name, packed)
            except DecodeError as error:
                if self._unreadable is not None:
                    field = name.decode(errors="replace")
                    self._unreadable.found(self._keys.members, error, "nothing: its time runs out", field)
                continue
            described[member] = info
        return described

    async def members(self) -> dict[str, dict[str, Any]]:
        """Who is alive, without joining: for `status`."""
        with redis_errors("reading the members"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hgetall(self._keys.members)
                (seconds, micros), stored = await pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        alive = []
        for name, value in stored.items():
            expires_ms, _, packed = value.partition(b" ")
            if expires_ms.isdigit() and int(expires_ms[:20]) > now_ms:
                alive.append((name, packed))
        return self._described(alive)

    async def leave(self, member: str) -> None:
        with redis_errors("leaving the fleet"):
            await self._redis.hdel(self._keys.members, member)

    async def acquire_follower(self, owner: str) -> Term | None:
        """Begins a follower's term, or None while another one's runs."""
        granted = await self._leases.acquire(self._keys.follower, FOLLOWER, owner)
        return granted[0] if granted else None

    async def renew_follower(self, term: Term) -> Term:
        renewed = await self._leases.renew([(self._keys.follower, term)])
        if not renewed:
            raise LeaseLost(f"the follower's epoch {term.epoch} of {term.owner} is over")
        return renewed[0]

    async def release_follower(self, term: Term) -> None:
        """Ends the term; nothing happens when it is over already."""
        await self._leases.release([self._keys.follower], term.owner, term.epoch)

    async def follower(self) -> tuple[str, int] | None:
        """(owner, epoch) of the follower's running term, for `status`."""
        with redis_errors("reading the follower's lease"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hmget(self._keys.follower, ["owner", "epoch", "expires_ms"])
                (seconds, micros), (owner, epoch, expires_ms) = await pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        try:
            return (owner.decode(), int(epoch)) if owner and int(expires_ms) > now_ms else None
        except (TypeError, ValueError):
            return None

    async def follower_state(self) -> tuple[int, str | None]:
        """(last published ledger, events cursor after it); (0, None) before the first.

        Where they do not read, the ledger is that of the stream's newest entry, and there is no cursor.
        """
        key = self._keys.cursor
        newest = await self._stream.newest_ledger()
        try:
            with redis_errors("reading the follower's cursor"):
                stored: list[Any] = await self._redis.hmget(key, ["ledger", "cursor"])
            return cursor_of(stored[0], stored[1], newest)
        except (DecodeError, RedisUnreadable) as error:
            reason = error if isinstance(error, RedisUnreadable) else RedisUnreadable(f"{key}: {error}")
            await self._scripts.put_right([key], reason)
            return newest or 0, None

    async def append_ledger(self, term: Term, entry: LedgerEntry, cursor: str | None) -> None:
        """Publishes the entry and stores the events cursor, in one script.

        Repeating the call is harmless. LeaseLost when the term is over, or when the stream's last ledger is
        not `entry.previous`: either way the caller's view is not current, and it reads `follower_state` under
        a new term.
        """
        packed = encode_ledger(entry)
        if len(packed) > MAX_ENTRY_BYTES:
            raise ValueError(
                f"the entry of ledger {entry.ledger} has {len(packed)} bytes, more than {MAX_ENTRY_BYTES}"
            )
        reply = await self._scripts.run(
            "append_ledger-3",
            [self._keys.follower, self._keys.ledgers, self._keys.cursor],
            [term.owner, term.epoch, entry.ledger, entry.previous, cursor or "", packed, STREAM_ENTRIES],
        )
        if reply[1:] == [b"anew"] and self._unreadable is not None:
            reason = "what it held beyond the cursor was none of ours"
            self._unreadable.found(self._keys.ledgers, reason, facts_of(self._keys.ledgers).fix)
        if reply[0] == b"lost":
            raise LeaseLost(
                f"the follower's epoch {term.epoch} of {term.owner} is over, the role is at epoch {shown(reply[2])}"
            )
        if reply[0] == b"conflict":
            raise LeaseLost(
                f"ledger {entry.ledger} does not follow: the stream is at {shown(reply[1])}, "
                f"{term.owner} took it to be at {entry.previous}"
            )

    async def read_ledgers(self, after_id: str, block_ms: int, count: int) -> list[tuple[str, LedgerEntry]]:
        """Entries after `after_id` ("0-0" for all), oldest first.

        Waits up to `block_ms` for one, at most two seconds. What does not read is passed over.
        A first entry whose `previous` is not the ledger of `after_id` means that the reader missed something.
        """
        return await self._stream.read(after_id, block_ms, count)

    async def last_ledgers(self, count: int) -> list[tuple[str, LedgerEntry]]:
        """The newest entries that read, oldest first."""
        return await self._stream.last(count)

    async def trim(self, min_id: str) -> int:
        """Drops entries below `min_id` (see `ShardStore.oldest_snapshot`); returns how many."""
        with redis_errors("trimming the ledger stream"):
            return int(await self._redis.xtrim(self._keys.ledgers, minid=min_id, approximate=False))

    async def inflight(self) -> dict[int, tuple[Execution | None, int]]:
        """Channel -> (execution, sequence) of every unsettled envelope: what the follower watches. The execution is
        None where another version wrote a name that this one does not know.
        """
        shards = [ShardKeys.of(self._prefix, shard) for shard in range(await self.shards())]
        with redis_errors("reading what is in flight"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for keys in shards:
                    pipe.hgetall(keys.channels)
                replies = await pipe.execute(raise_on_error=False)
        found: dict[int, tuple[Execution | None, int]] = {}
        for keys, channels in zip(shards, replies, strict=True):
            try:
                with redis_errors("reading what is in flight"):
                    if isinstance(channels, Exception):
                        raise channels
            except RedisUnreadable as error:
                # The shard is not worked on meanwhile, so nothing of it has to be watched.
                await self._scripts.put_right([keys.channels], error)
                continue
            for name, value in channels.items():
                channel = name.removesuffix(b":tx")
                if channel != name and channel.isdigit() and len(channel) <= CHANNEL_DIGITS_MAX:
                    found[int(channel)] = inflight_of(value)
        return found

    async def release_member(self, owner: str) -> int:
        """Frees every lease of a process known to be dead, for who reaped it; returns how many."""
        try:
            shards = await self.shards()
        except RedisUnreadable as error:
            raise FleetMismatch(f"{error}: {facts_of(self._keys.meta).fix}") from error
        leases = [ShardKeys.of(self._prefix, shard).lease for shard in range(shards)]
        freed = await self._leases.release([self._keys.follower, *leases], owner, None)
        await self.leave(owner)
        return freed
