"""The write-ahead log's records: which envelope is bound to which execution.

A record is in Redis before the first byte of its envelope reaches the network, so a crash at any point leaves either
nothing or a record that says exactly what may be on its way. Records are msgpack arrays whose first element is the
schema; from schema 2 on the second is the version of sorofast that wrote it, whatever follows. A fleet may hold members
of two versions: a schema is written only once every live member says that it reads it, see `legacy.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import msgspec

from sorofast import __version__
from sorofast.errors import DecodeError
from sorofast.executions import legacy
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.waste import Waste

__all__ = [
    "RECORD_SCHEMA",
    "RECORD_SCHEMAS",
    "HistoryRecord",
    "Operation",
    "Proof",
    "RetryRecord",
    "Settle",
    "WalRecord",
    "decode_record",
    "encode_record",
    "envelope_name",
    "fits",
    "inflight_of",
    "schema_of",
]

RECORD_SCHEMA = 2
"""The newest schema, which this version prefers to write."""
RECORD_SCHEMAS = (legacy.SCHEMA, RECORD_SCHEMA)
"""Those it reads, and writes where an older member must be able to read them."""

WRITER = __version__
SEQUENCE_DIGITS_MAX = 19


class Proof(StrEnum):
    """What shows that an included envelope did what it was for."""

    RUN_EVENT = "run_event"
    """The contract's own event, or the changed time of the last run: success alone proves nothing."""
    SUCCESS = "success"
    """The transaction's success: a plain call has done its work."""


class Operation(msgspec.Struct, array_like=True, frozen=True):
    """What an envelope does, for people and for rules; arguments and authorisation are in its bytes."""

    kind: str = "invoke"
    """"invoke", "restore", "extend" or "payment"."""
    contract: bytes = b""
    """The called contract, 32 bytes; empty for the other kinds."""
    function: str = ""
    purpose: str = ""
    """What it is about and for whom, for people, where the execution's own name does not say it. Members of a version
    without it pass over it.
    """


class WalRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One signed envelope, bound to one execution until it is settled."""

    schema: int = RECORD_SCHEMA
    writer: str = WRITER
    source: str = TASKS
    id: int | str
    window: int | str
    """Which run: for a task the `last_run` (unix seconds) it replaces."""
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
    """Hash of the inner transaction, 32 bytes."""
    envelope: str
    """The signed TransactionEnvelope, base64 XDR: the only bytes ever sent for this attempt."""
    claimed_ledger: int
    epoch: int
    """Epoch of the lease under which it was claimed."""
    template: int
    """Key of the template it was built from."""
    due_s: int
    operation: Operation = Operation()
    proof: Proof = Proof.RUN_EVENT
    fee_stroops: int = 0
    """The most it may cost, which is what is reserved for it; 0 where an older version did not write it down."""
    other_hashes: tuple[bytes, ...] = ()
    """Hashes of whatever else may land in its place, 32 bytes each, oldest first: earlier envelopes of the execution on
    the same channel and sequence, which a node refused, and fee-bumps. None outlives its bounds.
    """

    @property
    def key(self) -> Execution:
        return Execution(self.source, self.id, self.window)

    @property
    def execution(self) -> str:
        return self.key.name

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Every hash under which it may land."""
        return (self.hash, *self.other_hashes)


class RetryRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """An execution that failed: waiting for its next attempt, or a dead letter."""

    schema: int = RECORD_SCHEMA
    writer: str = WRITER
    source: str = TASKS
    id: int | str
    window: int | str
    attempts: int
    """Attempts made so far."""
    not_before_s: int
    """Unix seconds before which it is not tried again; 0 in a dead letter that stands until somebody asks for it."""
    reason: str
    failures: int = 0
    """How many of the attempts on `day` were included and failed, and so were paid for."""
    day: int = 0
    """The UTC day of ledger close time, in days since 1970, that the counts are of; 0 where it is not known."""
    error: str = ""
    """The name that groups dead letters: what was raised, and by whom."""
    gated: bool = False
    """It is sent again only after a simulation saw it run."""
    without_effect: int = 0
    """How many runs on `day` had no effect and were paid for, since the last one with effect."""
    owed: int = 0
    """What of them runs with effect have not made up for, as `Waste` counts it."""

    @property
    def key(self) -> Execution:
        return Execution(self.source, self.id, self.window)

    @property
    def execution(self) -> str:
        return self.key.name

    @property
    def waste(self) -> Waste:
        return Waste(self.day, self.failures, self.without_effect, self.owed)


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
    landed: bytes = b""
    """Which of the record's hashes was included; empty for its own, or none."""

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


