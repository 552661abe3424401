"""Durations as the sandbox and the commands write them: `500ms`, `5s`, `2m`, `1h`, and longer spans as `30d`."""

from __future__ import annotations

import math
import re

from sorofast.errors import UsageError

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_SPAN = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
# What the public network takes from one ledger to the next, when time is to be filled with ledgers.
LEDGER_CLOSE_S = 5.0
# What the sandbox advances by at most at once.
LEDGERS_MAX = 10_000_000
SPAN_S_MAX = 3_650 * 86_400.0


def parse_duration_s(text: str, option: str) -> float:
    """Seconds. UsageError names `option`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None and text.strip() == "0":
        return 0.0
    if match is None:
        raise UsageError(f"{option} {text}: invalid duration; use e.g. 500ms, 5s, 2m or 1h")
    return int(match[1]) * _SECONDS[match[2]]


def parse_span_s(text: str, option: str) -> float:
    """Seconds of a time that may take days. UsageError names `option`."""
    match = _SPAN.fullmatch(text.strip())
    if match is None and text.strip() == "0":
        return 0.0
    if match is None:
        raise UsageError(f"{option} {text}: invalid duration; use e.g. 500ms, 5s, 2m, 3h or 30d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > SPAN_S_MAX:
        raise UsageError(f"{option} {text}: at most {SPAN_S_MAX / 86_400:.0f}d can pass at once")
    return seconds


def ledgers_to_close(ledgers: int | None, time_s: float, *, spread: bool, dashes: str = "") -> int:
    """How many ledgers an advance closes: as given; else one, or with `spread` one per close time of the public
    network in the time. UsageError for what cannot be; `dashes` stand before the names of the options in it.
    """
    if spread and time_s <= 0:
        raise UsageError(f"{dashes}spread needs {dashes}time")
    if ledgers is None:
        ledgers = max(1, math.floor(time_s / LEDGER_CLOSE_S)) if spread else 1
        if ledgers > LEDGERS_MAX:
            raise UsageError(
                f"that time spans {ledgers} ledgers, but at most {LEDGERS_MAX} can close at once; "
                f"give {dashes}ledgers, or advance in several steps"
            )
    if not 0 <= ledgers <= LEDGERS_MAX:
        raise UsageError(f"{dashes}ledgers {ledgers}: must be 0 to {LEDGERS_MAX}")
    return ledgers


def parse_range_s(text: str, option: str) -> tuple[int, int]:
    """A range of whole seconds such as `20s-120s`; one duration alone is a range of one. UsageError names
    `option`.
    """
    first, dash, last = text.partition("-")
    try:
        low, high = (parse_duration_s(part, option) for part in (first, last if dash else first))
    except UsageError:
        low = high = 0.0
    if low != int(low) or high != int(high) or not 1 <= low <= high:
        raise UsageError(
            f"{option} {text}: invalid range; use whole seconds, the lower bound first, e.g. 20s-120s"
        )
    return int(low), int(high)
