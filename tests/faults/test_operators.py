"""What operators ask of a fleet in trouble is done once, is done wholly, and outlives whoever was asked."""

from __future__ import annotations

from collections import Counter

import pytest

from helpers.faults.scene import Scenario, Scene
from helpers.operator import Done, sorofast
from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.scripts import script_text
from sorofast.executions.records import RetryRecord, encode_record
from sorofast.registry.store import Registry

DEAD = (3, 4, 5)
PREFIX = "sorofast"
TAKEOVER_LEDGERS = 16
"""Ten seconds from the kill until others work again, and what a busy machine adds."""
ASKED_TIMES = 4
"""The client asks again three times by itself."""


async def leave_dead_letters(s: Scene) -> None:
    """What an earlier run of the fleet left: some tasks failed three times, long ago."""
    rpc = RpcClient(s.network.urls.rpc_url)
    try:
        registry = Registry(rpc, s.network.registry.contract, bytes(32))
        windows = {task.row.task_id: task.row.last_run_s async for task in registry.tasks(list(DEAD))}
    finally:
        await rpc.close()
    async with s.valkey.client() as redis:
        for task_id, window in windows.items():
            letter = RetryRecord(
                id=task_id, window=window, attempts=3, not_before_s=0, reason="trapped", failures=3, day=1
            )
            key = ShardKeys.of(PREFIX, _core.shard_of(task_id, s.setup.shards)).dead
            await redis.hset(key, letter.execution, encode_record(letter))
        # Else the reply that is lost would be that of a server which does not know the script.
        await redis.script_load(script_text("answer_requests-4"))
    assert sorted(windows) == sorted(DEAD)


async def command(s: Scene, *arguments: str) -> Done:
    return await sorofast(*arguments, "-c", str(s.fleet.config_path), "-o", "json")


async def started_with_dead_letters(s: Scene) -> None:
    await leave_dead_letters(s)
    run = await s.start_run()
    await run.ready()
    await s.pass_until_due()
    await s.pass_ledgers(2)


@pytest.mark.verify
async def test_a_retry_of_dead_letters_whose_replies_are_all_lost_is_carried_out(scenario: Scenario) -> None:
    async with scenario(start=False) as s:
        await started_with_dead_letters(s)
        lost = s.redis.drop_reply("answer_requests", count=ASKED_TIMES)
        assert (await command(s, "dead", "retry", str(DEAD[0]))).code == 0
        await lost.struck(ASKED_TIMES)
        assert (await command(s, "dead", "retry", "--all")).code == 0
        report = await s.judged(ledgers=10)
        ran = {run.task_id for run in report.runs}
        told = (await command(s, "dead", "list")).json
    assert set(DEAD) <= ran
    assert told["count"] == 0


@pytest.mark.verify
async def test_a_retry_of_dead_letters_outlives_the_worker_that_was_asked(scenario: Scenario) -> None:
    async with scenario(start=False) as s:
        await started_with_dead_letters(s)
        unheard = s.redis.black_hole("answer_requests", count=3)
        assert (await command(s, "dead", "retry", "--all")).code == 0
        await unheard.struck(1)
        s.processes.kill(*s.processes.workers())
        report = await s.judged(ledgers=18, bound_ledgers=TAKEOVER_LEDGERS)
        ran = {run.task_id for run in report.runs}
    assert set(DEAD) <= ran


@pytest.mark.verify
async def test_requests_that_cannot_be_read_are_told_once_and_hold_up_no_run(scenario: Scenario) -> None:
    async with scenario() as s:
        keys = [ShardKeys.of(PREFIX, shard).requests for shard in range(s.setup.shards)]
        async with s.valkey.client() as redis:
            for key in keys:
                await redis.set(key, "what other software left")
            await s.pass_ledgers(6)
            said = Counter(event["event"] for event in s.run.events)
            await redis.delete(*keys)
        report = await s.judged(ledgers=8)
        log = s.run.log_path.read_text(encoding="utf-8")
    assert 1 <= said["tend_failed"] <= s.setup.workers, said
    assert "never retrieved" not in log
    assert report.executed >= s.setup.tasks, report.summary()
