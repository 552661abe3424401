"""How much sooner than the target the next close may come."""

from __future__ import annotations

import pytest

from sorofast.chain.guard import HALF_LIFE_LEDGERS, MARGIN, Fading, Guard


def test_what_was_learned_halves_every_so_many_ledgers_and_a_smaller_lesson_changes_nothing() -> None:
    lesson = Fading()
    lesson.raise_to(0.4, 1_000)
    lesson.raise_to(0.1, 1_001)
    assert lesson.at(1_000) == 0.4
    assert lesson.at(1_000 + HALF_LIFE_LEDGERS) == pytest.approx(0.2)
    assert lesson.at(900) == 0.4
    lesson.raise_to(0.3, 1_000 + HALF_LIFE_LEDGERS)
    assert lesson.at(1_000 + HALF_LIFE_LEDGERS) == 0.3


def test_few_closes_are_all_believed_and_of_many_the_outliers_are_not() -> None:
    guard = Guard(5.0)
    guard.observe(0.5)
    for _ in range(30):
        guard.observe(0.0)
    assert guard.at(31) == 0.5
    for _ in range(60):
        guard.observe(0.0)
    assert guard.at(91) == 0.0


def test_a_paid_shortfall_counts_more_than_it_was_and_at_once() -> None:
    guard = Guard(5.0)
    guard.pay(0.4, 100)
    assert guard.at(100) == pytest.approx(0.4 * MARGIN)


def test_a_burst_is_remembered_for_two_ledgers_and_not_learned() -> None:
    guard = Guard(5.0)
    guard.observe(4.9)
    guard.pay(4.9, 100)
    assert guard.at(100) == 4.9
    guard.observe(0.0)
    assert guard.at(101) == 4.9
    guard.observe(0.0)
    assert guard.at(102) == 0.0


def test_the_gaps_of_headers_teach_what_few_of_them_exceeded() -> None:
    guard = Guard(1.0)
    guard.learn_gaps([0.9] * 10 + [1.2] * 50 + [0.81, 0.82], 1.0, 100)
    assert guard.at(100) == pytest.approx(0.19)


def test_the_gaps_beside_a_burst_belong_to_it() -> None:
    guard = Guard(1.0)
    guard.learn_gaps([1.0, 0.7, 0.001, 0.001, 0.56, 0.9, 1.0, 1.1], 1.0, 100)
    assert guard.at(100) == pytest.approx(0.1)
