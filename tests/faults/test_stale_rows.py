"""What no event tells of a task is found all the same, in bounded time and with a bounded number of reads."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval

from helpers.faults.scene import Scenario, Scene, with_fields
from sorofast.audit.seed import task_entries

SILENT = 5
"""Whose entry changes without an event."""
TASKS = 24


async def rewritten(s: Scene, task_id: int, **fields: Any) -> int:
    """The task's entry has these fields from the next ledger on, and nobody is told; the ledger it happened in."""
    latest = await s.latest_ledger()
    entries = task_entries(
        s.network.registry, s.network.specs, s.network.keeper.public_key, s.first_due_s, latest
    )
    for spec, (raw, live_until) in zip(s.network.specs, entries, strict=True):
        if spec.task_id == task_id:
            await s.admin.put_entries([(with_fields(raw, fields), live_until)])
    return latest


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_a_task_that_was_given_gas_without_an_event_runs_within_a_sweep(scenario: Scenario) -> None:
    def reshape(task_id: int) -> dict[str, Any] | None:
        return {"gas_balance": scval.to_int128(0)} if task_id == SILENT else None

    async with scenario(tasks=TASKS, reshape=reshape) as s:
        await s.pass_ledgers(2)
        assert SILENT not in {run.task_id for run in s.oracle.runs()}
        asked = s.rpc.calls["getLedgerEntries"]
        at = await rewritten(s, SILENT, gas_balance=scval.to_int128(10**9))
        # Four shards take turns, and each of them is one read.
        await s.pass_ledgers(2 * s.setup.shards + 3)
        ran = [run.ledger for run in s.oracle.runs() if run.task_id == SILENT]
        assert ran, "nobody has noticed"
        assert ran[0] - at <= 2 * s.setup.shards
        assert asked
        await s.judged(ledgers=10)
