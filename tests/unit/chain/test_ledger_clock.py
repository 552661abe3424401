"""What observed closes predict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorofast.chain.ledger import LedgerClock, Lessons

MONOTONIC_LAG_S = 900.0


def clock_of(target_s: float, closes_s: list[float], first: int = 100, **options: float) -> LedgerClock:
    """A clock that saw each ledger in the moment it froze; closes are given with their fractions."""
    clock = LedgerClock(target_s, clock_guard_s=options.get("clock_guard_s", 0.5))
    for offset, close_s in enumerate(closes_s):
        see(clock, first + offset, close_s)
    return clock


def see(
    clock: LedgerClock, ledger: int, close_s: float, *, after_s: float = 0.0, wall_s: float | None = None
) -> None:
    clock.observe(ledger, int(close_s), close_s + after_s - MONOTONIC_LAG_S, wall_s)


def at(network_s: float) -> float:
    """The monotonic time at that moment of the network's clock."""
    return network_s - MONOTONIC_LAG_S


def test_the_horizon_is_the_next_expected_close() -> None:
    assert clock_of(5.0, [1_000, 1_005, 1_010]).horizon_s() == 1_015


def test_nothing_is_due_before_a_ledger_was_seen() -> None:
    clock = LedgerClock(5.0)
    assert clock.horizon_s() == 0
    assert clock.latest == (0, 0)
    assert clock.due_until_s(at(1_000_000)) == 0
    assert clock.now_s(at(1_000_000)) == 0


def test_closes_on_time_teach_no_guard() -> None:
    assert clock_of(5.0, list(range(1_000, 1_500, 5))).guard_s == 0


def test_closes_that_come_early_teach_a_guard() -> None:
    # Every fourth close comes two seconds early.
    closes_s = [1_000.0]
    for number in range(60):
        closes_s.append(closes_s[-1] + (3 if number % 4 == 0 else 5))
    clock = clock_of(5.0, closes_s)
    assert clock.guard_s == 2
    assert clock.horizon_s() == closes_s[-1] + 3


def test_the_guard_is_less_than_a_second_where_closes_are() -> None:
    # Every fourth close is 150 ms early, and the phases of the others go through the whole second.
    closes_s = [1_000.0]
    for number in range(300):
        closes_s.append(closes_s[-1] + (0.85 if number % 4 == 0 else 1.07))
    assert clock_of(1.0, closes_s).guard_s == pytest.approx(0.15, abs=0.06)


def test_one_early_close_in_many_is_taken_as_luck() -> None:
    closes_s = [1_000.0]
    for number in range(100):
        closes_s.append(closes_s[-1] + (4 if number == 50 else 5))
    assert clock_of(5.0, closes_s).guard_s == 0


def test_an_early_close_is_not_luck_for_the_ledgers_right_after_it() -> None:
    clock = clock_of(5.0, [*range(1_000, 1_500, 5), 1_499])
    assert clock.guard_s == pytest.approx(1.0)
    assert clock.horizon_s() == 1_503


def test_late_closes_teach_nothing() -> None:
    assert clock_of(5.0, [1_000, 1_009, 1_020, 1_030]).guard_s == 0


def test_a_ledger_seen_twice_counts_once() -> None:
    clock = clock_of(5.0, [1_000, 1_005])
    clock.observe(101, 1_005)
    clock.observe(100, 1_000)
    assert clock.latest == (101, 1_005)
    assert clock.guard_s == 0


def test_without_a_moment_of_sight_the_close_time_alone_counts() -> None:
    clock = LedgerClock(5.0)
    clock.observe(100, 1_000)
    assert clock.due_until_s(at(1_010)) == 1_005
    assert clock.now_s(at(1_010)) == 1_000


def test_sub_second_targets_never_look_beyond_the_close_they_can_be_sure_of() -> None:
    assert clock_of(0.5, [1_000, 1_000.5, 1_001, 1_001.45]).horizon_s() == 1_001


def test_what_the_next_ledger_does_not_reach_is_due_once_the_networks_clock_has_passed_it() -> None:
    clock = clock_of(5.0, [1_000, 1_005, 1_010], clock_guard_s=0.25)
    assert clock.due_until_s(at(1_016.2)) == 1_015
    assert clock.due_until_s(at(1_016.25)) == 1_016
    assert clock.wait_s(1_017, at(1_016.25)) == pytest.approx(1.0, abs=0.01)


def test_waiting_as_long_as_told_is_long_enough() -> None:
    clock = clock_of(1.0, [1_000.3, 1_001.3, 1_002.4])
    wait_s = clock.wait_s(1_004, at(1_002.9))
    assert clock.due_until_s(at(1_002.9 + wait_s)) == 1_004


def test_an_envelope_that_is_ready_too_soon_is_held_until_its_second_has_passed_and_no_longer() -> None:
    clock = clock_of(5.0, [1_000, 1_005, 1_010])
    assert clock.hold_s(1_015, at(1_010.1)) == 0.0, "the next close reaches it"
    held_s = clock.hold_s(1_017, at(1_017.1))
    assert held_s == pytest.approx(0.4, abs=0.01)
    assert clock.due_until_s(at(1_017.1 + held_s)) == 1_017
    assert clock.hold_s(1_017, at(1_017.1 + held_s)) == 0.0


def test_what_waits_for_its_second_alone_does_not_look_ahead() -> None:
    clock = LedgerClock(5.0, eager=False)
    see(clock, 100, 1_000.0)
    assert clock.due_until_s(at(1_002.6)) == 1_002


