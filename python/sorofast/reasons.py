"""Reason codes by name, from the one table in the Rust core."""

from __future__ import annotations

from sorofast import _core

__all__ = ["code_of", "name_of", "sentence_of"]

_TABLE = _core.reason_codes()
_CODES = {name: code for code, name, _ in _TABLE}
_NAMES = {code: name for code, name, _ in _TABLE}
_SENTENCES = {code: sentence for code, _, sentence in _TABLE}


def code_of(name: str) -> int:
    """The code of a reason; KeyError for a name that the core does not know, which is a bug here."""
    return _CODES[name]


def name_of(code: int) -> str:
    return _NAMES.get(code, f"reason_{code}")


def sentence_of(code: int) -> str:
    return _SENTENCES.get(code, f"Unknown reason code {code}.")
