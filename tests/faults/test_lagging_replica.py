"""Nodes behind one address that are not equally far: the engine waits for one that is, and loses nothing over it."""

from __future__ import annotations

import itertools

import pytest

from helpers.faults.scene import Scenario


@pytest.mark.verify
@pytest.mark.timeout(120)
@pytest.mark.parametrize("method", ["getEvents", "getLedgerEntries", "getTransaction", "simulateTransaction"])
async def test_answers_of_a_node_that_lags_make_nobody_read_everything_again(
    scenario: Scenario, method: str
) -> None:
    """Every second answer is three ledgers behind."""
    async with scenario() as s:
        second = itertools.cycle((False, True))
        behind = await s.lag(3, method, when=lambda _: next(second))
        await s.pass_ledgers(15)
        report = await s.judged(ledgers=9)
        for event in ("events_lost", "stream_gap"):
            assert s.processes.events(event) == []
        assert behind.hits or method in ("getTransaction", "simulateTransaction")
    assert report.executed >= 40, report.summary()