def test_a_wall_clock_alone_makes_nothing_due() -> None:
    right, wrong = LedgerClock(1.0), LedgerClock(1.0)
    for number in range(20):
        see(right, 100 + number, 1_000.4 + number, after_s=0.2)
        see(wrong, 100 + number, 1_000.4 + number, after_s=0.2, wall_s=1_003.6 + number)
    for later_s in (0.0, 0.3, 0.9, 7.0):
        assert wrong.due_until_s(at(1_019.6 + later_s)) == right.due_until_s(at(1_019.6 + later_s))
    assert wrong.drift_s == pytest.approx(3.6)
    assert wrong.unexplained_drift_s == pytest.approx(1.6)


def test_when_no_ledger_closes_for_long_nothing_more_falls_due() -> None:
    clock = clock_of(1.0, [1_000, 1_001, 1_002])
    assert clock.due_until_s(at(1_020)) == 1_019
    assert clock.due_until_s(at(1_032)) == clock.due_until_s(at(1_090)) == 1_031
    see(clock, 103, 1_090.0)
    assert clock.due_until_s(at(1_090)) == 1_091


# What early runs teach


def test_a_paid_early_run_raises_the_guard_by_what_was_missing_and_it_fades() -> None:
    closes_s = [1_000.2 + 5 * n for n in range(100)]
    clock = clock_of(5.0, [*closes_s, closes_s[-1] + 4.5, *(closes_s[-1] + 4.5 + 5 * n for n in range(1, 4))])
    assert clock.guard_s == 0
    ledger = 200
    clock.early(1_500, ledger)
    raised_s = clock.guard_s
    assert 0.5 <= raised_s < 0.8
    clock.early(1_500, ledger)
    assert clock.guard_s == raised_s, "a second run of the same ledger teaches nothing new"
    last_s = closes_s[-1] + 19.5
    for number in range(1, 257):
        see(clock, 203 + number, last_s + 5 * number)
    assert clock.guard_s == pytest.approx(raised_s / 4, rel=0.02)


def test_an_early_run_that_the_wall_clock_made_takes_its_word_away() -> None:
    clock = LedgerClock(5.0, clock_guard_s=0.0)
    for number in range(10):
        see(clock, 100 + number, 1_000.0 + 5 * number, wall_s=1_001.5 + 5 * number)
    assert clock.now_s(at(1_046)) == pytest.approx(1_047.5)
    see(clock, 110, 1_050.4, wall_s=1_051.9)
    clock.early(1_051, 110)
    assert clock.now_s(at(1_051)) == pytest.approx(1_051, abs=0.5)
    assert clock.guard_s == 0
    for number in range(1, 200):
        see(clock, 110 + number, 1_050.4 + 5 * number, wall_s=1_051.9 + 5 * number)
    assert clock.now_s(at(2_046)) <= 2_046.0


def test_an_early_run_that_the_networks_clock_made_lets_later_ones_wait_longer() -> None:
    clock = clock_of(1.0, [1_000.5 + n for n in range(20)], clock_guard_s=0.05)
    clock.early(1_021, 119)  # it closed at 1,019.5, and nothing that was told then was sure of 1,021
    assert clock.lessons.clock_lag_s == pytest.approx(1.5 * 1.25, abs=0.7)
    assert clock.lessons.horizon_s == 0


@pytest.mark.parametrize(("due_s", "ran_in"), [(9_000, 105), (1_003, 105), (1_006, 300), (1_006, 1)])
def test_what_no_clock_can_have_caused_teaches_nothing(due_s: int, ran_in: int) -> None:
    clock = clock_of(1.0, [1_000.5 + n for n in range(20)])
    clock.early(due_s, ran_in)
    assert clock.lessons == Lessons()


def test_members_of_a_fleet_share_what_was_paid_for() -> None:
    here, there = clock_of(5.0, [1_000, 1_005]), clock_of(5.0, [1_000, 1_005])
    here.learn_headers([(n, 900_000 + 4_700 * n) for n in range(64)])
    assert here.guard_s == pytest.approx(0.3)
    there.take(here.lessons)
    assert there.guard_s == pytest.approx(0.3)
    assert there.horizon_s() == 1_009


def test_headers_of_ledgers_that_were_closed_by_hand_teach_nothing() -> None:
    clock = clock_of(5.0, [1_000, 1_005])
    clock.learn_headers([(n, 900_000 + n) for n in range(64)])
    assert clock.guard_s == 0
    clock.learn_headers([])
    clock.learn_headers([(1, 900_000)])
    clock.learn_headers([(1, 900_000), (3, 904_000)])
    assert clock.guard_s == 0


# How late


def test_lateness_counts_from_the_first_ledger_whose_close_reached_the_due_time() -> None:
    clock = clock_of(5.0, [1_000, 1_005, 1_010, 1_015])
    assert clock.ledgers_late(1_005, 101) == 0
    assert clock.ledgers_late(1_006, 102) == 0
    assert clock.ledgers_late(1_001, 103) == 2
    assert clock.ledgers_late(990, 103) is None  # the first eligible ledger is not known any more
    assert clock.ledgers_late(1_000, 99) is None


@given(st.lists(st.floats(0.001, 8), min_size=1, max_size=200), st.floats(0, 3))
def test_the_horizon_never_lies_before_the_last_close(gaps_s: list[float], after_s: float) -> None:
    clock, close_s = LedgerClock(5.0), 1_000.0
    see(clock, 100, close_s, after_s=after_s)
    for number, gap_s in enumerate(gaps_s):
        close_s += gap_s
        see(clock, 101 + number, close_s, after_s=after_s)
        assert int(close_s) <= clock.horizon_s() <= int(close_s) + 5
        assert clock.due_until_s(at(close_s + after_s)) >= clock.horizon_s()
        assert clock.now_s(at(close_s + after_s)) <= close_s + after_s + 1e-6
