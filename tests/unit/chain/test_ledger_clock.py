"""What observed closes predict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sorofast.chain.ledger import LedgerClock


def clock_of(target_s: float, closes_s: list[int], first: int = 100) -> LedgerClock:
    clock = LedgerClock(target_s)
    for offset, close_s in enumerate(closes_s):
        clock.observe(first + offset, close_s)
    return clock


def test_the_horizon_is_the_next_expected_close() -> None:
    assert clock_of(5.0, [1_000, 1_005, 1_010]).horizon_s() == 1_015


def test_nothing_is_due_before_a_ledger_was_seen() -> None:
    assert LedgerClock(5.0).horizon_s() == 0
    assert LedgerClock(5.0).latest == (0, 0)


def test_closes_on_time_teach_no_guard() -> None:
    assert clock_of(5.0, list(range(1_000, 1_500, 5))).guard_s == 0


def test_closes_that_come_early_teach_a_guard() -> None:
    # Every fourth close comes two seconds early.
    closes_s = [1_000]
    for number in range(60):
        closes_s.append(closes_s[-1] + (3 if number % 4 == 0 else 5))
    clock = clock_of(5.0, closes_s)
    assert clock.guard_s == 2
    assert clock.horizon_s() == closes_s[-1] + 3


def test_one_early_close_in_many_is_taken_as_luck() -> None:
    closes_s = [1_000]
    for number in range(100):
        closes_s.append(closes_s[-1] + (4 if number == 50 else 5))
    assert clock_of(5.0, closes_s).guard_s == 0


def test_late_closes_teach_nothing() -> None:
    assert clock_of(5.0, [1_000, 1_009, 1_020, 1_030]).guard_s == 0


def test_a_ledger_seen_twice_counts_once() -> None:
    clock = clock_of(5.0, [1_000, 1_005])
    clock.observe(101, 1_005)
    clock.observe(100, 1_000)
    assert clock.latest == (101, 1_005)
    assert clock.guard_s == 0


def test_sub_second_targets_never_look_beyond_the_close_they_can_be_sure_of() -> None:
    assert clock_of(0.5, [1_000, 1_000, 1_001, 1_001]).horizon_s() == 1_001


def test_lateness_counts_from_the_first_ledger_whose_close_reached_the_due_time() -> None:
    clock = clock_of(5.0, [1_000, 1_005, 1_010, 1_015])
    assert clock.ledgers_late(1_005, 101) == 0
    assert clock.ledgers_late(1_006, 102) == 0
    assert clock.ledgers_late(1_001, 103) == 2
    assert clock.ledgers_late(990, 103) is None  # the first eligible ledger is not known any more
    assert clock.ledgers_late(1_000, 99) is None


@given(st.lists(st.integers(0, 8), min_size=1, max_size=200))
def test_the_horizon_never_lies_before_the_last_close(gaps_s: list[int]) -> None:
    closes_s = [1_000]
    for gap_s in gaps_s:
        closes_s.append(closes_s[-1] + gap_s)
    clock = clock_of(5.0, closes_s)
    assert closes_s[-1] <= clock.horizon_s() <= closes_s[-1] + 5
