"""Counts in sentences."""

from __future__ import annotations

import pytest

from sorofast.wording import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("task",), "0 tasks"),
        (1, ("task",), "1 task"),
        (2, ("task",), "2 tasks"),
        (1, ("dead letter",), "1 dead letter"),
        (3, ("dead letter",), "3 dead letters"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_one_thing_is_told_in_the_singular(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said
