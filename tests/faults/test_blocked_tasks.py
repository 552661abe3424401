"""Tasks that wait for others: blocked until those have run once, and not a ledger longer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from stellar_sdk import scval

from helpers.contract_calls import invoke
from helpers.faults.scene import Scenario, blocked_by

HALF = 12


async def test_tasks_blocked_by_others_that_have_run_are_run(scenario: Scenario) -> None:
    def reshape(task: int) -> dict[str, object] | None:
        return blocked_by(task - HALF) if task > HALF else None

    async with scenario(tasks=2 * HALF, reshape=reshape) as s:
        report = await s.judged(ledgers=14, bent=False)
    blocked = report.runs_of(range(HALF + 1, 2 * HALF + 1))
    assert len({run.task_id for run in blocked}) == HALF, report.summary()


@pytest.mark.verify
async def test_a_chain_of_tasks_that_have_never_run_is_run_one_after_the_other(scenario: Scenario) -> None:
    chain = range(1, 5)

    def reshape(task: int) -> dict[str, object] | None:
        if task not in chain:
            return None
        never = {"last_run": scval.to_uint64(0), "resolver": scval.to_void()}
        return never | (blocked_by(task - 1) if task > 1 else {})

    async with scenario(reshape=reshape) as s:
        report = await s.judged(ledgers=16, bent=False)
    first = [report.runs_of([task])[0].ledger for task in chain]
    assert first == sorted(set(first)), report.summary()
    # Each is ready in the ledger after the one it waits for, and its owner may be another shard's.
    assert all(later - earlier <= 4 for earlier, later in pairwise(first)), first


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_a_task_whose_dependency_is_cancelled_costs_nothing_and_runs_once_it_is_dropped(
    scenario: Scenario,
) -> None:
    """All have run before, so that their calls are known and nothing but the cancellation tells that they fail now."""
    cancelled, owners = 1, range(HALF + 1, 2 * HALF + 1)

    def reshape(task: int) -> dict[str, object] | None:
        plain = {"resolver": scval.to_void()}
        return plain | blocked_by(cancelled) if task in owners else plain

    async with scenario(tasks=2 * HALF, reshape=reshape, intervals_s=(6, 10)) as s:
        await s.until(lambda: {run.task_id for run in s.oracle.runs()} >= set(owners), "all have run", 60)
        await invoke(s.network, s.network.registry.contract, "cancel_task", scval.to_uint64(cancelled))
        gone = await s.latest_ledger()
        await s.pass_ledgers(14)
        sent = [one for one in s.log.entries if one.task_id in owners and one.latest_ledger > gone + 1]
        owner = owners[0]
        await invoke(
            s.network,
            s.network.registry.contract,
            "remove_dependency",
            *(scval.to_uint64(owner), scval.to_uint64(cancelled)),
        )
        dropped = await s.latest_ledger()
        report = await s.judged(ledgers=10, bent=False)
    assert sent == [], "what waits for a task that is gone fails, and is paid for"
    # In the ledger that cancels it a run may be on its way.
    assert report.failed <= 2, report.summary()
    assert [run.task_id for run in report.runs_of([owner]) if run.ledger > dropped], report.summary()