def envelope_name(record: WalRecord) -> str:
    """How a channel names the envelope it carries; two envelopes never share a name."""
    return f"{record.execution} {record.attempt} {record.sequence} {record.hash.hex()}"


def inflight_of(name: bytes) -> tuple[Execution | None, int]:
    """(execution, sequence) out of an `envelope_name`. The execution is None, or the sequence 0, where another version
    wrote a name that this one does not know: its channel can be watched all the same.
    """
    words = name.decode(errors="replace").split(" ")
    try:
        execution = Execution.parse(words[0])
    except ValueError:
        execution = None
    if execution is not None and execution.source == TASKS and not 0 <= int(execution.id) < 2**64:
        execution = None
    number = words[2] if len(words) > 2 else ""
    return execution, int(number) if number.isdecimal() and len(number) <= SEQUENCE_DIGITS_MAX else 0


class _Front(msgspec.Struct, array_like=True, frozen=True):
    """The first elements of any of our arrays; what follows is skipped."""

    schema: int
    writer: object = None


Record = TypeVar("Record", WalRecord, RetryRecord)

_encoder = msgspec.msgpack.Encoder()
# The second is what msgspec lets through of a text that is no UTF-8.
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)


def encode_record(record: WalRecord | RetryRecord, schema: int = RECORD_SCHEMA) -> bytes:
    """The record's bytes in that schema. ValueError for what schema 1 cannot say."""
    if schema != legacy.SCHEMA:
        return _encoder.encode(record)
    if not fits(record, schema):
        raise ValueError(f"{record.execution} needs records of schema {RECORD_SCHEMA}")
    return _encoder.encode(_legacy_of(record))


def fits(record: WalRecord | RetryRecord, schema: int) -> bool:
    """Whether that schema can say it. Schema 1 can say a run of a registry task, under one hash."""
    if schema != legacy.SCHEMA:
        return True
    if isinstance(record, WalRecord) and (record.other_hashes or record.proof is not Proof.RUN_EVENT):
        return False
    return record.source == TASKS


def decode_record(raw: bytes, kind: type[Record]) -> Record:
    """DecodeError when the bytes are no record, or one of a schema that this version does not read."""
    front = _front_of(raw)
    try:
        if front is not None and front.schema == legacy.SCHEMA:
            return _of_legacy(raw, kind)
        if front is None or front.schema == RECORD_SCHEMA:
            return msgspec.msgpack.decode(raw, type=kind)
    except _UNDECODABLE as error:
        raise DecodeError(f"a stored {kind.__name__} does not decode: {error}") from error
    writer = f"sorofast {front.writer}" if isinstance(front.writer, str) else "another version of sorofast"
    raise DecodeError(
        f"a stored {kind.__name__} of schema {front.schema} was written by {writer}, and this is {WRITER}, which reads "
        f"schemas {RECORD_SCHEMAS[0]} to {RECORD_SCHEMAS[-1]}: run {writer}, or drain the fleet with it first"
    )


def _legacy_of(record: WalRecord | RetryRecord) -> legacy.WalRecord1 | legacy.RetryRecord1:
    task_id, window = int(record.id), int(record.window)
    if isinstance(record, RetryRecord):
        return legacy.RetryRecord1(
            task_id=task_id,
            window=window,
            attempts=record.attempts,
            not_before_s=record.not_before_s,
            reason=record.reason,
            failures=record.failures,
        )
    return legacy.WalRecord1(
        task_id=task_id,
        window=window,
        attempt=record.attempt,
        channel=record.channel,
        sequence=record.sequence,
        max_ledger=record.max_ledger,
        max_time_s=record.max_time_s,
        hash=record.hash,
        envelope=record.envelope,
        claimed_ledger=record.claimed_ledger,
        epoch=record.epoch,
        shape=record.template,
        due_s=record.due_s,
    )


def _of_legacy(raw: bytes, kind: type[Record]) -> Record:
    fields: dict[str, object]
    if kind is RetryRecord:
        fields = msgspec.structs.asdict(msgspec.msgpack.decode(raw, type=legacy.RetryRecord1))
    else:
        fields = msgspec.structs.asdict(msgspec.msgpack.decode(raw, type=legacy.WalRecord1))
        fields["template"] = fields.pop("shape")
        del fields["first_run"]
    del fields["schema"]
    return kind(**{"id": fields.pop("task_id"), **fields, "writer": ""})  # type: ignore[arg-type]


def schema_of(raw: bytes) -> int | None:
    """The schema number at the front of a msgpack array, whatever follows; None when there is none."""
    front = _front_of(raw)
    return None if front is None else front.schema


def _front_of(raw: bytes) -> _Front | None:
    try:
        return msgspec.msgpack.decode(raw, type=_Front)
    except _UNDECODABLE:
        return None
