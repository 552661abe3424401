"""An RPC that fails, stalls and loses answers after it has done what was asked: nothing is lost, nothing done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.demo import at_work, options_of
from sorofast.sandbox.client import FaultRule


@pytest.mark.timeout(240)
async def test_lost_answers_errors_and_latency_cost_neither_a_run_nor_a_fee(tmp_path: Path) -> None:
    options = options_of(workers=2, due_per_ledger=10)
    async with at_work(options, tmp_path) as work:
        await work.network.admin.set_faults(
            [
                FaultRule(method="sendTransaction", kind="drop_reply", probability=0.3),
                FaultRule(method="sendTransaction", kind="http_status", status=503, probability=0.1),
                FaultRule(method="simulateTransaction", kind="rpc_error", code=-32603, probability=0.2),
                FaultRule(method="getHealth", kind="http_status", status=503, probability=0.1),
                FaultRule(method="getEvents", kind="latency", latency_ms=100, probability=0.3),
                FaultRule(method="getLedgerEntries", kind="rpc_error", code=-32603, probability=0.1),
            ]
        )
        await work.trial.pass_ledgers(25)
        await work.network.admin.clear_faults()
        await work.trial.pass_ledgers(3)
        report = await work.trial.end(work.run)
    assert (report.missed, report.duplicates, report.early, report.no_effect) == (0, 0, 0, 0), report
    assert report.executed > 100, report
