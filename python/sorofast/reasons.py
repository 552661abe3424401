"""Reason codes by name, and the sentence of each, from the one table in the Rust core."""

from __future__ import annotations

from sorofast import _core

__all__ = ["NAMES", "code_of", "name_of", "text_of"]

_TABLE = _core.reason_codes()
_CODES = {name: code for code, name, _ in _TABLE}
_NAMES = {code: name for code, name, _ in _TABLE}
_TEXTS = {name: text for _, name, text in _TABLE}

NAMES = tuple(_CODES)
"""All reasons by name, in the order of their codes."""


def code_of(name: str) -> int:
    """The code of a reason; KeyError for a name that the core does not know, which is a bug here."""
    return _CODES[name]


def name_of(code: int) -> str:
    """The name of a reason; `reason_<code>` for a code of another version."""
    return _NAMES.get(code, f"reason_{code}")


def text_of(name: str) -> str | None:
    """The sentence for the operator; None for a name that is none of the core's."""
    return _TEXTS.get(name)
