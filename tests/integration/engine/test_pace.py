"""What a fleet learns from the headers of ledgers that closed before it began."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from helpers.network import running
from sorofast.chain.ledger import LedgerClock
from sorofast.chain.rpc import RpcClient
from sorofast.clock import SystemClock
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.timing import TimingStore
from sorofast.engine.context import WorkerContext
from sorofast.engine.timing import learn_pace, share_timing
from sorofast.observability.outages import Outages
from sorofast.sandbox.client import AdminClient
from sorofast.settings import RedisConfig

JITTER = ("--ledger-close", "300ms", "--ledger-jitter", "60ms")


async def ledgers_closed(rpc: RpcClient, count: int) -> int:
    async with asyncio.timeout(60):
        while (health := await rpc.get_health()).latest_ledger < count:
            await asyncio.sleep(0.05)
    return health.latest_ledger


async def test_close_times_are_those_of_the_ledger_to_the_millisecond() -> None:
    async with running(*JITTER) as network, AdminClient(network.ready["admin_url"]) as admin:
        rpc = RpcClient(network.ready["rpc_url"])
        await ledgers_closed(rpc, 8)
        read = await rpc.close_times_ms(3, 5)
        closed = {ledger.sequence: ledger.close_time_ms for ledger in await admin.ledgers(3)}
        await rpc.close()
    assert read == [(ledger, closed[ledger]) for ledger in range(3, 8)]


async def test_the_first_follower_reads_the_pace_and_the_fleet_shares_it(tmp_path: Path) -> None:
    async with running(*JITTER) as network, EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        config = RedisConfig(url=url, prefix="pace")
        redis, rpc = await open_redis(config), RpcClient(network.ready["rpc_url"])
        latest = await ledgers_closed(rpc, 40)
        members = []
        for _ in range(2):
            clock = LedgerClock(0.3)
            clock.observe(latest, (await rpc.get_health()).close_time_s)
            # Neither function reads anything else of the context.
            context = SimpleNamespace(
                ledgers=clock,
                rpc=rpc,
                timing=TimingStore(redis, config.prefix),
                log=structlog.get_logger(),
                outages=Outages(structlog.get_logger(), SystemClock()),
            )
            members.append(cast("WorkerContext", context))
        await learn_pace(members[0])
        # Closes come up to 60 ms early, and what only one in 64 exceeds is near that.
        assert 0.03 <= members[0].ledgers.guard_s <= 0.07
        asked = rpc.transport.calls["getLedgers"]
        assert 0 < asked <= 16
        await learn_pace(members[1])
        assert rpc.transport.calls["getLedgers"] == asked, "it was read twice"
        known = await share_timing(members[1])
        assert known is not None
        assert known.headers
        assert members[1].ledgers.guard_s == pytest.approx(members[0].ledgers.guard_s, abs=1e-3)
        await redis.aclose()
        await rpc.close()
