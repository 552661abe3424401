"""What the follower publishes once per ledger, and every worker reads.

One entry per ledger under the stream id `<ledger>-0`: Redis itself refuses a second or an older one. Entries
chain through `previous`; a reader whose last entry is not the next one's `previous` has missed something and
resyncs from the chain.
"""

from __future__ import annotations

from typing import Any

import msgspec
from redis.asyncio import Redis

from sorofast import _core
from sorofast.coordination.client import redis_errors
from sorofast.coordination.scripts import Scripts
from sorofast.errors import DecodeError, RedisUnreadable
from sorofast.executions.records import schema_of
from sorofast.observability.unreadable import UnreadableKeys

__all__ = [
    "LEDGER_SCHEMA", "LedgerEntry", "LedgerStream", "cursor_of", "decode_ledger", "encode_ledger", "ledger_of",
    "stream_id",
]  # fmt: skip

LEDGER_SCHEMA = 1
MAX_BLOCK_MS = 2_000
# How many that do not read are passed over in one call, in pages of what was asked for.
PASSED_PAGES_MAX = 400
PASSED_MAX = 64
PASSED_OVER = "nothing: it is passed over; members of another version each need a redis.prefix of their own"
# Events' cursors begin with their ledger's number, 32 bits up; a node may be a few ledgers ahead of what was published.
CURSOR_AHEAD_MAX = 100
LEDGER_DIGITS_MAX = 10


class LedgerEntry(msgspec.Struct, array_like=True, kw_only=True):
    """One closed ledger, as far as this fleet cares."""

    schema: int = LEDGER_SCHEMA
    generation: str
    """The fleet's generation; another one means that Redis was emptied in between."""
    epoch: int
    """Epoch of the follower's lease."""
    ledger: int
    previous: int
    """The ledger of the entry before this one, 0 for the first; more than one apart when the follower had to
    skip.
    """
    events_through: int
    """Events are complete up to and including this ledger."""
    close_time_s: int
    rows: bytes
    """Packed task rows as `_core.ROW_SIZE` describes; each holds its own snapshot ledger."""
    snapshot_ledger: int
    """The oldest `latestLedger` of the answers the rows and channels come from."""
    channels: list[tuple[int, int, int, int, int]]
    """(channel index, sequence, seqLedger, seqTime in unix seconds, snapshot ledger)."""
    successes: list[tuple[int, bytes, bytes, int]]
    """(task id, transaction hash, keeper key, ledger) of every KeeperPaid event."""
    removed: list[int]
    """Task ids that no longer exist."""
    node: str
    """The RPC endpoint that answered."""
    resync: bool = False
    """Events before this ledger are lost to the follower: tables are to be read from the chain again."""
    keeper: bytes = b""
    """Public key of the keeper whose account the follower looked for; empty when it was of a version that does not."""
    keeper_gone_since: tuple[int, int] | None = None
    """(ledger, close time) of the entry that first showed that the keeper has no account; None while it has one."""
    late_ms: int = 0
    """So long before it was published the node did not show the ledger yet: what of that was the follower's own
    slowness, or a slow answer, says nothing about anybody's clock.
    """


def stream_id(ledger: int) -> str:
    return f"{ledger}-0"


def ledger_of(entry_id: str) -> int:
    """The ledger a stream id stands for; ValueError when it is not of the form `<ledger>-0`."""
    ledger, dash, rest = entry_id.partition("-")
    if not dash or rest != "0" or not ledger.isdecimal():
        raise ValueError(f"{entry_id!r} is not a ledger's stream id")
    return int(ledger)


def encode_ledger(entry: LedgerEntry) -> bytes:
    return msgspec.msgpack.encode(entry)


