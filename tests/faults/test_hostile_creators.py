"""What a task's creator can make us pay for nothing: a few runs a task and day, and the others run on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import put_instance, seeded, upload, wasm_of
from helpers.faults.history import Timeline
from helpers.faults.invariants import verdicts
from helpers.faults.scene import Scenario, Scene
from helpers.hostile import changes_its_mind
from helpers.operator import sorofast
from sorofast.demo.fleet import Event

HOUR_S, DAY_S = 3_600, 86_400
PAID_MAX = 3
BEFORE_MIDNIGHT_S = 75
HONEST = 6


def hostile(task_id: int) -> dict[str, Any]:
    """Tasks that ask the resolver which changes its mind, after some honest ones; due since long ago."""
    fields = {
        "target": scval.to_address(seeded("target 0")),
        "function": scval.to_symbol("increment"),
        "args": scval.to_vec([]),
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(HOUR_S),
        "last_run": scval.to_uint64(task_id),
    }
    if task_id > HONEST:
        fields["resolver"] = scval.to_address(seeded("resolver 0"))
    return fields


async def put_in_place(s: Scene) -> None:
    """The contract that changes its mind, as a resolver and as a target."""
    async with s.network.hurry():
        code = await upload(s.network, changes_its_mind())
    for contract in (s.network.registry.resolvers[0], s.network.registry.targets[1]):
        await put_instance(s.network, contract, code)


async def be_honest(s: Scene, *, says: bool) -> None:
    """From now on the resolver is one that does not change its mind."""
    registry = s.network.registry
    await put_instance(s.network, registry.resolvers[0], registry.resolver_code, {"On": scval.to_bool(says)})


def paid_for_nothing(s: Scene) -> Counter[int]:
    """Runs by task that were included and did nothing, or failed, as the ledger shows them."""
    found = verdicts(Timeline(s.oracle.history))
    return Counter(task_id for task_id, _ in found.no_effect) + found.failed


async def close_time_s(s: Scene) -> int:
    return (await s.admin.ledgers(await s.latest_ledger()))[-1].close_time


async def shortly_before_midnight(s: Scene, seconds: int) -> int:
    """Moves the network's clock to so many seconds before a UTC day begins, and returns that second."""
    now_s = await close_time_s(s)
    midnight = (now_s // DAY_S + 1) * DAY_S
    if midnight - now_s < seconds:
        midnight += DAY_S
    await s.admin.advance(1, midnight - now_s - seconds)
    assert midnight - seconds <= await close_time_s(s) < midnight
    return midnight


def gives_up(task_id: int) -> Callable[[Event], bool]:
    """Whether an event tells that the task rests until the next day."""
    return lambda event: event["task"] == task_id and "dead letter until the next UTC day" in event["then"]


async def command(s: Scene, *arguments: str) -> Any:
    done = await sorofast(*arguments, "-c", str(s.fleet.config_path), "-o", "json")
    assert done.code == 0, done.err
    return done.json


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_resolver_that_says_yes_to_simulations_alone_is_paid_for_three_times_a_day(
    scenario: Scenario,
) -> None:
    tasks = HONEST + 2
    async with scenario(
        tasks=tasks, reshape=hostile, due_per_ledger=4, workers=1, shards=1, start=False
    ) as s:
        await put_in_place(s)
        run = await s.start_run()
        await run.ready()
        for task_id in range(HONEST + 1, tasks + 1):
            await s.processes.logged("run_without_effect", gives_up(task_id), timeout_s=100)
        before = paid_for_nothing(s)
        told = await command(s, "dead", "list")
        shown = await command(s, "tasks", "explain", str(tasks))
        # Another owner counts on.
        await s.run.stop()
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(12)
        assert paid_for_nothing(s) == before
        await be_honest(s, says=False)
        report = await s.judged(ledgers=4)
    assert before == dict.fromkeys(range(HONEST + 1, tasks + 1), PAID_MAX), report.summary()
    assert [error["error"] for error in told["errors"]] == ["NoEffect"]
    assert told["dead"][0]["tried_again_s"] % DAY_S == 0
    assert shown["state"] == "dead"
    assert "next UTC day" in shown["waits_for"]
    assert {run.task_id for run in report.runs} >= set(range(1, HONEST + 1))


@pytest.mark.verify
@pytest.mark.timeout(240)
async def test_a_dead_letter_without_effect_ends_with_its_day(scenario: Scenario) -> None:
    tasks = HONEST + 2
    async with scenario(
        tasks=tasks,
        reshape=hostile,
        due_per_ledger=4,
        workers=1,
        shards=1,
        start=False,
        settings={"retry": {"max_attempts": 1}},
    ) as s:
        await put_in_place(s)
        midnight = await shortly_before_midnight(s, BEFORE_MIDNIGHT_S)
        run = await s.start_run()
        await run.ready()
        for task_id in range(HONEST + 1, tasks + 1):
            await s.processes.logged("run_without_effect", gives_up(task_id))
        await be_honest(s, says=True)
        s.oracle.changed(range(HONEST + 1, tasks + 1), await s.latest_ledger())
        assert (await command(s, "dead", "list"))["count"] == tasks - HONEST
        assert await close_time_s(s) < midnight
        resting = set(range(HONEST + 1, tasks + 1))
        await s.until(lambda: {run.task_id for run in s.oracle.runs()} >= resting, "they run", timeout_s=120)
        s.oracle.calm(await s.latest_ledger())
        await s.pass_ledgers(3)
        told = await command(s, "dead", "list")
        report = await s.judged(ledgers=4)
    assert told["count"] == 0
    rested = [run.close_time_s - midnight for run in report.runs_of(resting)]
    # What falls due by the next close is sent for it, and may find itself in the one before.
    assert -1 <= min(rested) <= max(rested) <= 8, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(300)
async def test_a_hundred_tasks_of_a_hostile_creator_cost_three_runs_each(scenario: Scenario) -> None:
    """Half of them by a resolver, half by a target that fails on the ledger and not in a simulation."""
    tasks = HONEST + 100

    def reshape(task_id: int) -> dict[str, Any]:
        fields = hostile(task_id)
        if task_id > HONEST + 50:
            fields |= {
                "resolver": scval.to_void(),
                "target": scval.to_address(seeded("target 1")),
                "function": scval.to_symbol("run"),
            }
        return fields

    async with scenario(
        tasks=tasks, reshape=reshape, due_per_ledger=20, workers=2, shards=4, start=False
    ) as s:
        await put_in_place(s)
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(90)
        wasted = paid_for_nothing(s)
        paid = sum(one.fee_stroops for one in s.oracle.history.included if not one.ran)
        await be_honest(s, says=False)
        failing = await upload(s.network, wasm_of("always_panics"))
        await put_instance(s.network, s.network.registry.targets[1], failing)
        report = await s.judged(ledgers=4)
    told = f"{wasted.total()} runs of {len(wasted)} tasks for nothing, {paid} stroops"
    assert wasted.total() >= 100, f"too few, so that the scene shows nothing: {told}"
    assert max(wasted.values()) <= PAID_MAX, f"{told}: {wasted}"
    assert {run.task_id for run in report.runs} >= set(range(1, HONEST + 1))
