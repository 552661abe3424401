"""What one worker learned of a call, and when the others may know it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from helpers.demo import fleet_of, network_of, options_of
from sorofast.coordination.client import open_redis
from sorofast.coordination.templates import TemplateStore
from sorofast.settings import RedisConfig

INTERVAL_S = 100


@pytest.mark.timeout(120)
async def test_what_was_learned_is_told_before_the_next_ledger_closes(tmp_path: Path) -> None:
    """The others read it with that ledger, and plan at once: told only then, it would come too late for some."""
    # Ledgers close when the test says so.
    options = options_of(tasks=8, intervals_s=(INTERVAL_S, INTERVAL_S), ledger_close="0s")
    async with network_of(options) as network, fleet_of(network, tmp_path / "fleet") as fleet:
        await network.seed_tasks(0)
        async with fleet.run(1) as run:
            await run.ready()
            closed = (await network.admin.advance(seconds=INTERVAL_S)).latest_ledger
            config = RedisConfig(url=fleet.redis_url)
            async with aclosing(await open_redis(config)) as redis, asyncio.timeout(30):
                store = TemplateStore(redis, config.prefix)
                while not (await store.changes(0))[1]:
                    await asyncio.sleep(0.05)
            stats = await network.admin.stats()
            assert stats.rpc_calls["simulateTransaction"] > 0
            assert stats.latest_ledger == closed
            async with network.hurry():
                assert await run.stop() == 0, run.failure
