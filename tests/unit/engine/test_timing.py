"""What is said about a wall clock that is wrong."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from sorofast.chain.ledger import LedgerClock
from sorofast.engine.timing import watch_wall_clock
from sorofast.observability.outages import REMIND_EVERY_S, Outages
from sorofast.testing.clock import StubClock

LEDGER_S = 5.0


def said_while(offsets_s: list[float]) -> list[tuple[str, float]]:
    """The events told over ledgers 5 s apart, one for each offset of the wall clock."""
    time, ledgers = StubClock(wall_s=1_000.0), LedgerClock(LEDGER_S)
    with capture_logs() as events:
        outages = Outages(structlog.get_logger(), time)
        for number, offset_s in enumerate(offsets_s):
            ledgers.observe(100 + number, int(time.wall()), time.monotonic(), time.wall() + offset_s)
            watch_wall_clock(ledgers, outages)
            time.advance(LEDGER_S)
    return [(event["event"], event.get("ahead_s", event.get("after_s"))) for event in events]


def test_a_wrong_wall_clock_is_said_once_then_once_a_minute_and_at_its_end() -> None:
    ledgers = int(2 * REMIND_EVERY_S / LEDGER_S) + 1
    assert said_while([0.0, 0.0, *[15.0] * ledgers, 0.0, 0.0]) == [
        ("wall_clock_wrong", 13.0),
        ("wall_clock_wrong", 13.0),
        ("wall_clock_wrong", 13.0),
        ("wall_clock_right_again", ledgers * LEDGER_S),
    ]


def test_what_visibility_explains_and_a_second_more_is_not_worth_a_word() -> None:
    assert said_while([0.0, 0.0, 0.0, 1.9, 2.9, -0.9, 0.0]) == []


def test_a_wall_clock_that_is_behind_is_said_with_its_sign() -> None:
    assert said_while([-15.0, -15.0, -15.0]) == [("wall_clock_wrong", -15.0)]
