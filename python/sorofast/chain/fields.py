"""Reads one answer's fields, each with its type and bounds, whatever the answering node wrote there.

Nodes are other people's software behind other people's proxies. A field of another kind, or a number beyond
what the protocol allows, is that endpoint's answer being unusable: a BodyError, here, and not an exception of
another kind wherever the value is used first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sorofast.errors import BodyError

__all__ = ["TIME_MAX_S", "U32_MAX", "Fields", "clipped"]

U32_MAX = 2**32 - 1
TIME_MAX_S = 253_402_300_799
"""The last second of the year 9999, beyond which nothing here can be written as a date."""
SHOWN_MAX = 300
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)


def clipped(text: str) -> str:
    """One line of at most SHOWN_MAX characters, of text whose length and form are somebody else's choice."""
    line = " ".join(text[: 4 * SHOWN_MAX].split())
    return line if len(line) <= SHOWN_MAX else f"{line[:SHOWN_MAX]}…"


class Fields:
    """One JSON object of the answer to `method`. Every reader raises BodyError and nothing else."""

    def __init__(self, method: str, value: object, what: str = "result") -> None:
        if not isinstance(value, Mapping):
            raise BodyError(f"{method} was answered with a {what} that is {_kind(value)}, not an object")
        self._method = method
        self._values: Mapping[str, Any] = value

    def integer(self, name: str, *, high: int = U32_MAX, default: int | None = None) -> int:
        """A whole number from 0 to `high`, as a JSON number or as digits in a string."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._unusable(name, value, "a whole number")
        if not 0 <= value <= high:
            raise BodyError(f"{self._method} was answered with {name} {value}, which is not from 0 to {high}")
        return value

    def maybe_integer(self, name: str, *, high: int = U32_MAX) -> int | None:
        """The same, None when it is missing or null."""
        return None if self._values.get(name) is None else self.integer(name, high=high)

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self._unusable(name, value, "text")
        return value

    def maybe_text(self, name: str) -> str | None:
        """None when it is missing, null or empty."""
        return None if self._values.get(name) is None else self.text(name) or None

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty when it is missing or null."""
        values = self._list(name)
        for value in values:
            if not isinstance(value, str):
                raise self._unusable(name, value, "a list of text")
        return tuple(values)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; empty when it is missing or null."""
        return [Fields(self._method, value, f"member of {name}") for value in self._list(name)]

    def maybe_object(self, name: str) -> Fields | None:
        """An object; None when it is missing or null."""
        value = self._values.get(name)
        return None if value is None else Fields(self._method, value, name)

    def _list(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._unusable(name, value, "a list")
        return value

    def _unusable(self, name: str, value: object, wanted: str) -> BodyError:
        if value is None:
            return BodyError(f"{self._method} was answered without {name}")
        shown = f" {clipped(value)!r}" if isinstance(value, str) else ""
        return BodyError(
            f"{self._method} was answered with {name}{shown} that is {_kind(value)}, not {wanted}"
        )


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "a number"
        case float():
            return "a number with a fraction or beyond 64 bits"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
