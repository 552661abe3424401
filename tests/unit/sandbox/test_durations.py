from __future__ import annotations

import pytest

from sorofast.errors import UsageError
from sorofast.sandbox.durations import (
    LEDGERS_MAX,
    ledgers_to_close,
    parse_duration_s,
    parse_range_s,
    parse_span_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("5s", 5.0), ("2m", 120.0), ("1h", 3_600.0), ("0", 0.0), ("0s", 0.0)],
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration_s(text, "--x") == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5d", "1.5s", "1e3s", "٥s"])
def test_an_invalid_duration_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(UsageError, match="--ledger-close"):
        parse_duration_s(text, "--ledger-close")


def test_ranges_are_read_as_whole_seconds() -> None:
    assert parse_range_s("20s-120s", "--x") == (20, 120)
    assert parse_range_s("1m-2m", "--x") == (60, 120)
    assert parse_range_s("30s", "--x") == (30, 30)


@pytest.mark.parametrize("text", ["120s-20s", "500ms-2s", "0s-5s", "20s-", "-20s", "20-30"])
def test_an_invalid_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--intervals"):
        parse_range_s(text, "--intervals")


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("500ms", 0.5), ("3h", 10_800.0), ("30d", 2_592_000.0)]
)
def test_spans_may_take_days(text: str, seconds: float) -> None:
    assert parse_span_s(text, "--time") == seconds


@pytest.mark.parametrize("text", ["", "30", "1.5d", "-1d", "1w", "1d2h", "3651d"])
def test_an_invalid_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        parse_span_s(text, "--time")


def test_spread_time_gets_one_ledger_per_five_seconds() -> None:
    assert ledgers_to_close(None, 0.0, spread=False) == 1
    assert ledgers_to_close(None, 3_600.0, spread=False) == 1
    assert ledgers_to_close(None, 3_600.0, spread=True) == 720
    assert ledgers_to_close(None, 1.0, spread=True) == 1
    assert ledgers_to_close(6, 3_600.0, spread=True) == 6
    assert ledgers_to_close(0, 3_600.0, spread=False) == 0


@pytest.mark.parametrize(
    ("ledgers", "time_s", "words"),
    [
        (None, 0.0, "--spread needs --time"),
        (None, 5.0 * (LEDGERS_MAX + 1), "give --ledgers"),
        (LEDGERS_MAX + 1, 5.0, "--ledgers 10000001"),
        (-1, 5.0, "--ledgers -1"),
    ],
)
def test_an_impossible_number_of_ledgers_is_refused(ledgers: int | None, time_s: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ledgers_to_close(ledgers, time_s, spread=True, dashes="--")
