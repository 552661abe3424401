"""What a channel's account says of the envelope on it."""

from __future__ import annotations

import msgspec
import pytest

from sorofast.chain.models import Lookup
from sorofast.executions.records import WalRecord
from sorofast.transactions.settle import ChannelView, Found, Verdict, judge, judge_lookup

HASH = bytes(range(32))


def record(*, sequence: int = 2**57 + 1, max_ledger: int = 110) -> WalRecord:
    return WalRecord(
        id=7,
        window=1_000,
        attempt=1,
        channel=3,
        sequence=sequence,
        max_ledger=max_ledger,
        max_time_s=2_000,
        hash=HASH,
        envelope="AAAA",
        claimed_ledger=104,
        epoch=1,
        template=9,
        due_s=1_020,
    )


def view(sequence: int, *, changed_in: int = 105, snapshot: int = 105) -> ChannelView:
    return ChannelView(sequence, changed_in, 1_025, snapshot)


BEFORE, OURS, BEYOND = 2**57, 2**57 + 1, 2**57 + 2


@pytest.mark.parametrize("snapshot", [104, 105, 108])
def test_an_unused_sequence_is_pending_while_a_ledger_may_still_take_it(snapshot: int) -> None:
    assert judge(record(), view(BEFORE, snapshot=snapshot), snapshot, set()) is Verdict.PENDING


@pytest.mark.parametrize("snapshot", [109, 110, 500])
def test_it_is_dead_once_the_last_ledger_that_could_take_it_has_closed(snapshot: int) -> None:
    assert judge(record(), view(BEFORE, snapshot=snapshot), snapshot, set()) is Verdict.EXPIRED


def test_a_sequence_below_the_claimed_one_is_not_believed_and_looked_up_once_the_bound_is_over() -> None:
    assert judge(record(), view(BEFORE - 1, snapshot=108), 108, set()) is Verdict.PENDING
    assert judge(record(), view(BEFORE - 1, snapshot=500), 500, set()) is Verdict.LOST


def test_a_channel_that_no_read_shows_is_waited_for_until_it_counts_as_lost() -> None:
    assert judge(record(), None, 500, set()) is Verdict.PENDING
    assert judge(record(), None, 500, set(), lost=True) is Verdict.LOST
    assert judge(record(), None, 500, {HASH}, lost=True) is Verdict.EXECUTED
    assert judge(record(), view(BEFORE, snapshot=105), 500, set(), lost=True) is Verdict.LOST


def test_a_success_event_proves_the_run() -> None:
    assert judge(record(), view(OURS), 105, {HASH}) is Verdict.EXECUTED


def test_without_complete_events_nothing_is_judged() -> None:
    assert judge(record(), view(OURS, changed_in=106), 105, set()) is Verdict.PENDING


def test_included_without_an_event_is_looked_up() -> None:
    assert judge(record(), view(OURS), 105, set()) is Verdict.LOOK_UP


def test_a_channel_that_went_on_without_us_is_foreign() -> None:
    assert judge(record(), view(BEYOND), 105, set()) is Verdict.FOREIGN
    assert judge(record(), view(BEYOND), 105, {HASH}) is Verdict.EXECUTED


def test_a_run_under_a_bump_s_hash_is_ours_too() -> None:
    bumped = msgspec.structs.replace(record(), other_hashes=(b"\1" * 32,))
    assert judge(bumped, view(OURS), 105, {b"\1" * 32}) is Verdict.EXECUTED


def lookup(status: str, *, oldest: int = 1, latest: int = 200) -> Lookup:
    return Lookup(status, latest, oldest, 105, None)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lookup("SUCCESS"), Found.SUCCEEDED),
        (lookup("FAILED"), Found.FAILED),
        (lookup("NOT_FOUND"), Found.ABSENT),
        (lookup("NOT_FOUND", latest=104), Found.BEHIND),
        (lookup("NOT_FOUND", oldest=106), Found.FORGOTTEN),
    ],
)
def test_not_found_decides_only_on_a_node_that_holds_the_ledger(answer: Lookup, found: Found) -> None:
    assert judge_lookup(record(), Verdict.LOOK_UP, view(OURS), answer) is found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lookup("NOT_FOUND", oldest=105), Found.ABSENT),
        (lookup("NOT_FOUND", oldest=106), Found.FORGOTTEN),
        (lookup("NOT_FOUND", latest=108), Found.BEHIND),
    ],
)
def test_where_only_a_later_sequence_is_known_every_ledger_that_could_take_it_must_be_held(
    answer: Lookup, found: Found
) -> None:
    foreign = view(BEYOND, changed_in=300, snapshot=300)
    assert judge_lookup(record(), Verdict.FOREIGN, foreign, answer) is found
    assert judge_lookup(record(), Verdict.LOST, None, answer) is found
