"""The write-ahead log's records and the ledger stream's entries survive the way through bytes, and refuse strangers."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorofast.coordination.streams import (
    LEDGER_SCHEMA,
    LedgerEntry,
    decode_ledger,
    encode_ledger,
    ledger_of,
    stream_id,
)
from sorofast.errors import DecodeError
from sorofast.executions.records import (
    RetryRecord,
    Settle,
    WalRecord,
    decode_record,
    encode_record,
    envelope_name,
    inflight_of,
)

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(0, 2**63 - 1)

wal_records = st.builds(
    WalRecord,
    task_id=u64,
    window=u64,
    attempt=st.integers(1, 9),
    channel=u32,
    sequence=st.integers(1, 2**63 - 1),
    max_ledger=u32,
    max_time_s=u64,
    hash=st.binary(min_size=32, max_size=32),
    envelope=st.text(max_size=64),
    claimed_ledger=u32,
    epoch=i64,
    shape=u64,
    due_s=u64,
    first_run=st.booleans(),
)


@given(wal_records)
def test_a_wal_record_survives_bytes_exactly(record: WalRecord) -> None:
    assert decode_record(encode_record(record), WalRecord) == record


@given(wal_records)
def test_a_channel_names_its_envelope_so_that_the_follower_can_watch_it(record: WalRecord) -> None:
    assert inflight_of(envelope_name(record).encode()) == (record.task_id, record.sequence)


def a_record(**changes: object) -> WalRecord:
    record = WalRecord(
        task_id=5,
        window=1_700_000_000,
        attempt=1,
        channel=3,
        sequence=2**60 + 1,
        max_ledger=105,
        max_time_s=1_700_000_060,
        hash=b"\x07" * 32,
        envelope="AAAA",
        claimed_ledger=100,
        epoch=1,
        shape=9,
        due_s=1_700_000_020,
        first_run=False,
    )
    return msgspec.structs.replace(record, **changes)


def test_another_schema_is_refused_by_name_and_not_misread() -> None:
    newer = msgspec.msgpack.encode([2, "anything", {"else": 1}])
    with pytest.raises(DecodeError, match=r"WalRecord has schema 2 and this sorofast reads 1.*drain"):
        decode_record(newer, WalRecord)
    with pytest.raises(DecodeError, match="schema 3"):
        decode_ledger(msgspec.msgpack.encode([3]))


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\x01", b"junk", msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode([])]
)
def test_bytes_that_are_no_record_give_a_typed_error(raw: bytes) -> None:
    for kind in (WalRecord, RetryRecord):
        with pytest.raises(DecodeError, match=kind.__name__):
            decode_record(raw, kind)
    with pytest.raises(DecodeError, match="ledger stream"):
        decode_ledger(raw)


@given(st.binary(max_size=200))
def test_no_bytes_get_past_the_decoders_as_another_exception(raw: bytes) -> None:
    for kind in (WalRecord, RetryRecord):
        with contextlib.suppress(DecodeError):
            decode_record(raw, kind)
    with contextlib.suppress(DecodeError):
        decode_ledger(raw)


def test_a_settle_below_the_claimed_sequence_is_a_lagging_answer() -> None:
    record = a_record(sequence=50)
    with pytest.raises(ValueError, match="lagging"):
        Settle(record=record, outcome="expired", confirmed=48)
    assert Settle(record=record, outcome="expired", confirmed=49).confirmed == 49


def test_a_ledger_entry_survives_bytes() -> None:
    entry = LedgerEntry(
        generation="g",
        epoch=2,
        ledger=100,
        previous=98,
        events_through=100,
        close_time_s=1_700_000_000,
        rows=b"\0" * 56,
        snapshot_ledger=100,
        channels=[(3, 2**63 - 1, 99, 1_700_000_000, 100)],
        successes=[(5, b"\1" * 32, b"\2" * 32, 100)],
        removed=[7],
        node="http://127.0.0.1:8000",
    )
    assert entry.schema == LEDGER_SCHEMA
    assert decode_ledger(encode_ledger(entry)) == entry


def test_stream_ids_are_ledgers() -> None:
    assert ledger_of(stream_id(4_000_000_000)) == 4_000_000_000
    for wrong in ("5", "5-1", "-0", "a-0", "5-", ""):
        with pytest.raises(ValueError):
            ledger_of(wrong)
