"""Durations as the sandbox and the commands write them: `500ms`, `5s`, `2m`, and longer spans as `3h`, `30d`."""

from __future__ import annotations

import re

from sorofast.errors import UsageError

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m)")
_SPAN = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def parse_duration_s(text: str, option: str) -> float:
    """Seconds. UsageError names `option`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None and text.strip() == "0":
        return 0.0
    if match is None:
        raise UsageError(f"{option} {text}: write a duration as 500ms, 5s or 2m")
    return int(match[1]) * _SECONDS[match[2]]


def parse_span_s(text: str, option: str) -> float:
    """Seconds of a time that may take days. UsageError names `option`."""
    match = _SPAN.fullmatch(text.strip())
    if match is None and text.strip() == "0":
        return 0.0
    if match is None:
        raise UsageError(f"{option} {text}: write a time as 500ms, 5s, 2m, 3h or 30d")
    return int(match[1]) * _SECONDS[match[2]]


def parse_range_s(text: str, option: str) -> tuple[int, int]:
    """A range of whole seconds such as `20s-120s`; one duration alone is a range of one. UsageError names
    `option`.
    """
    first, dash, last = text.partition("-")
    low, high = (parse_duration_s(part, option) for part in (first, last if dash else first))
    if low != int(low) or high != int(high) or not 1 <= low <= high:
        raise UsageError(f"{option} {text}: write a range of whole seconds, the lower end first, as 20s-120s")
    return int(low), int(high)
