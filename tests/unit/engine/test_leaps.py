"""A newest ledger that no pace explains is looked at again before the fleet believes it."""

from __future__ import annotations

import pytest

from sorofast.chain.models import Health
from sorofast.engine.leaps import LEAP_LOOKS, Leaps

TARGET_S = 5.0
LEDGER, CLOSE_S, SEEN_S = 1_000, 1_700_000_000, 50.0


def health(ahead: int, later_s: int) -> Health:
    return Health(LEDGER + ahead, CLOSE_S + later_s, 1, 120)


@pytest.fixture
def leaps() -> Leaps:
    made = Leaps()
    made.taken(health(0, 0), SEEN_S)
    return made


@pytest.mark.parametrize(
    ("ahead", "later_s", "after_s"),
    [(1, 5, 5.0), (1, 0, 0.3), (12, 60, 60.0), (12, 0, 0.5), (1, 55, 1.0), (600, 3_600, 3_600.0)],
    ids=["the next", "in the same second", "after a stall", "a burst", "a fast clock", "after an outage"],
)
def test_what_a_network_does_is_believed_at_once(
    leaps: Leaps, ahead: int, later_s: int, after_s: float
) -> None:
    assert leaps.doubt(health(ahead, later_s), SEEN_S + after_s, TARGET_S) is None


@pytest.mark.parametrize(("ahead", "later_s"), [(50, 5), (1, 3_600), (1, -30), (10**6, 5)])
def test_a_leap_is_believed_only_once_it_was_seen_several_times_in_a_row(
    leaps: Leaps, ahead: int, later_s: int
) -> None:
    leap = health(ahead, later_s)
    for look in range(LEAP_LOOKS - 1):
        doubt = leaps.doubt(leap, SEEN_S + 5.0 + look / 4, TARGET_S)
        assert doubt is not None
        assert str(leap.latest_ledger) in doubt
    leaps.settled()
    for look in range(LEAP_LOOKS - 1):
        assert leaps.doubt(leap, SEEN_S + 6.0 + look / 4, TARGET_S)
    assert leaps.doubt(leap, SEEN_S + 7.0, TARGET_S) is None


def test_the_first_ledger_that_a_process_sees_is_believed() -> None:
    assert Leaps().doubt(health(10**6, 10**6), 0.0, TARGET_S) is None


@pytest.mark.parametrize(
    ("ahead", "later_s", "believed"),
    [(1, 5, True), (17_280, 86_400, True), (500, 5, False), (1, -30, False), (10**6, 3_600, False)],
    ids=["the next", "after a day", "a leap", "back in time", "a million in an hour"],
)
def test_after_a_stop_nobody_timed_the_network_s_own_times_have_to_fit_together(
    ahead: int, later_s: int, believed: bool
) -> None:
    leaps = Leaps()
    leaps.remember(LEDGER, CLOSE_S, None)
    assert (leaps.doubt(health(ahead, later_s), SEEN_S, TARGET_S) is None) is believed


def test_an_heir_who_saw_the_fleet_s_last_ledger_judges_by_when_that_was() -> None:
    leaps = Leaps()
    leaps.remember(LEDGER, CLOSE_S, SEEN_S)
    assert leaps.doubt(health(1, 3_600), SEEN_S + 5.0, TARGET_S)
    assert leaps.doubt(health(1, 5), SEEN_S + 5.0, TARGET_S) is None
