"""What a channel's account says of the envelope on it."""

from __future__ import annotations

import pytest

from sorofast.chain.models import Lookup
from sorofast.executions.outcome import Outcome
from sorofast.executions.records import WalRecord
from sorofast.transactions.settle import ChannelView, Verdict, judge, judge_lookup

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


def test_an_answer_from_before_the_claim_proves_nothing() -> None:
    assert judge(record(), view(BEFORE - 1, snapshot=500), 500, set()) is Verdict.PENDING


def test_a_success_event_proves_the_run() -> None:
    assert judge(record(), view(OURS), 105, {HASH}) is Verdict.EXECUTED


def test_without_complete_events_nothing_is_judged() -> None:
    assert judge(record(), view(OURS, changed_in=106), 105, set()) is Verdict.PENDING


def test_included_without_an_event_is_looked_up() -> None:
    assert judge(record(), view(OURS), 105, set()) is Verdict.LOOK_UP


def test_a_channel_that_went_on_without_us_is_foreign() -> None:
    assert judge(record(), view(BEYOND), 105, set()) is Verdict.FOREIGN
    assert judge(record(), view(BEYOND), 105, {HASH}) is Verdict.EXECUTED


def lookup(status: str, *, oldest: int = 1, latest: int = 200) -> Lookup:
    return Lookup(status, latest, oldest, 105, None)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (lookup("SUCCESS"), Outcome.NO_EFFECT),
        (lookup("FAILED"), Outcome.FAILED),
        (lookup("NOT_FOUND"), Outcome.UNKNOWN),
        (lookup("NOT_FOUND", latest=104), None),
        (lookup("NOT_FOUND", oldest=106), None),
    ],
)
def test_a_lookup_decides_only_on_a_node_that_covers_the_ledger(
    answer: Lookup, outcome: Outcome | None
) -> None:
    assert judge_lookup(Verdict.LOOK_UP, answer, view(OURS)) is outcome
