"""What is said about a wall clock that is wrong."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from sorofast.chain.ledger import LedgerClock
from sorofast.engine.timing import watch_wall_clock
from sorofast.observability.outages import REMIND_EVERY_S, Outages
from sorofast.testing.clock import StubClock

LEDGER_S = 5.0


def said_while(
    offsets_s: list[float], seen_late_s: float = 0.0, known_late_s: float = 0.0
) -> list[tuple[str, float]]:
    """The events told over ledgers 5 s apart, one for each offset of the wall clock. Each is seen so much after its
    close, of which so much is known to be our own doing.
    """
    time, ledgers = StubClock(wall_s=1_000.0), LedgerClock(LEDGER_S)
    with capture_logs() as events:
        outages = Outages(structlog.get_logger(), time)
        for number, offset_s in enumerate(offsets_s):
            closed_s = int(time.wall())
            time.advance(seen_late_s)
            ledgers.observe(100 + number, closed_s, time.monotonic(), time.wall() + offset_s, known_late_s)
            watch_wall_clock(ledgers, outages)
            time.advance(LEDGER_S - seen_late_s)
    return [(event["event"], event.get("ahead_s", event.get("after_s"))) for event in events]


def test_a_wrong_wall_clock_is_said_once_then_once_a_minute_and_at_its_end() -> None:
    ledgers = int(2 * REMIND_EVERY_S / LEDGER_S) + 1
    assert said_while([*[0.0] * 5, *[15.0] * ledgers, 0.0, 0.0]) == [
        ("wall_clock_wrong", 13.0),
        ("wall_clock_wrong", 13.0),
        ("wall_clock_wrong", 13.0),
        ("wall_clock_right_again", ledgers * LEDGER_S),
    ]


def test_what_visibility_explains_and_a_second_more_is_not_worth_a_word() -> None:
    assert said_while([*[0.0] * 5, 1.9, 2.9, -0.9, 0.0]) == []


def test_a_wall_clock_that_is_behind_is_said_with_its_sign() -> None:
    assert said_while([-15.0, -15.0, -15.0]) == [("wall_clock_wrong", -15.0)]


def test_ledgers_that_we_are_slow_to_look_at_say_nothing_against_the_clock() -> None:
    assert said_while([0.0] * 20, seen_late_s=4.0, known_late_s=4.1) == []
    assert [name for name, _ in said_while([6.0] * 8, seen_late_s=4.0, known_late_s=4.1)] == [
        "wall_clock_wrong"
    ]


def test_a_clock_that_seems_ahead_is_judged_by_the_close_that_was_seen_soonest() -> None:
    time, ledgers = StubClock(wall_s=1_000.0), LedgerClock(LEDGER_S)
    wrong_s = []
    for number, late_s in enumerate([0.1, 0.1, 0.1, 0.1, 0.1, 4.8, 4.9, 4.8, 4.9, 4.8, 4.9]):
        ledgers.observe(100 + number, int(time.wall()), time.monotonic() + late_s, time.wall() + late_s)
        wrong_s.append(ledgers.unexplained_drift_s)
        time.advance(LEDGER_S)
    assert wrong_s == [0.0] * 11
