"""One ledger stream for two versions: an older reader passes over what a newer follower adds, and the reverse."""

from __future__ import annotations

import msgspec

from sorofast.coordination.streams import LedgerEntry, decode_ledger, encode_ledger

KEEPER = bytes(range(32))
BEFORE_THE_KEEPER = 14
"""How many elements an entry had before followers looked for the keeper's account."""


def entry(**more: object) -> LedgerEntry:
    return LedgerEntry(
        generation="g", epoch=1, ledger=100, previous=99, events_through=100, close_time_s=1_000, rows=b"",
        snapshot_ledger=100, channels=[], successes=[], removed=[7], node="n", **more,
    )  # fmt: skip


def test_an_entry_comes_back_as_it_was() -> None:
    gone = entry(keeper=KEEPER, keeper_gone_since=(98, 990))
    assert decode_ledger(encode_ledger(gone)) == gone
    assert decode_ledger(encode_ledger(entry(keeper=KEEPER))).keeper_gone_since is None


def test_an_entry_of_a_follower_that_does_not_look_for_the_keeper_says_nothing_of_it() -> None:
    fields = msgspec.msgpack.decode(encode_ledger(entry(keeper=KEEPER, keeper_gone_since=(98, 990))))
    older = decode_ledger(msgspec.msgpack.encode(fields[:BEFORE_THE_KEEPER]))
    assert (older.keeper, older.keeper_gone_since) == (b"", None)
    assert (older.ledger, older.removed) == (100, [7])


def test_an_entry_of_a_newer_follower_is_read_as_far_as_it_is_known() -> None:
    fields = msgspec.msgpack.decode(encode_ledger(entry(keeper=KEEPER)))
    newer = decode_ledger(msgspec.msgpack.encode([*fields, {"more": 1}, 2]))
    assert newer == entry(keeper=KEEPER)
