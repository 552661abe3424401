"""A node that answers what no node should: its answers are waited out, and neither a worker nor the follower dies."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from helpers.faults.scene import Scenario, Scene

ODD_SIMULATIONS: tuple[dict[str, Any], ...] = (
    {"error": {"code": 1}},
    {"error": ["x"]},
    {"minResourceFee": "9" * 19},
    {"minResourceFee": "9" * 30},
    {"results": {}},
    {"results": [{"auth": "x"}]},
    {"transactionData": {}},
)
ODD_READS: dict[str, tuple[Any, ...]] = {
    "getHealth": (
        {"result": {"latestLedger": "the newest"}},
        {"result": {"latestLedgerCloseTime": "9" * 19}},
        {"result": ["x"]},
    ),
    "getEvents": ({"result": {"events": {}}}, {"result": {"cursor": 5}}, {"error": "busy", "result": None}),
    "getLedgerEntries": ({"result": {"entries": "none"}}, {"result": {"latestLedger": None}}),
    "sendTransaction": ({"error": "queue full", "result": None}, {"result": {"status": {}}}),
}


def died(s: Scene) -> list[str]:
    """The lines of the run's log that tell of a death nobody ordered, or of an exception nobody expected."""
    lines = Path(s.run.log_path).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "worker_died" in line or "Traceback" in line or "tasks_stuck" in line]


@pytest.mark.verify
async def test_odd_simulations_are_the_nodes_fault_and_no_tasks(scenario: Scenario) -> None:
    async with scenario(workers=2, start=False) as s:
        odd = itertools.cycle(ODD_SIMULATIONS)
        rule = s.rpc.rewrite(
            "simulateTransaction", lambda call, answer: answer | {"result": answer["result"] | next(odd)},
            count=2 * len(ODD_SIMULATIONS),
        )  # fmt: skip
        await s.start_run()
        await rule.struck(2 * len(ODD_SIMULATIONS))
        report = await s.judged(ledgers=10)
        assert died(s) == []
    assert report.executed >= 20, report.summary()


async def test_odd_reads_and_sends_are_waited_out_also_by_a_worker_that_has_just_come(
    scenario: Scenario,
) -> None:
    async with scenario(workers=2) as s:
        rules = [
            s.rpc.patch(method, change, count=2)
            for method, changes in ODD_READS.items()
            for change in changes
        ]
        for rule in rules:
            await rule.struck(2)
        assert died(s) == []
        for rule in rules:
            rule.lift()
        # It asks for the network's own settings when it starts.
        first = s.rpc.patch("getLedgerEntries", {"result": {"entries": "none"}}, when=asks_for_settings)
        s.processes.kill(s.processes.others()[0])
        await first.struck()
        report = await s.judged(ledgers=10)
        assert len(died(s)) == 1, died(s)
    assert report.executed >= 20, report.summary()


def asks_for_settings(call: Any) -> bool:
    """A key of 12 bytes: two numbers that name a setting, where tasks and accounts have more."""
    return any(len(key) <= 16 for key in call.params.get("keys", ()))
