"""Tasks that differ in nothing but their arguments are asked about twice, not once each, where the arguments change
nothing of what a run touches; and where they do, nobody pays to find out.
"""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import give_token, invoke, put_instance, seeded, upload, wasm_of
from helpers.faults.history import Timeline
from helpers.faults.scene import Scene

HOUR_S = 3_600


def once(target: str, function: str, *arguments: Any) -> dict[str, Any]:
    """A task without a resolver that calls the target when the seed says, and then not for the length of a test."""
    return {
        "target": scval.to_address(target),
        "function": scval.to_symbol(function),
        "args": scval.to_vec(list(arguments)),
        "resolver": scval.to_void(),
    }


def first_runs(s: Scene) -> dict[int, tuple[int, int]]:
    """By task: the first ledger that could run it, and the one that did first."""
    found: dict[int, tuple[int, int]] = {}
    for window in Timeline(s.oracle.history).windows():
        if window.ran is not None and window.task_id not in found:
            found[window.task_id] = (window.eligible, window.ran.ledger)
    return found


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_arguments_that_change_nothing_that_is_touched_share_a_template(scenario) -> None:
    """The target answers whatever it is asked: 40 tasks, 40 values, one footprint. The next start knows it."""
    tasks = 40

    def reshape(task_id: int) -> dict[str, Any]:
        question = scval.to_vec([scval.to_uint64(task_id)])
        return once(seeded("resolver 0"), "check_condition", question)

    async with scenario(tasks=tasks, reshape=reshape, intervals_s=(12, 12), lead_s=15.0) as s:
        await s.pass_ledgers(18)
        asked = s.rpc.calls["simulateTransaction"]
        runs = first_runs(s)
        await s.end_runs()
        ran, before = len(s.oracle.runs()), s.rpc.calls["simulateTransaction"]
        run = await s.start_run()
        await run.ready()
        await s.until(lambda: len(s.oracle.runs()) >= ran + tasks, "as many runs again")
        again = s.rpc.calls["simulateTransaction"] - before
        report = await s.judged(ledgers=9)
    assert set(runs) == set(range(1, tasks + 1))
    assert asked <= 4, f"{asked} simulations for {tasks} tasks of one kind"
    assert again <= 4, f"{again} simulations after the fleet started again"
    # What fell due while the first two were asked about waited for that.
    known = min(ran for _, ran in runs.values())
    late = [ran - eligible for eligible, ran in runs.values() if eligible > known]
    assert len(late) >= tasks // 4
    assert sum(map(bool, late)) <= len(late) // 5, sorted(late)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_arguments_that_say_what_is_touched_share_nothing_and_nobody_pays_to_find_out(scenario) -> None:
    tasks = 16

    def reshape(task_id: int) -> dict[str, Any]:
        return once(seeded("target 0"), "bump", scval.to_uint64(task_id))

    async with scenario(tasks=tasks, reshape=reshape, intervals_s=(8, 8)) as s:
        await s.pass_ledgers(14)
        asked = s.rpc.calls["simulateTransaction"]
        runs = first_runs(s)
        report = await s.judged(ledgers=9, bent=False)
    assert set(runs) == set(range(1, tasks + 1))
    assert asked == tasks
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_run_that_outgrows_its_kind_fails_once_and_its_siblings_are_asked_about(scenario) -> None:
    """What the first three use says nothing of the others, each of which uses more than the one before; they get their
    gas later.
    """
    tasks, little = 7, 3

    def reshape(task_id: int) -> dict[str, Any]:
        rounds = 10 + task_id if task_id <= little else 200_000 * task_id
        return once(seeded("target 0"), "burn", scval.to_uint64(rounds)) | {
            "interval": scval.to_uint64(HOUR_S),
            "last_run": scval.to_uint64(task_id),
            "gas_balance": scval.to_int128(10**6 if task_id <= little else 0),
        }

    async with scenario(tasks=tasks, reshape=reshape, start=False) as s:
        async with s.network.hurry():
            await give_token(s.network)
            code = await upload(s.network, wasm_of("burns_instructions"))
        await put_instance(s.network, s.network.registry.targets[0], code)
        run = await s.start_run()
        await run.ready()
        await s.processes.logged("arguments_do_not_matter")
        await s.until(lambda: len(s.oracle.runs()) == little, "those with gas have run")
        for task_id in range(little + 1, tasks + 1):
            amount = scval.to_int128(10**6)
            keeper = scval.to_address(s.network.keeper.public_key)
            await invoke(
                s.network,
                s.network.registry.contract,
                "deposit_gas",
                scval.to_uint64(task_id),
                keeper,
                amount,
            )
            await s.until(lambda wanted=task_id: len(s.oracle.runs()) == wanted, f"task {task_id} has run")
        report = await s.judged(ledgers=4)
    assert report.verdicts.failed == {little + 1: 1}
