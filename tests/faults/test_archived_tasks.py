"""Archived tasks: what has outlived its time comes back with the run that needs it, and every task runs as before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from stellar_sdk import SorobanServerAsync, TransactionEnvelope, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient

from helpers.contract_calls import seeded
from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario, Scene
from sorofast.audit.evidence import task_key
from sorofast.audit.seed import _data

TASKS = 12
HOUR_S = 3_600


async def entries_of(s: Scene, *task_ids: int) -> list[Any]:
    async with SorobanServerAsync(s.network.urls.rpc_url, AiohttpClient()) as rpc:
        keys = [task_key(s.network.registry.contract, task_id) for task_id in task_ids]
        return (await rpc.get_ledger_entries(keys)).entries


async def let_end(s: Scene, task_ids: list[int], ledger: int) -> None:
    """The tasks' entries are archived after that ledger."""
    changed = []
    for found in await entries_of(s, *task_ids):
        data = stellar_xdr.LedgerEntryData.from_xdr(found.xdr)
        modified = stellar_xdr.Uint32(found.last_modified_ledger)
        entry = stellar_xdr.LedgerEntry(modified, data, stellar_xdr.LedgerEntryExt(0))
        changed.append((entry.to_xdr_bytes(), ledger))
    assert len(changed) == len(task_ids)
    await s.admin.put_entries(changed)


def restored(s: Scene) -> dict[int, int]:
    """What was sent with entries to restore: how many each, by task."""
    found = {}
    for sent in s.log.entries:
        envelope = TransactionEnvelope.from_xdr(sent.envelope, s.network.urls.network_passphrase)
        data = envelope.transaction.soroban_data
        assert data is not None
        if data.ext.resource_ext is not None:
            found[sent.task_id] = len(data.ext.resource_ext.archived_soroban_entries)
    return found


