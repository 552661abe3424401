"""What the follower publishes once per ledger, and every worker reads.

One entry per ledger under the stream id `<ledger>-0`: Redis itself refuses a second or an older one. Entries
chain through `previous`; a reader whose last entry is not the next one's `previous` has missed something and
resyncs from the chain.
"""

from __future__ import annotations

import msgspec

from sorofast.errors import DecodeError
from sorofast.executions.records import schema_of

__all__ = ["LEDGER_SCHEMA", "LedgerEntry", "decode_ledger", "encode_ledger", "ledger_of", "stream_id"]

LEDGER_SCHEMA = 1


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
        return msgspec.msgpack.decode(raw, type=LedgerEntry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"an entry of the ledger stream does not decode: {error}") from error
