"""What was learned from one run holds until something shows that it does not, and then it holds for nobody."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import put_instance, relabelled, seeded, upload, wasm_of
from helpers.faults.scene import Scene


def every(seconds: int, target: str, function: str, *arguments: Any) -> dict[str, Any]:
    """A task without a resolver that calls the target at that pace."""
    return {
        "target": scval.to_address(target),
        "function": scval.to_symbol(function),
        "args": scval.to_vec(list(arguments)),
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(seconds),
    }


async def put_changeable(s: Scene) -> str:
    """The target whose calls do not stay alike, in the place of the first seeded one."""
    target = s.network.registry.targets[0]
    async with s.network.hurry():
        code = await upload(s.network, wasm_of("changeable"))
    await put_instance(s.network, target, code)
    return target


@pytest.mark.verify
@pytest.mark.timeout(180)
@pytest.mark.parametrize("function", ["step", pytest.param("append", marks=pytest.mark.verify)])
async def test_a_call_that_is_never_the_same_twice_fails_no_more_after_its_second_failure(
    scenario, function: str
) -> None:
    """`step` writes an entry that no run before it touched, `append` one that grows with every run: as its growth was
    seen once, bytes for several runs more are declared.
    """

    def reshape(task_id: int) -> dict[str, Any]:
        return every(2, seeded("target 0"), function, scval.to_uint64(task_id))

    async with scenario(tasks=2, reshape=reshape, start=False, lead_s=10.0) as s:
        await put_changeable(s)
        run = await s.start_run()
        await run.ready()
        await s.pass_until_due()
        await s.pass_ledgers(30)
        report = await s.judged(ledgers=9, bound_ledgers=20, bent=False, early_max=None)
    failed = report.verdicts.failed
    assert all(failed[task] <= 2 for task in (1, 2)), failed
    runs = {task: len(report.runs_of([task])) for task in (1, 2)}
    assert all(count >= 6 for count in runs.values()), runs
    if function == "append":
        assert all(count >= 12 for count in runs.values()), runs


@pytest.mark.timeout(180)
async def test_nothing_is_sent_with_a_template_of_code_that_was_replaced(scenario) -> None:
    target = seeded("target 0")

    def reshape(task_id: int) -> dict[str, Any]:
        return every(3, target, "bump", scval.to_uint64(task_id))

    async with scenario(tasks=9, reshape=reshape, lead_s=15.0) as s:
        await s.pass_ledgers(6)
        async with s.network.hurry():
            code = await upload(s.network, relabelled(wasm_of("counter")))
        await put_instance(s.network, target, code)
        changed = await s.latest_ledger()
        said = await s.processes.logged("code_changed")
        assert said["contract"] == target
        await s.pass_ledgers(8)
        late = [sent for sent in s.log.entries if sent.latest_ledger > changed + 1]
        report = await s.judged(ledgers=9, bent=False, early_max=None)
    # What was on its way when the code changed may fail, and nothing after it.
    failed = {one.hash for one in s.oracle.history.included if not one.succeeded}
    assert not failed & {sent.hash for sent in late}
    assert {run.task_id for run in report.runs if run.ledger > changed + 1} == set(range(1, 10))


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_fleet_that_starts_again_simulates_nothing_that_it_has_learned(scenario) -> None:
    async with scenario(tasks=60, resolvers=2, lead_s=15.0) as s:
        await s.pass_ledgers(16)
        await s.end_runs()
        ran = len(s.oracle.runs())
        before = s.rpc.calls["simulateTransaction"]
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(6)
        assert s.rpc.calls["simulateTransaction"] - before <= 10
        assert len(s.oracle.runs()) > ran + 20
        await s.judged(ledgers=9, early_max=None)