def decode_ledger(raw: bytes) -> LedgerEntry:
    """DecodeError when the bytes are no entry, or one of another schema."""
    schema = schema_of(raw)
    if schema is not None and schema != LEDGER_SCHEMA:
        raise DecodeError(
            f"the ledger stream holds schema {schema} and this sorofast reads {LEDGER_SCHEMA}: "
            "run one version in a fleet, or give the new one its own redis.prefix"
        )
    try:
        entry = msgspec.msgpack.decode(raw, type=LedgerEntry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"an entry of the ledger stream does not decode: {error}") from error
    if len(entry.rows) % _core.ROW_SIZE:
        raise DecodeError(
            f"the rows of ledger {entry.ledger} have {len(entry.rows)} bytes, which no number of rows has"
        )
    return entry


def cursor_of(ledger: bytes | None, cursor: bytes | None, newest: int | None) -> tuple[int, str | None]:
    """What the follower has stored: (ledger, events cursor after it), (0, None) before the first. The stream's newest
    entry is of the same ledger, if there is one. DecodeError for what no follower stored.
    """
    if ledger is None and newest is None:
        return 0, None
    if ledger is None or not ledger.isdigit() or len(ledger) > LEDGER_DIGITS_MAX:
        raise DecodeError("the ledger is no number")
    number = int(ledger)
    if newest is not None and number > newest:
        raise DecodeError(f"ledger {number} was never published, the newest is {newest}")
    if not cursor:
        return number, None
    place = cursor.partition(b"-")[0]
    if not (cursor.isascii() and place.isdigit()) or int(place[:20]) >> 32 > number + CURSOR_AHEAD_MAX:
        raise DecodeError(f"the events' cursor is none of ledger {number}")
    return number, cursor.decode()


class LedgerStream:
    """Reads the stream at `key`. What does not read is passed over and told. Raises RedisUnreachable."""

    def __init__(self, redis: Redis, key: str, scripts: Scripts, unreadable: UnreadableKeys | None) -> None:
        self._redis = redis
        self._key = key
        self._scripts = scripts
        self._unreadable = unreadable

    async def read(self, after_id: str, block_ms: int, count: int) -> list[tuple[str, LedgerEntry]]:
        """At most `count` entries after that id, oldest first."""
        wait_ms = min(block_ms, MAX_BLOCK_MS)
        for _ in range(PASSED_PAGES_MAX):
            reply: Any = await self._ask("xread", {self._key: after_id}, count=count, block=wait_ms or None)
            if not reply:
                return []
            stored = reply[0][1]
            entries = self._readable(stored)
            if entries:
                return entries
            after_id = stored[-1][0].decode()
        return []

    async def last(self, count: int) -> list[tuple[str, LedgerEntry]]:
        """The newest `count` entries, oldest first."""
        entries: list[tuple[str, LedgerEntry]] = []
        for wanted in (count, count + PASSED_MAX):
            stored: Any = await self._ask("xrevrange", self._key, count=wanted)
            entries = self._readable(stored[::-1])[-count:]
            if len(entries) == count or len(stored) < wanted:
                break
        return entries

    async def newest_ledger(self) -> int | None:
        """The ledger of the newest entry, whatever it holds; None where there is none."""
        stored: Any = await self._ask("xrevrange", self._key, count=1)
        return int(stored[0][0].partition(b"-")[0]) if stored else None

    async def _ask(self, command: str, *arguments: Any, **options: Any) -> Any:
        try:
            with redis_errors("reading the ledger stream"):
                return await getattr(self._redis, command)(*arguments, **options)
        except RedisUnreadable as error:
            if await self._scripts.put_right([self._key], error):
                return []
            raise

    def _readable(self, stored: list[Any]) -> list[tuple[str, LedgerEntry]]:
        entries: list[tuple[str, LedgerEntry]] = []
        for raw_id, fields in stored:
            entry_id = raw_id.decode()
            try:
                entry = decode_ledger(fields.get(b"entry", b""))
                if stream_id(entry.ledger) != entry_id:
                    raise DecodeError(f"it says that it is ledger {entry.ledger}")
            except DecodeError as error:
                if self._unreadable is not None:
                    self._unreadable.found(self._key, error, PASSED_OVER, entry_id)
                continue
            entries.append((entry_id, entry))
        return entries