def one_kind(task_id: int) -> dict[str, Any]:
    """All tasks make the same call, have been due since long ago, and are then due in an hour."""
    return {
        "target": scval.to_address(seeded("target 0")),
        "function": scval.to_symbol("increment"),
        "args": scval.to_vec([]),
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(HOUR_S),
        "last_run": scval.to_uint64(task_id),
    }


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_tasks_archived_before_they_fall_due_or_while_the_fleet_runs_are_run(
    scenario: Scenario,
) -> None:
    """Three are archived when the fleet reads them, and one, unless the machine is slow, only after that."""
    early, later = [2, 5, 9], 11
    async with scenario(tasks=TASKS, lead_s=20.0, start=False) as s:
        latest = await s.latest_ledger()
        await let_end(s, early, latest - 1)
        await let_end(s, [later], latest + 14)
        run = await s.start_run()
        await run.ready()
        await s.pass_until_due()
        s.oracle.calm(await s.latest_ledger())
        report = await s.judged(ledgers=18, bent=False)
        runs = Counter(run.task_id for run in report.runs)
        assert set(runs) == set(range(1, TASKS + 1)), runs
        # Restored once, they live on: each of these has run again without it.
        assert restored(s) == dict.fromkeys([*early, later], 1)
        assert min(runs[task_id] for task_id in [*early, later]) >= 2, runs
        assert all(entry.live_until_ledger for entry in await entries_of(s, *early, later))
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_what_restores_one_task_is_used_for_no_other_and_costs_none_its_template(
    scenario: Scenario,
) -> None:
    """The last falls due when the template is known, and unless the machine is slow its entry was live when it was
    read.
    """
    archived, later = [3, 7, 8], TASKS
    due_s = int(time.time()) + 30

    def reshape(task_id: int) -> dict[str, Any]:
        last_run = {"last_run": scval.to_uint64(due_s - HOUR_S)} if task_id == later else {}
        return one_kind(task_id) | last_run

    async with scenario(tasks=TASKS, reshape=reshape, workers=1, shards=1, start=False) as s:
        await s.pass_ledgers(2)
        latest = await s.latest_ledger()
        await let_end(s, archived, latest - 1)
        await let_end(s, [later], latest + 12)
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(10)
        runs = Counter(run.task_id for run in s.oracle.runs())
        assert runs == dict.fromkeys(range(1, TASKS), 1)
        await s.until(lambda: time.time() > due_s, "the last one falls due", timeout_s=60.0)
        await s.pass_ledgers(4)
        assert restored(s) == dict.fromkeys([*archived, later], 1)
        # One for all of them for what they have in common, and each of the archived by itself.
        asked = s.rpc.calls["simulateTransaction"]
        assert asked <= 1 + len(archived) + 1, f"{asked} simulations"
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_task_that_no_run_may_restore_says_why_and_runs_once_somebody_has_restored_it(
    scenario: Scenario,
) -> None:
    """One would cost more than the cap on fees; for another one's call more entries would have to be restored than a
    run does, and the node knows nothing of them.
    """
    dear, scattered, cap = 3, 5, 100_000
    settings = {"fees": {"max_fee_stroops": cap}}

    def reshape(task_id: int) -> dict[str, Any]:
        return one_kind(task_id) | ({"function": scval.to_symbol("count")} if task_id == scattered else {})

    async with scenario(tasks=6, reshape=reshape, workers=1, shards=1, settings=settings, start=False) as s:
        await s.pass_ledgers(2)
        await let_end(s, [dear, scattered], await s.latest_ledger() - 1)
        bent = s.rpc.rewrite("simulateTransaction", scatter(17), when=lambda call: calls(call, scattered))
        run = await s.start_run()
        await run.ready()
        await s.pass_ledgers(6)
        runs = Counter(run.task_id for run in s.oracle.runs())
        assert runs == dict.fromkeys({1, 2, 4, 6}, 1)
        said = await s.processes.logged("task_skipped", lambda event: event["task"] == dear)
        assert said["reason"] == "archived", said
        assert f"fees.max_fee_stroops is {cap}" in said["error"], said
        held = await s.processes.logged("restore_held_back")
        assert held["wanted_by"] == f"task {scattered}", held
        assert "Missing entry" in held["error"], held
        assert bent.hits
        assert restored(s) == {}

        # No event tells of it, as none does of an operation that restores.
        bent.lift()
        await let_end(s, [dear, scattered], await s.latest_ledger() + 10_000)
        s.oracle.changed([dear, scattered], await s.latest_ledger() + 1)
        await s.until(lambda: len(s.oracle.runs()) == 6, "all run", timeout_s=60.0)
        assert restored(s) == {}
        report = await s.judged(ledgers=4)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_an_entry_of_a_target_that_ends_again_and_again_does_not_make_its_calls_simulated_each_time(
    scenario: Scenario,
) -> None:
    """Runs on their way when it ends fail, but not because the call touches other entries than before."""

    def reshape(task_id: int) -> dict[str, Any]:
        bump = {"function": scval.to_symbol("bump"), "args": scval.to_vec([scval.to_uint64(3)])}
        return one_kind(task_id) | bump | {"interval": scval.to_uint64(4)}

    async with scenario(tasks=4, reshape=reshape, workers=1, shards=1) as s:
        await s.pass_ledgers(5)
        key = scval.to_vec([scval.to_symbol("Key"), scval.to_uint64(3)])
        for _ in range(2):
            latest = await s.latest_ledger()
            entry = _data(s.network.registry.targets[0], key, scval.to_uint64(41), latest)
            await s.admin.put_entries([(entry, latest - 1)])
            await s.pass_ledgers(8)
        report = await s.judged(ledgers=9)
        log = s.run.log_path.read_text()
    assert report.failed >= 2
    assert "entry archived" in log
    assert "footprint_varies" not in log


def calls(call: Call, task_id: int) -> bool:
    """Whether it asks about a run of that task."""
    envelope = stellar_xdr.TransactionEnvelope.from_xdr(call.params["transaction"])
    return scval.to_uint64(task_id).to_xdr_bytes() in envelope.to_xdr_bytes()


def scatter(entries: int) -> Callable[[Call, Any], Any]:
    """For a rule: so many entries would have to be restored. No contract here reads as many."""

    def rewrite(call: Call, answer: Any) -> Any:
        data = stellar_xdr.SorobanTransactionData.from_xdr(answer["result"]["transactionData"])
        footprint = data.resources.footprint
        footprint.read_write += [
            task_key(seeded("target 0"), number) for number in range(1_000, 1_000 + entries - 1)
        ]
        indices = [stellar_xdr.Uint32(len(footprint.read_write) - entries + at) for at in range(entries)]
        data.ext = stellar_xdr.SorobanTransactionDataExt(1, stellar_xdr.SorobanResourcesExtV0(indices))
        answer["result"]["transactionData"] = data.to_xdr()
        return answer

    return rewrite
