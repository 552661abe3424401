"""A registry that emits no events: its runs are told by the task's last run and the transaction's own changes."""

from __future__ import annotations

from collections import Counter

import pytest

from helpers.faults.scene import Scenario
from helpers.settling import command

LEDGERS = 10


@pytest.mark.verify
async def test_a_fleet_s_own_runs_are_not_taken_for_a_rival_s(scenario: Scenario) -> None:
    async with scenario() as s:
        s.rpc.patch("getEvents", {"result": {"events": []}})
        since = await s.latest_ledger()
        await s.pass_ledgers(LEDGERS)
        shown = (await command(s.fleet.config_path, "runs", "--count", "1000", "-o", "json")).json
        ended = [run for run in shown if (run["ledger"] or 0) > since]
        outcomes = Counter(run["outcome"] for run in ended)
        assert outcomes["executed"] >= 20, outcomes
        assert set(outcomes) == {"executed"}, outcomes
        assert all(run["fee_stroops"] for run in ended), "where the ledger was asked, the charge is known"
        report = await s.judged()
    assert report.missed == []
