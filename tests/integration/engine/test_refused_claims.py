"""A claim that Redis refuses is a reason of its task: the shard works on, and the task runs all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.settling import PREFIX, Small, small_fleet
from sorofast.coordination.keys import ShardKeys
from sorofast.demo.fleet import SHARDS
from sorofast.executions.key import Execution


async def ran_after(small: Small, at_ms: int) -> set[int]:
    return {
        int(Execution.parse(entry.execution).id)
        for entry in await small.history()
        if entry.outcome == "executed" and entry.at_ms > at_ms
    }


async def newest_ms(small: Small) -> int:
    return max((entry.at_ms for entry in await small.history()), default=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bent", ["sequence", "unconfirmed"])
async def test_a_channel_that_redis_knows_otherwise_is_read_again_and_no_shard_is_dropped(
    tmp_path: Path, bent: str
) -> None:
    async with small_fleet(tmp_path, tasks=40) as small:
        await small.start()

        async def everything_ran() -> bool:
            return len(await ran_after(small, 0)) == 40

        await small.until(everything_ran, "every task has run")
        since = await newest_ms(small)
        for shard in range(SHARDS):
            key = ShardKeys.of(PREFIX, shard).channels
            # The next run takes the shard's first channel.
            if bent == "unconfirmed":
                await small.redis.hdel(key, str(shard))
            elif await small.redis.hexists(key, str(shard)):
                await small.redis.hset(key, str(shard), "1")

        async def refused() -> bool:
            return any(line["reason"] == bent for line in small.told("claim_refused"))

        await small.until(refused, "a claim is refused")

        async def all_again() -> bool:
            return len(await ran_after(small, since)) == 40

        await small.until(all_again, "every task runs again")

        async def back() -> bool:
            return bool(small.told("channels_back"))

        await small.until(back, "the channels are back")
        assert not small.told("shards_dropped"), small.told("shards_dropped")
        status = (await small.command("status", "-o", "json")).json
        assert status["quarantined"] == {}
