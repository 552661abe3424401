"""The write-ahead log's records and the ledger stream's entries survive the way through bytes, and refuse strangers."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import example, given
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
    RECORD_SCHEMA,
    Proof,
    RetryRecord,
    Settle,
    WalRecord,
    decode_record,
    encode_record,
    envelope_name,
    fits,
    inflight_of,
)

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(0, 2**63 - 1)

wal_records = st.builds(
    WalRecord,
    id=u64,
    window=u64,
    attempt=st.integers(1, 9),
    fee_stroops=u32,
    channel=u32,
    sequence=st.integers(1, 2**63 - 1),
    max_ledger=u32,
    max_time_s=u64,
    hash=st.binary(min_size=32, max_size=32),
    envelope=st.text(max_size=64),
    claimed_ledger=u32,
    epoch=i64,
    template=u64,
    due_s=u64,
)


@given(wal_records)
def test_a_wal_record_survives_bytes_exactly(record: WalRecord) -> None:
    assert decode_record(encode_record(record), WalRecord) == record


@given(wal_records)
def test_a_channel_names_its_envelope_so_that_the_follower_can_watch_it(record: WalRecord) -> None:
    assert inflight_of(envelope_name(record).encode()) == (record.key, record.sequence)


jobs = st.builds(
    lambda record, name, hashes: msgspec.structs.replace(
        record, source="jobs", id=name, proof=Proof.SUCCESS, other_hashes=tuple(hashes)
    ),
    wal_records,
    st.text("abc:-_", min_size=1, max_size=12),
    st.lists(st.binary(min_size=32, max_size=32), max_size=3),
)


@given(jobs)
def test_a_record_of_another_source_survives_bytes_but_not_the_older_schema(record: WalRecord) -> None:
    assert decode_record(encode_record(record), WalRecord) == record
    assert inflight_of(envelope_name(record).encode()) == (
        record.key._replace(window=str(record.window)),
        record.sequence,
    )
    assert not fits(record, 1)
    assert fits(record, RECORD_SCHEMA)
    with pytest.raises(ValueError, match="needs records of schema 2"):
        encode_record(record, 1)


@given(wal_records)
def test_an_older_member_reads_what_is_written_for_it(record: WalRecord) -> None:
    raw = encode_record(record, 1)
    assert msgspec.msgpack.decode(raw) == [
        *(1, record.id, record.window, record.attempt, record.channel, record.sequence, record.max_ledger),
        *(record.max_time_s, record.hash, record.envelope, record.claimed_ledger, record.epoch),
        *(record.template, record.due_s, False),
    ]
    assert decode_record(raw, WalRecord) == msgspec.structs.replace(record, writer="", fee_stroops=0)


def test_a_retry_of_the_older_schema_is_read_as_one_of_this() -> None:
    kept = RetryRecord(id=7, window=5, attempts=2, not_before_s=9, reason="failed", failures=1, day=20_000)
    assert msgspec.msgpack.decode(encode_record(kept, 1)) == [1, 7, 5, 2, 9, "failed", 1]
    assert decode_record(encode_record(kept, 1), RetryRecord) == msgspec.structs.replace(
        kept, writer="", day=0
    )


@pytest.mark.parametrize("name", [b"", b"\xff\xff", b"later/syntax", b"a b c d e", b"7:5 1 x hash"])
def test_a_channel_name_that_nobody_knows_is_still_watched(name: bytes) -> None:
    inflight_of(name)


def a_record(**changes: object) -> WalRecord:
    record = WalRecord(
        id=5,
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
        template=9,
        due_s=1_700_000_020,
    )
    return msgspec.structs.replace(record, **changes)


def test_an_unknown_schema_is_refused_with_the_version_that_wrote_it_and_not_misread() -> None:
    newer = msgspec.msgpack.encode([3, "0.9.1", {"else": 1}])
    with pytest.raises(
        DecodeError, match=r"WalRecord of schema 3 was written by sorofast 0\.9\.1.*run sorofast"
    ):
        decode_record(newer, WalRecord)
    with pytest.raises(DecodeError, match="written by another version of sorofast"):
        decode_record(msgspec.msgpack.encode([7, 5, 6]), RetryRecord)
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
@example(b"\x92\x00\xa5\x00\x00\x00\x00\x80")
@example(b"\x92\x02\xa5\x00\x00\x00\x00\x80")
@example(b"\x9d\x01\xa5\x00\x00\x00\x00\x80")
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
