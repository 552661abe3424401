"""The write-ahead log's records: which envelope is bound to which execution.

A record is in Redis before the first byte of its envelope reaches the network, so a crash at any point leaves
either nothing or a record that says exactly what may be on its way. Records are msgpack arrays whose first
element is the schema; fields are only ever appended, together with a new schema number.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sorofast.errors import DecodeError
from sorofast.executions.key import TASKS, Execution

__all__ = [
    "RETRY_SCHEMA",
    "WAL_SCHEMA",
    "HistoryRecord",
    "RetryRecord",
    "Settle",
    "WalRecord",
    "decode_record",
    "encode_record",
    "envelope_name",
    "inflight_of",
]

WAL_SCHEMA = 1
RETRY_SCHEMA = 1


def envelope_name(record: WalRecord) -> str:
    """How a channel names the envelope it carries; two envelopes never share a name."""
    return f"{record.execution} {record.attempt} {record.sequence} {record.hash.hex()}"


def inflight_of(name: bytes) -> tuple[int, int]:
    """(task id, sequence) out of an `envelope_name`."""
    execution, _, sequence, _ = name.split(b" ")
    return int(execution.partition(b":")[0]), int(sequence)


class WalRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One signed envelope, bound to one execution until it is settled."""

    schema: int = WAL_SCHEMA
    task_id: int
    window: int
    """The `last_run` (unix seconds) this run replaces."""
    attempt: int
    """1 for the first envelope of the execution; another envelope has another attempt."""
    channel: int
    """Index of the channel account that is the transaction's source."""
    sequence: int
    """The channel's sequence number this envelope consumes: confirmed + 1."""
    max_ledger: int
    """`ledgerBounds.maxLedger`: the envelope is valid only below it."""
    max_time_s: int
    """`timeBounds.maxTime`, unix seconds."""
    hash: bytes
    """Transaction hash, 32 bytes."""
    envelope: str
    """The signed TransactionEnvelope, base64 XDR: the only bytes ever sent for this execution."""
    claimed_ledger: int
    epoch: int
    """Epoch of the lease under which it was claimed."""
    shape: int
    """Key of the template it was built from."""
    due_s: int
    first_run: bool

    @property
    def key(self) -> Execution:
        return Execution(TASKS, self.task_id, self.window)

    @property
    def execution(self) -> str:
        return self.key.name


class RetryRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """An execution that failed: waiting for its next attempt, or a dead letter."""

    schema: int = RETRY_SCHEMA
    task_id: int
    window: int
    attempts: int
    """Attempts made so far."""
    not_before_s: int
    """Unix seconds before which it is not tried again; 0 in a dead letter."""
    reason: str
    failures: int = 0
    """How many of the attempts were included and failed, and so were paid for."""

    @property
    def key(self) -> Execution:
        return Execution(TASKS, self.task_id, self.window)

    @property
    def execution(self) -> str:
        return self.key.name


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one envelope, as a closed ledger showed it."""

    record: WalRecord
    outcome: str
    """"executed", "no_effect", "failed", "expired", "superseded" or "unknown"."""
    confirmed: int
    """The channel's sequence on the ledger now: the record's own when it was consumed, one less when it
    expired.
    """
    history: dict[str, str | int | float | bool | None] = {}
    """More for the history entry: reason, ledger, fee_stroops, ledgers_late …"""
    retry: RetryRecord | None = None
    """Goes to the retry hash, or to the dead letters when `dead`."""
    dead: bool = False

    def __post_init__(self) -> None:
        if self.confirmed < self.record.sequence - 1:
            raise ValueError(
                f"channel {self.record.channel} is confirmed at {self.confirmed}, below the {self.record.sequence - 1} "
                f"that {self.record.execution} was claimed on: a lagging answer settles nothing"
            )


class HistoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One settled execution, as read back from the bounded history stream."""

    at_ms: int
    """When it was settled: unix milliseconds on Redis's clock."""
    execution: str
    attempt: int
    outcome: str
    hash: str
    detail: dict[str, str | int | float | bool | None]


class _Front(msgspec.Struct, array_like=True, frozen=True):
    """The first element of any of our arrays; what follows is skipped."""

    schema: int


Record = TypeVar("Record", WalRecord, RetryRecord)

_encoder = msgspec.msgpack.Encoder()
_schemas: dict[type, int] = {WalRecord: WAL_SCHEMA, RetryRecord: RETRY_SCHEMA}


def encode_record(record: WalRecord | RetryRecord) -> bytes:
    return _encoder.encode(record)


def decode_record(raw: bytes, kind: type[Record]) -> Record:
    """DecodeError when the bytes are no record, or one of another schema."""
    expected = _schemas[kind]
    schema = schema_of(raw)
    if schema is not None and schema != expected:
        raise DecodeError(
            f"a stored {kind.__name__} has schema {schema} and this sorofast reads {expected}: "
            "drain the fleet with the version that wrote it, then start this one"
        )
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise DecodeError(f"a stored {kind.__name__} does not decode: {error}") from error


def schema_of(raw: bytes) -> int | None:
    """The schema number at the front of a msgpack array, whatever follows; None when there is none."""
    try:
        return msgspec.msgpack.decode(raw, type=_Front).schema
    except msgspec.DecodeError:
        return None
