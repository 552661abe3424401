"""What a shard's new owner reads of it, made of what is stored. What does not read is told and stays where it is: a
newer version may have written it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from sorofast.coordination.client import shown
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.streams import ledger_of
from sorofast.errors import DecodeError, SnapshotError
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.records import (
    Record,
    RetryRecord,
    WalRecord,
    decode_record,
    envelope_name,
    inflight_of,
)
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["ShardState", "pack_snapshots", "read_state"]

CHANNEL_DIGITS_MAX = 9
SEQUENCE_MAX = 2**63 - 1
_SEVERAL = b"SFS1"
_SETTLE = (
    "run the version that wrote it, which settles it; or, once ten ledgers have closed, HDEL this field, and from {} "
    "the field that ends in ':tx' and names it"
)
_TRY_AGAIN = "run the version that wrote it; or HDEL this field, and the run is tried again"


@dataclass(frozen=True, slots=True)
class ShardState:
    """Everything a new owner reads."""

    version: int
    wal: list[WalRecord]
    confirmed: dict[int, int]
    """Channel index -> sequence number last seen on the ledger."""
    retry: list[RetryRecord]
    dead: list[RetryRecord]
    snapshot: bytes | None
    """What its last owner's sources left, in one: see `snapshot_of`."""
    snapshot_stream_id: str | None
    """The ledger entry that snapshot includes; continue reading after it."""
    blocked: dict[int, str] = field(default_factory=dict)
    """Channels that carry an envelope which nobody here can settle, and why."""
    withheld: list[Execution] = field(default_factory=list)
    """Executions whose record of being in flight or given up does not read: they are not to be run."""
    unbound: list[WalRecord] = field(default_factory=list)
    """Those of `wal` whose channel does not say that it carries them."""

    def snapshot_of(self, source: str) -> bytes | None:
        """What the last owner's source of that name left, as of `snapshot_stream_id`. SnapshotError where it does not
        read.
        """
        if self.snapshot is None or not self.snapshot.startswith(_SEVERAL):
            return self.snapshot if source == TASKS else None
        try:
            parts = msgspec.msgpack.decode(self.snapshot[len(_SEVERAL) :], type=dict[str, bytes])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SnapshotError(f"the sources' snapshots do not read: {error}") from error
        return parts.get(source)


def pack_snapshots(parts: Mapping[str, bytes]) -> bytes:
    """One snapshot of several sources' by name. That of the tasks alone is as it always was, so that older members read
    it; they read the tasks from the chain where there is more.
    """
    return parts[TASKS] if parts.keys() == {TASKS} else _SEVERAL + msgspec.msgpack.encode(dict(parts))


def read_state(
    keys: ShardKeys,
    version: int,
    wal: Mapping[bytes, bytes],
    channels: Mapping[bytes, bytes],
    retry: Mapping[bytes, bytes],
    dead: Mapping[bytes, bytes],
    snapshot: Sequence[bytes | None],
    unreadable: UnreadableKeys | None,
) -> ShardState:
    """The state of what these keys hold, and `unreadable` is told the rest."""
    logged, lost = _records(keys.wal, wal, WalRecord, _SETTLE.format(keys.channels), unreadable)
    given_up, letters_lost = _records(keys.dead, dead, RetryRecord, _TRY_AGAIN, unreadable)
    waiting, _ = _records(keys.retry, retry, RetryRecord, _TRY_AGAIN, unreadable)
    confirmed, carried = _channels(keys.channels, channels, unreadable)
    bound: dict[int, WalRecord] = {}
    for record in logged:
        named = carried.get(record.channel) == envelope_name(record).encode()
        if named or record.channel not in bound:
            bound[record.channel] = record
    blocked = {
        channel: f"it carries {shown(name)}, which this sorofast cannot settle"
        for channel, name in carried.items()
        if channel not in bound
    }
    if unreadable is not None:
        for channel, name in carried.items():
            if channel in blocked and inflight_of(name)[0] not in lost:
                fix = f"once ten ledgers have closed, HDEL {channel}:tx from it"
                reason = "the log has no record of the envelope it names"
                unreadable.found(keys.channels, reason, fix, f"{channel}:tx")
    return ShardState(
        version=version,
        wal=sorted(bound.values(), key=lambda record: record.channel),
        confirmed=confirmed,
        retry=waiting,
        dead=given_up,
        snapshot=snapshot[0],
        snapshot_stream_id=_stream_id(keys.snapshot, snapshot[1], unreadable),
        blocked=blocked,
        withheld=[*lost, *letters_lost, *(one.key for one in logged if bound[one.channel] is not one)],
        unbound=[
            one for channel, one in bound.items() if carried.get(channel) != envelope_name(one).encode()
        ],
    )


def _records(
    key: str,
    stored: Mapping[bytes, bytes],
    kind: type[Record],
    fix: str,
    unreadable: UnreadableKeys | None,
) -> tuple[list[Record], list[Execution]]:
    """The records that read, and the executions of the others as far as their fields tell."""
    records: list[Record] = []
    lost: list[Execution] = []
    for name, raw in stored.items():
        field_name = shown(name)
        try:
            record = decode_record(raw, kind)
            if record.execution.encode() != name:
                raise DecodeError(f"a stored {kind.__name__} is of {record.execution}")
        except DecodeError as error:
            if unreadable is not None:
                unreadable.found(key, error, fix, field_name)
            execution, _ = inflight_of(name)
            if execution is not None:
                lost.append(execution)
            continue
        if unreadable is not None:
            unreadable.fine(key, field_name)
        records.append(record)
    return records, lost


def _channels(
    key: str, stored: Mapping[bytes, bytes], unreadable: UnreadableKeys | None
) -> tuple[dict[int, int], dict[int, bytes]]:
    """The confirmed sequences and the envelopes carried, by channel. A sequence that does not read is read from the
    chain, as one that was never confirmed.
    """
    confirmed: dict[int, int] = {}
    carried: dict[int, bytes] = {}
    for name, value in stored.items():
        channel = name.removesuffix(b":tx")
        if not channel.isdigit() or len(channel) > CHANNEL_DIGITS_MAX:
            if unreadable is not None:
                unreadable.found(key, "no channel has this name", "HDEL it", shown(name))
        elif channel != name:
            carried[int(channel)] = value
        elif value.isdigit() and len(value) <= len(str(SEQUENCE_MAX)) and int(value) <= SEQUENCE_MAX:
            confirmed[int(channel)] = int(value)
        elif unreadable is not None:
            unreadable.found(key, "it is no sequence", "nothing: it is read from the chain", shown(name))
    return confirmed, carried


def _stream_id(key: str, stored: bytes | None, unreadable: UnreadableKeys | None) -> str | None:
    if stored is None:
        return None
    text = shown(stored)
    try:
        ledger_of(text)
    except ValueError as error:
        if unreadable is not None:
            unreadable.found(key, error, "nothing: the tasks are read from the chain", "stream_id")
        return None
    return text
