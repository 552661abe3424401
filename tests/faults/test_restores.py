"""Restores that are operations of their own: what a run cannot restore on its way is restored once, for all that need
it, counted from the ledger; and what stands in its way is told once and holds up nothing else.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from stellar_sdk import TransactionEnvelope, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.operation import RestoreFootprint

from helpers import wide_target
from helpers.contract_calls import seeded
from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario, Scene
from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.client import open_redis
from sorofast.coordination.shard import ShardStore
from sorofast.sandbox.answers import AppliedTransaction
from sorofast.settings import load_settings
from sorofast.views.restores import read_needs
from sorofast.views.run import read_runs
from sorofast.views.task import read_task

HOUR_S = 3_600
MANY = 20
"""More archived entries than one run restores."""
BOUND_LEDGERS = 14


def once(task_id: int, entries: int | None) -> dict[str, Any]:
    """Has been due since long ago, and is then due in an hour; with `entries` of the wide target, or a plain call."""
    plain = {
        "target": scval.to_address(seeded("target 0")),
        "function": scval.to_symbol("increment"),
        "args": scval.to_vec([]),
    }
    return (plain if entries is None else wide_target.call(entries)) | {
        "resolver": scval.to_void(),
        "interval": scval.to_uint64(HOUR_S),
        "last_run": scval.to_uint64(task_id),
    }


async def restores(s: Scene, since: int) -> list[AppliedTransaction]:
    """The operations that restore, as the ledger has them."""
    return [
        one
        async for page in s.admin.transactions(since)
        for one in page
        if one.operation == "restore_footprint"
    ]


def keys_of(s: Scene, transaction: AppliedTransaction) -> int:
    """How many entries it was to restore."""
    (envelope,) = {sent.envelope for sent in s.log.entries if sent.hash == transaction.hash}
    data = TransactionEnvelope.from_xdr(envelope, s.network.urls.network_passphrase).transaction.soroban_data
    assert data is not None
    return len(data.resources.footprint.read_write)


def is_restore(call: Call) -> bool:
    """Whether it asks about an operation that restores."""
    envelope = TransactionEnvelope.from_xdr(call.params["transaction"], "any")
    return isinstance(envelope.transaction.operations[0], RestoreFootprint)


def starved(call: Call, answer: Any) -> Any:
    """For a rule: as if it read and wrote a byte, so that it is taken into a ledger and fails there."""
    data = stellar_xdr.SorobanTransactionData.from_xdr(answer["result"]["transactionData"])
    data.resources.disk_read_bytes = data.resources.write_bytes = stellar_xdr.Uint32(1)
    answer["result"]["transactionData"] = data.to_xdr()
    return answer


async def started(s: Scene) -> None:
    """A fleet at work. What fell due before counts from now on."""
    run = await s.start_run()
    await run.ready()
    s.oracle.calm(await s.latest_ledger())


async def in_flight(s: Scene) -> int:
    """Envelopes that the log still holds."""
    config = load_settings(s.fleet.config_path).engine_config()
    redis = await open_redis(config.redis)
    try:
        counts = await ShardStore(redis, config.redis.prefix, s.setup.shards).counts()
        return sum(one.in_flight for one in counts)
    finally:
        await redis.aclose()


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_task_that_needs_more_restored_than_its_run_can_is_run_after_an_operation_restored_it(
    scenario: Scenario,
) -> None:
    wide = 3

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY if task_id == wide else None)

    async with scenario(tasks=5, reshape=reshape, workers=1, shards=2, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        await started(s)
        report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS, bent=False)
        (restore,) = await restores(s, since)
        assert restore.status == "SUCCESS"
        assert keys_of(s, restore) == MANY
        runs = {run.task_id: run.ledger for run in report.runs}
        assert set(runs) == {1, 2, 3, 4, 5}
        assert max(runs[task] for task in runs if task != wide) < runs[wide]
        assert restore.ledger < runs[wide]
        # What was restored, for which task, and what it cost.
        (said,) = s.processes.events("restored")
        assert (said["what"], said["fee_stroops"]) == (
            f"{MANY} archived entries for task {wide}",
            restore.fee_charged,
        )
        config = load_settings(s.fleet.config_path).engine_config()
        (told,) = [one for one in await read_runs(config.redis, 2, 100) if one.source == "restores"]
        assert told.outcome == "executed"
        assert told.reason == f"restored: {MANY} archived entries for task {wide}"
        assert told.fee_stroops == restore.fee_charged
        assert await in_flight(s) == 0
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_twenty_tasks_that_need_the_same_restored_have_it_restored_once(scenario: Scenario) -> None:
    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY)

    async with scenario(tasks=20, reshape=reshape, workers=2, shards=4, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        await started(s)
        report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS, bent=False)
        (restore,) = await restores(s, since)
        assert restore.status == "SUCCESS"
        assert Counter(run.task_id for run in report.runs) == dict.fromkeys(range(1, 21), 1)
        assert len(s.processes.events("restore_wanted")) <= 2, "each worker noticed it by itself at most"
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", ["build.done", "claim.committed", "send.before", "send.answered"])
async def test_a_worker_killed_over_a_restore_leaves_it_to_the_next_owner(
    scenario: Scenario, place: str
) -> None:
    """Nothing can run before it, so it is the first that is built, claimed and sent."""

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY)

    async with scenario(
        tasks=6, reshape=reshape, workers=2, shards=4, start=False, failpoints=f"{place}=kill@1*1"
    ) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        await s.start_run()
        await s.struck(place, timeout_s=60)
        await s.until(lambda: len(s.oracle.runs()) == 6, "all run", timeout_s=90.0)
        report = await s.judged(ledgers=6, bound_ledgers=40)
        landed = await restores(s, since)
        assert [one.status for one in landed] == ["SUCCESS"]
        assert s.strikes(place) == 1
        assert await in_flight(s) == 0
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sizes", [[8] * 230, [40_000] * 4], ids=["entries", "bytes"])
async def test_what_is_too_much_for_one_transaction_is_restored_by_several(
    scenario: Scenario, sizes: list[int]
) -> None:
    """230 entries are more than a transaction may write, and four of 40,000 bytes are more bytes."""
    number = len(sizes)

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, number)

    settings = {"fees": {"max_fee_stroops": 400_000_000}}
    async with scenario(tasks=4, reshape=reshape, workers=1, shards=2, settings=settings, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, sizes)
        await started(s)
        report = await s.judged(ledgers=16, bound_ledgers=20, bent=False)
        landed = await restores(s, since)
        assert [one.status for one in landed] == ["SUCCESS", "SUCCESS"]
        assert sum(keys_of(s, one) for one in landed) == number
        assert Counter(run.task_id for run in report.runs) == dict.fromkeys(range(1, 5), 1)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_restore_that_costs_more_than_the_cap_is_not_sent_says_so_once_and_holds_up_no_other_call(
    scenario: Scenario,
) -> None:
    cap, tasks = 1_000_000, 12
    wide = set(range(1, 9))

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY if task_id in wide else None)

    settings = {"fees": {"max_fee_stroops": cap}}
    async with scenario(
        tasks=tasks, reshape=reshape, workers=2, shards=4, settings=settings, start=False
    ) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        await started(s)
        said = await s.processes.logged("restore_held_back")
        assert f"restoring {MANY} archived entries for task" in said["error"]
        assert f"fees.max_fee_stroops is {cap}" in said["error"]
        held = await s.latest_ledger()
        await s.pass_ledgers(7)
        assert {run.task_id for run in s.oracle.runs()} == set(range(1, tasks + 1)) - wide
        assert await restores(s, since) == []
        # Looked at again after 2 ledgers and then after 4, and one line each time, whatever number waits for it.
        again = len(s.processes.events("restore_held_back"))
        assert again <= 1 + 2 * (await s.latest_ledger() - held) // 6, again
        assert not [one for one in s.processes.events("task_skipped") if one.get("task") in wide]
        config = load_settings(s.fleet.config_path).engine_config()
        told = await explained(s, config, min(wide))
        assert "20 archived entries" in told, told
        assert f"fees.max_fee_stroops is {cap}" in told, told

        # Somebody restores them by hand.
        await wide_target.deploy(s, [8] * MANY, live_until=await s.latest_ledger() + 10_000)
        s.oracle.changed(wide, await s.latest_ledger() + 1)
        await s.until(lambda: len(s.oracle.runs()) == tasks, "all run", timeout_s=60.0)
        assert await restores(s, since) == []
        report = await s.judged(ledgers=4, bound_ledgers=BOUND_LEDGERS)
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_a_restore_that_fails_is_told_backs_off_and_is_done_again(scenario: Scenario) -> None:
    wide, tasks = {1, 2, 3}, 6

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY if task_id in wide else None)

    async with scenario(tasks=tasks, reshape=reshape, workers=1, shards=2, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        bent = s.rpc.rewrite("simulateTransaction", starved, when=is_restore, count=1)
        await started(s)
        await bent.struck()
        failed = await s.processes.logged("run_failed", lambda event: event.get("source") == "restores")
        assert "restoring the entries takes more resources" in failed["reason"]
        await s.until(lambda: len(s.oracle.runs()) == tasks, "all run", timeout_s=60.0)
        landed = await restores(s, since)
        assert [one.status for one in landed] == ["FAILED", "SUCCESS"]
        runs = {run.task_id: run.ledger for run in s.oracle.runs()}
        assert max(runs[task] for task in runs if task not in wide) < landed[1].ledger
        report = await s.judged(ledgers=4, bound_ledgers=24)
        assert await in_flight(s) == 0
    assert report.failed == 0


@pytest.mark.verify
@pytest.mark.timeout(300)
async def test_a_restore_that_fails_again_and_again_is_paid_for_three_times_a_day_and_no_more(
    scenario: Scenario,
) -> None:
    wide, tasks = {1, 2, 3}, 6

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, MANY if task_id in wide else None)

    async with scenario(tasks=tasks, reshape=reshape, workers=2, shards=4, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8] * MANY)
        bent = s.rpc.rewrite("simulateTransaction", starved, when=is_restore)
        await started(s)
        await bent.struck(3, timeout_s=90.0)
        await s.processes.logged("run_failed", lambda event: event.get("source") == "restores", times=3)
        await s.pass_ledgers(12)
        assert [one.status for one in await restores(s, since)] == ["FAILED"] * 3
        assert {run.task_id for run in s.oracle.runs()} == set(range(1, tasks + 1)) - wide
        await wide_target.deploy(s, [8] * MANY, live_until=await s.latest_ledger() + 10_000)
        s.oracle.changed(wide, await s.latest_ledger() + 1)
        # What rests for the day is looked at every 64 ledgers all the same: somebody else may have done it.
        await s.until(lambda: len(s.oracle.runs()) == tasks, "all run", timeout_s=100.0)
        assert len(await restores(s, since)) == 3
        report = await s.judged(ledgers=4, bound_ledgers=100)
    assert report.failed == 0


async def explained(s: Scene, config: Any, task_id: int) -> str:
    """What `tasks explain` says that the task waits for."""
    needs = await read_needs(config.redis, s.setup.shards)
    rpc = RpcClient(s.network.urls.rpc_url)
    try:
        keeper = _core.account_to_bytes(s.network.keeper.public_key)
        passphrase = s.network.urls.network_passphrase
        detail, _ = await read_task(rpc, passphrase, config.contract.id, keeper, task_id, needs)
        return detail.explanation
    finally:
        await rpc.close()


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_what_a_node_wants_restored_first_is_restored_first(scenario: Scenario) -> None:
    """Servers of before protocol 23 answer with a preamble where today's have the run restore on its way."""
    wide = 3

    def reshape(task_id: int) -> dict[str, Any]:
        return once(task_id, 2 if task_id == wide else None)

    async with scenario(tasks=5, reshape=reshape, workers=1, shards=2, start=False) as s:
        await s.pass_ledgers(2)
        since = await s.latest_ledger()
        await wide_target.deploy(s, [8, 8])
        bent = s.rpc.rewrite("simulateTransaction", with_preamble)
        await started(s)
        await s.until(lambda: len(s.oracle.runs()) == 5, "all run", timeout_s=60.0)
        assert bent.hits
        (restore,) = await restores(s, since)
        assert restore.status == "SUCCESS"
        assert keys_of(s, restore) == 2
        report = await s.judged(ledgers=4, bound_ledgers=BOUND_LEDGERS)
    assert report.failed == 0


def with_preamble(call: Call, answer: Any) -> Any:
    """For a rule: what a run would restore is restored before it."""
    result = answer["result"]
    if "transactionData" not in result:
        return answer
    data = stellar_xdr.SorobanTransactionData.from_xdr(result["transactionData"])
    if data.ext.resource_ext is None:
        return answer
    footprint = data.resources.footprint
    keys = [footprint.read_write[index.uint32] for index in data.ext.resource_ext.archived_soroban_entries]
    first = stellar_xdr.SorobanTransactionData(
        ext=stellar_xdr.SorobanTransactionDataExt(0),
        resources=stellar_xdr.SorobanResources(
            footprint=stellar_xdr.LedgerFootprint([], keys),
            instructions=stellar_xdr.Uint32(0),
            disk_read_bytes=data.resources.disk_read_bytes,
            write_bytes=data.resources.write_bytes,
        ),
        resource_fee=data.resource_fee,
    )
    data.ext = stellar_xdr.SorobanTransactionDataExt(0)
    result["transactionData"] = data.to_xdr()
    result["restorePreamble"] = {
        "transactionData": first.to_xdr(),
        "minResourceFee": result["minResourceFee"],
    }
    return answer
