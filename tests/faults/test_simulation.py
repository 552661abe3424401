"""What a simulation says is about one task: no sibling pays for it, and nobody pays a fee to hear it again."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import give_token, invoke, put_instance, seeded
from helpers.faults.history import Timeline
from helpers.faults.scene import Scene
from sorofast.audit.seed import _data

HOUR_S = 3_600
FLAT_FEE = 100


def overdue(task_id: int, **fields: Any) -> dict[str, Any]:
    """A task of the one kind that all of these have in common, due since long ago and then in an hour."""
    kind = {
        "target": scval.to_address(seeded("target 0")),
        "function": scval.to_symbol("increment"),
        "args": scval.to_vec([]),
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(HOUR_S),
        # What has waited longest comes first.
        "last_run": scval.to_uint64(task_id),
    }
    return kind | fields


def gas(stroops: int) -> dict[str, Any]:
    return {"gas_balance": scval.to_int128(stroops)}


async def runs_within(s: Scene, ledgers: int) -> dict[int, int]:
    """Runs by task in so many ledgers from now, as the ledger shows them."""
    await s.pass_ledgers(ledgers)
    runs: dict[int, int] = {}
    for run in s.oracle.runs():
        runs[run.task_id] = runs.get(run.task_id, 0) + 1
    return runs


@pytest.mark.timeout(120)
async def test_a_task_that_cannot_pay_keeps_none_of_its_siblings_from_running(scenario) -> None:
    """The first to be simulated is the one whose simulation fails."""

    def reshape(task_id: int) -> dict[str, Any]:
        return overdue(task_id, **gas(FLAT_FEE // 2)) if task_id == 1 else overdue(task_id)

    async with scenario(tasks=21, reshape=reshape, workers=1, shards=1, due_per_ledger=10, lead_s=0.0) as s:
        runs = await runs_within(s, 8)
        assert runs == dict.fromkeys(range(2, 22), 1)
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.timeout(120)
async def test_a_task_one_stroop_short_of_the_fee_is_never_sent_and_runs_after_a_deposit(scenario) -> None:
    """Its siblings' template is there, and the last of them to fall due is the poor one."""
    poor, fee = 6, 228

    def reshape(task_id: int) -> dict[str, Any]:
        one = {"function": scval.to_symbol("bump"), "args": scval.to_vec([scval.to_uint64(3)])}
        return overdue(task_id, **one, **gas(fee - 1 if task_id == poor else 1_000_000))

    async with scenario(tasks=poor, reshape=reshape, workers=1, shards=1, due_per_ledger=3, start=False) as s:
        async with s.network.hurry():
            await give_token(s.network)
        run = await s.start_run()
        await run.ready()
        assert await runs_within(s, 10) == dict.fromkeys(range(1, poor), 1)
        said = await s.processes.logged("task_skipped", lambda event: event["task"] == poor)
        assert said["reason"] == "gas_below_fee"
        assert f"gas below the fee ({fee})" in said["error"]

        keeper = scval.to_address(s.network.keeper.public_key)
        await invoke(
            s.network,
            s.network.registry.contract,
            "deposit_gas",
            *(scval.to_uint64(poor), keeper, scval.to_int128(1)),
        )
        assert (await runs_within(s, 4))[poor] == 1
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_resolver_that_turns_is_noticed_within_three_ledgers_and_asked_sparingly_before(
    scenario,
) -> None:
    """All tasks share one resolver and one call: asking about one of them is asking about all."""
    silent, tasks = 16, 12

    def reshape(task_id: int) -> dict[str, Any]:
        return overdue(task_id, resolver=scval.to_address(seeded("resolver 0")))

    async with scenario(tasks=tasks, reshape=reshape, due_per_ledger=6, workers=1, start=False) as s:
        resolver, code = s.network.registry.resolvers[0], s.network.registry.resolver_code
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(False)})
        run = await s.start_run()
        await run.ready()
        before = s.rpc.calls["simulateTransaction"]
        assert await runs_within(s, silent) == {}
        asked = s.rpc.calls["simulateTransaction"] - before
        assert asked <= silent, f"{asked} simulations in {silent} ledgers"
        assert not s.log.entries, "something was sent though the resolver said no"

        # Gating is the call's: another run, after the first, knows no better and sends nothing either.
        await s.end_runs()
        run = await s.start_run()
        await run.ready()
        assert await runs_within(s, 4) == {}
        assert not s.log.entries
        turned = await s.latest_ledger()
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(True)})
        s.oracle.changed(range(1, tasks + 1), turned + 1)
        assert await runs_within(s, 5) == dict.fromkeys(range(1, tasks + 1), 1)
        assert max(run.ledger for run in s.oracle.runs()) <= turned + 1 + 3
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_call_that_had_no_effect_is_not_paid_for_again_by_the_next_owner(scenario) -> None:
    """The template is there, so nothing but the fleet's memory keeps a new worker from sending."""
    tasks = 4

    def reshape(task_id: int) -> dict[str, Any]:
        fields = {"resolver": scval.to_address(seeded("resolver 0")), "interval": scval.to_uint64(3)}
        return overdue(task_id) | fields

    async with scenario(tasks=tasks, reshape=reshape, due_per_ledger=2) as s:
        resolver, code = s.network.registry.resolvers[0], s.network.registry.resolver_code
        await s.pass_ledgers(4)
        assert s.oracle.runs()
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(False)})
        await s.pass_ledgers(8)
        await s.end_runs()
        sent = len(s.log.entries)
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(6)
        assert len(s.log.entries) == sent
        turned = await s.latest_ledger()
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(True)})
        s.oracle.changed(range(1, tasks + 1), turned + 1)
        await s.pass_ledgers(5)
        first = min(run.ledger for run in s.oracle.runs() if run.ledger > turned)
        assert first <= turned + 1 + 3
        await s.judged(ledgers=9, early_max=None)


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_an_archived_entry_is_restored_by_one_run_and_its_siblings_wait_for_that(scenario) -> None:
    def reshape(task_id: int) -> dict[str, Any]:
        return overdue(task_id, function=scval.to_symbol("bump"), args=scval.to_vec([scval.to_uint64(3)]))

    async with scenario(tasks=4, reshape=reshape, due_per_ledger=2, workers=1, shards=1, start=False) as s:
        await s.pass_ledgers(4)
        latest = await s.latest_ledger()
        key = scval.to_vec([scval.to_symbol("Key"), scval.to_uint64(3)])
        entry = _data(s.network.registry.targets[0], key, scval.to_uint64(41), latest)
        await s.admin.put_entries([(entry, latest - 1)])
        run = await s.start_run()
        await run.ready()
        assert await runs_within(s, 8) == dict.fromkeys(range(1, 5), 1)
        ledgers = sorted(run.ledger for run in s.oracle.runs())
        assert ledgers[0] < ledgers[1] == ledgers[3] <= ledgers[0] + 3, ledgers
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_slow_simulator_holds_up_no_run_whose_call_is_known(scenario) -> None:
    """Each simulation takes three ledgers, and there is always one to make: a resolver that says no."""
    asked, tasks = 12, 12

    def reshape(task_id: int) -> dict[str, Any]:
        if task_id == asked:
            return {"resolver": scval.to_address(seeded("resolver 1"))}
        return {"resolver": scval.to_void()}

    async with scenario(
        tasks=tasks, reshape=reshape, workers=1, shards=1, due_per_ledger=3, lead_s=15.0
    ) as s:
        resolver, code = s.network.registry.resolvers[1], s.network.registry.resolver_code
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(False)})
        await s.pass_ledgers(10)
        slow = s.rpc.delay("simulateTransaction", seconds=2.5)
        since = await s.latest_ledger()
        await s.pass_ledgers(12)
        assert slow.hits >= 2
        await put_instance(s.network, resolver, code, {"On": scval.to_bool(True)})
        s.oracle.changed([asked], await s.latest_ledger() + 1)
        await s.judged(ledgers=9, early_max=None)
    late = [
        window.ran.ledger - window.eligible
        for window in Timeline(s.oracle.history).windows()
        if window.ran is not None and window.task_id != asked and window.eligible > since
    ]
    assert max(late) <= 2, sorted(late)
