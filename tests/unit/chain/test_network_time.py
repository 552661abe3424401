"""What closes and the monotonic clock tell about the network's time, and when the wall clock may add to it."""

from __future__ import annotations

import pytest

from sorofast.chain.network_time import VISIBLE_WITHIN_S, NetworkTime

LAG_S = 900.0


def observed(count: int, *, wall_off_s: float | None = None, visible_s: float = 0.3) -> NetworkTime:
    """Ledgers that froze 1.13 s apart from 1,000.0 on, each seen `visible_s` later."""
    time = NetworkTime()
    for number in range(count):
        see(time, 1_000 + 1.13 * number, wall_off_s=wall_off_s, visible_s=visible_s)
    return time


def see(time: NetworkTime, froze_s: float, *, wall_off_s: float | None, visible_s: float = 0.3) -> None:
    seen_s = froze_s + visible_s
    time.observe(int(froze_s), seen_s - LAG_S, None if wall_off_s is None else seen_s + wall_off_s)


def test_before_the_first_ledger_nothing_is_known() -> None:
    time = NetworkTime()
    assert time.now_s(5_000) == 0
    assert time.drift_s is None
    assert time.unexplained_s == 0
    assert time.frozen_s(1_000, 100.5) == 1_000


def test_without_a_wall_clock_it_lags_by_what_visibility_takes_and_is_never_ahead() -> None:
    now_s = observed(40).now_s(2_000 - LAG_S)
    assert 2_000 - 0.3 - 0.1 <= now_s <= 2_000 - 0.3


def test_a_right_wall_clock_closes_the_gap() -> None:
    assert observed(40, wall_off_s=0.0).now_s(2_000 - LAG_S) == pytest.approx(2_000, abs=0.05)


@pytest.mark.parametrize("wall_off_s", [3.0, 15.0, 3_600.0, -1.0, -3.0, -15.0, -3_600.0])
def test_a_wall_clock_that_cannot_be_right_is_not_used(wall_off_s: float) -> None:
    time = observed(40, wall_off_s=wall_off_s)
    assert time.now_s(2_000 - LAG_S) == observed(40).now_s(2_000 - LAG_S)
    assert time.unexplained_s == pytest.approx(
        wall_off_s + 0.3 - (VISIBLE_WITHIN_S if wall_off_s > 0 else 0), abs=0.1
    )


def test_a_wall_clock_is_followed_backwards_at_once_and_forwards_no_faster_than_a_daemon_slews() -> None:
    time = observed(40, wall_off_s=0.0)
    for number in range(40, 80):
        see(time, 1_000 + 1.13 * number, wall_off_s=1.2)
    assert time.now_s(2_000 - LAG_S) == pytest.approx(2_000, abs=0.1)
    see(time, 1_000 + 1.13 * 80, wall_off_s=-0.2)
    assert time.now_s(2_000 - LAG_S) == pytest.approx(1_999.8, abs=0.02)


def test_a_wall_clock_that_was_set_right_is_used_again() -> None:
    time = observed(40, wall_off_s=-3_600.0)
    see(time, 1_000 + 1.13 * 40, wall_off_s=0.0)
    assert time.now_s(2_000 - LAG_S) == pytest.approx(2_000, abs=0.05)


def test_one_ledger_with_a_fast_close_time_moves_nothing() -> None:
    time = observed(40)
    before_s = time.now_s(2_000 - LAG_S)
    time.observe(1_000 + 48, 1_000 + 1.13 * 40 + 0.3 - LAG_S, None)  # three seconds ahead
    assert time.now_s(2_000 - LAG_S) == pytest.approx(before_s, abs=0.1)


def test_a_ledger_that_is_seen_very_late_makes_it_careful_until_the_next_ones() -> None:
    time = observed(40)
    see(time, 1_000 + 1.13 * 40, wall_off_s=None, visible_s=9.0)
    assert time.now_s(2_000 - LAG_S) < 1_992
    see(time, 1_000 + 1.13 * 48, wall_off_s=None)
    see(time, 1_000 + 1.13 * 49, wall_off_s=None)
    assert time.now_s(2_000 - LAG_S) == pytest.approx(2_000, abs=1.4)


@pytest.mark.parametrize("age_s", [4.0, 3_600.0])
def test_an_old_ledger_at_the_start_says_nothing_about_the_wall_clock(age_s: float) -> None:
    time = NetworkTime()
    time.observe(1_000, 1_000.3 + age_s - LAG_S, 1_000.3 + age_s)
    for number in range(20):
        assert time.unexplained_s == 0
        see(time, 1_005 + age_s + 1.13 * number, wall_off_s=0.0)
    assert time.now_s(10_000 - LAG_S) == pytest.approx(10_000, abs=0.05)


def test_a_ledger_that_comes_late_says_nothing_about_the_wall_clock() -> None:
    time = observed(40, wall_off_s=0.0)
    see(time, 1_000 + 1.13 * 40, wall_off_s=0.0, visible_s=30.0)
    for number in range(67, 70):
        assert time.unexplained_s == 0
        see(time, 1_000 + 1.13 * number, wall_off_s=0.0)
    assert time.unexplained_s == 0


def test_a_ledger_froze_within_the_second_that_its_close_time_names() -> None:
    time = observed(40)
    froze_s = 1_000 + 1.13 * 39
    assert time.frozen_s(int(froze_s), froze_s + 0.3 - LAG_S) == pytest.approx(froze_s, abs=0.1)
    assert time.frozen_s(int(froze_s), froze_s + 5 - LAG_S) == int(froze_s) + 0.999
    assert time.frozen_s(int(froze_s) + 7, froze_s - LAG_S) == int(froze_s) + 7
