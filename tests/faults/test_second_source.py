"""A second trigger source beside the registry's tasks, for which nothing in the engine changes: plain calls of another
contract, proven by their success, counted on the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Address, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_server_async import SorobanServerAsync

from helpers.faults.scene import Scenario
from helpers.metronome import NAME, Metronome, loader
from sorofast import _core
from sorofast.coordination.client import open_redis
from sorofast.coordination.shard import ShardStore
from sorofast.engine.connect import SOURCES, connect
from sorofast.engine.context import WorkerContext
from sorofast.engine.report import Reporter
from sorofast.engine.worker import Worker
from sorofast.executions.outcome import Outcome
from sorofast.settings import EngineConfig, load_settings

KEYS, EVERY_S = range(1_000_001, 1_000_004), 4


async def count_of(rpc_url: str, contract: str, key: int) -> int:
    """How often the counter's key was bumped, as the ledger has it."""
    async with SorobanServerAsync(rpc_url) as rpc:
        stored = scval.to_vec([scval.to_symbol("Key"), scval.to_uint64(key)])
        entry = await rpc.get_contract_data(contract, stored)
        if entry is None:
            return 0
        data = stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).contract_data
        assert data is not None
        return scval.from_uint64(data.val)


async def test_a_second_source_runs_beside_the_tasks_and_lands_each_of_its_calls_once(
    scenario: Scenario,
) -> None:
    async with scenario(start=False, workers=1, shards=4, tasks=12) as s:
        await s.pass_ledgers(1)
        contract = s.network.registry.targets[0]
        config = load_settings(s.fleet.config_path).engine_config()
        first_s = s.first_due_s + 3
        raw = Address(contract).to_xdr_sc_address().contract_id
        assert raw is not None
        metronome = Metronome(_core.contract_to_bytes(contract), KEYS, first_s, EVERY_S)
        before = [await count_of(s.network.urls.rpc_url, contract, key) for key in KEYS]
        context = await connect(config, "test-worker", (*SOURCES, loader(metronome, 2)))
        reader, writer = os.pipe()
        worker = Worker(context, Reporter(writer))
        working = asyncio.create_task(worker.run())
        try:
            await s.pass_until_due()
            await s.pass_ledgers(14)
            until = await s.latest_ledger()
            worker.stop.set()
            await working
        finally:
            working.cancel()
            await asyncio.wait([working])
            await context.close()
            os.close(reader)
            os.close(writer)
        after = [await count_of(s.network.urls.rpc_url, contract, key) for key in KEYS]
        s.judgement = report = await s.oracle.check(until, early_max=0)
    ran = Counter(
        int(run.id) for (run, outcome), number in metronome.ends.items() if outcome is Outcome.EXECUTED
    )
    assert [ran[key] for key in KEYS] == [now - then for now, then in zip(after, before, strict=True)]
    assert min(ran.values()) >= 3, metronome.ends
    assert all(number == 1 for number in metronome.ends.values()), metronome.ends
    assert all(run.source == NAME for run, _ in metronome.ends)
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
async def test_what_an_absent_source_left_in_the_log_is_settled_and_its_channels_come_free(
    scenario: Scenario,
) -> None:
    async with scenario(start=False, workers=1, shards=4, tasks=12) as s:
        await s.pass_ledgers(1)
        contract = s.network.registry.targets[0]
        config = load_settings(s.fleet.config_path).engine_config()
        metronome = Metronome(_core.contract_to_bytes(contract), KEYS, s.first_due_s, 1)
        context = await connect(config, "test-worker", (*SOURCES, loader(metronome, 2)))
        reader, writer = os.pipe()
        worker = Worker(context, Reporter(writer))
        working = asyncio.create_task(worker.run())
        redis = await open_redis(config.redis)
        store = ShardStore(redis, config.redis.prefix, s.setup.shards)
        try:
            # It dies with envelopes of the second source in the log.
            await s.until(lambda: context.in_flight.total() >= len(KEYS), "the metronome is in flight")
            s.redis.cut()
            working.cancel()
            await asyncio.wait([working])
        finally:
            s.redis.mend()
            await context.close()
            os.close(reader)
            os.close(writer)
        run = await s.start_run(1)
        await run.ready()
        report = await s.judged(ledgers=8)
        left = sum(counts.in_flight for counts in await store.counts())
        await redis.aclose()
    assert left == 0
    assert report.executed >= s.setup.tasks, report.summary()
    assert [event["source"] for event in run.events if event["event"] == "source_absent"] == [NAME]
    assert not [event for event in run.events if event["event"] == "worker_died"]


@contextlib.asynccontextmanager
async def working(
    config: EngineConfig, member: str, metronome: Metronome
) -> AsyncIterator[tuple[WorkerContext, Worker]]:
    """A worker with a second source, in this process; it has drained when the block is left."""
    context = await connect(config, member, (*SOURCES, loader(metronome, 2)))
    reader, writer = os.pipe()
    worker = Worker(context, Reporter(writer))
    running = asyncio.create_task(worker.run())
    try:
        yield context, worker
        worker.stop.set()
        await running
    finally:
        running.cancel()
        await asyncio.wait([running])
        await context.close()
        os.close(reader)
        os.close(writer)


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_the_next_owner_of_a_shard_goes_on_where_each_source_has_stopped(scenario: Scenario) -> None:
    async with scenario(start=False, workers=1, shards=4, tasks=12) as s:
        await s.pass_ledgers(1)
        contract = s.network.registry.targets[0]
        config = load_settings(s.fleet.config_path).engine_config()
        raw = _core.contract_to_bytes(contract)
        first, second = (Metronome(raw, KEYS, s.first_due_s, EVERY_S) for _ in range(2))
        before = [await count_of(s.network.urls.rpc_url, contract, key) for key in KEYS]
        async with working(config, "first-worker", first):
            await s.pass_until_due()
            await s.pass_ledgers(10)
        async with working(config, "second-worker", second):
            await s.pass_ledgers(10)
            until = await s.latest_ledger()
        after = [await count_of(s.network.urls.rpc_url, contract, key) for key in KEYS]
        s.judgement = report = await s.oracle.check(until, early_max=0)
    ran = [
        run
        for metronome in (first, second)
        for run, outcome in metronome.ends.elements()
        if outcome is Outcome.EXECUTED
    ]
    assert len(ran) == len(set(ran)) == sum(now - then for now, then in zip(after, before, strict=True))
    assert min(int(run.window) for run in ran) == s.first_due_s
    assert all(outcome is Outcome.EXECUTED for _, outcome in second.ends), second.ends
    assert second.ends
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_a_source_that_takes_long_to_read_holds_up_no_run(scenario: Scenario) -> None:
    async with scenario(start=False, workers=1, shards=4, tasks=24) as s:
        await s.pass_ledgers(1)
        config = load_settings(s.fleet.config_path).engine_config()
        raw = _core.contract_to_bytes(s.network.registry.targets[0])
        slow = Metronome(raw, KEYS, s.first_due_s, EVERY_S, slow_s=2.5)
        async with working(config, "test-worker", slow):
            await s.pass_until_due()
            await s.pass_ledgers(4)
            begun = await s.latest_ledger()
            await s.pass_ledgers(12)
            windows = [run for run in s.oracle.runs() if run.ledger > begun + 1]
            judged = await s.oracle.look(await s.latest_ledger() - 1)
            late = judged.late[-len(windows) :]
            until = await s.latest_ledger()
        s.judgement = await s.oracle.check(until, early_max=0)
    assert len(windows) >= 12
    assert sum(late) / len(late) < 0.5, late
