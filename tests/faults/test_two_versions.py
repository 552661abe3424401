"""Members of two versions in one fleet: nobody writes what another cannot read, and nobody dies of what it cannot."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from stellar_sdk import scval

from helpers import wide_target
from helpers.faults.scene import Scenario, Scene
from sorofast.coordination.client import open_redis
from sorofast.coordination.fleet import MEMBER_TTL_S
from sorofast.coordination.keys import ShardKeys
from sorofast.errors import FleetMismatch
from sorofast.executions.records import RECORD_SCHEMA, schema_of
from sorofast.settings import RedisConfig

OLDER = 1

# What a process of the older version does with records, done to a process of this one as it starts.
OLDER_VERSION = """
import sorofast.executions.records as records
records.RECORD_SCHEMA, records.RECORD_SCHEMAS = 1, (1,)
"""


def older_version(tmp_path: Path) -> dict[str, str]:
    """The environment in which a process of this code behaves as the older version."""
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "sitecustomize.py").write_text(OLDER_VERSION)
    places = [str(tmp_path / "older"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, places))}


async def schemas_in_the_log(redis: Redis, scene: Scene) -> set[int | None]:
    """The schemas of all records that are in the log at this moment."""
    found: set[int | None] = set()
    for shard in range(scene.setup.shards):
        raw = await redis.hvals(ShardKeys.of(RedisConfig().prefix, shard).wal)
        found.update(schema_of(record) for record in raw)
    return found


async def seen_for(redis: Redis, scene: Scene, ledgers: int) -> set[int | None]:
    """The schemas seen in the log while so many ledgers close."""
    until = await scene.latest_ledger() + ledgers
    found: set[int | None] = set()
    while await scene.latest_ledger() < until:
        found |= await schemas_in_the_log(redis, scene)
        await asyncio.sleep(0.02)
    return found


async def test_records_are_written_for_the_oldest_member_until_it_has_left_for_good(
    scenario: Scenario, tmp_path: Path
) -> None:
    as_older = older_version(tmp_path)
    async with scenario(start=False, workers=1, tasks=36, due_per_ledger=6) as s:
        redis = await open_redis(RedisConfig(url=s.valkey.url))
        try:
            older = await s.start_run(1, environment=as_older)
            await older.ready()
            newer = await s.start_run(1)
            await newer.ready()
            await s.pass_until_due()
            assert await seen_for(redis, s, 4) == {OLDER}
            assert await older.stop() == 0
            async with asyncio.timeout(3 * MEMBER_TTL_S):
                while RECORD_SCHEMA not in await schemas_in_the_log(redis, s):
                    await asyncio.sleep(0.02)
            # Who cannot read what is in the log must not own a part of it.
            again = await s.start_run(1, environment=as_older)
            assert await again.wait() == FleetMismatch.exit_code
            assert "writes records of schema 2" in again.failure
            assert "a newer one" in again.failure
            report = await s.judged(ledgers=8, bent=False)
        finally:
            await redis.aclose()
    assert report.executed >= s.setup.tasks, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()
    assert not [event for run in s.runs for event in run.events if event["event"] == "worker_died"]


@pytest.mark.verify
@pytest.mark.timeout(180)
async def test_what_an_older_member_could_not_read_waits_until_it_has_left(
    scenario: Scenario, tmp_path: Path
) -> None:
    """A restore of its own, without which one task cannot run."""
    as_older = older_version(tmp_path)
    wide, entries = 3, 20

    def reshape(task_id: int) -> dict[str, Any] | None:
        return wide_target.call(entries) | {"resolver": scval.to_void()} if task_id == wide else None

    async with scenario(start=False, workers=1, tasks=12, reshape=reshape) as s:
        await wide_target.deploy(s, [8] * entries)
        older = await s.start_run(1, environment=as_older)
        await older.ready()
        newer = await s.start_run(1)
        await newer.ready()
        await s.pass_until_due()
        await s.pass_ledgers(8)
        assert wide not in {run.task_id for run in s.oracle.runs()}
        assert await older.stop() == 0
        await s.until(
            lambda: wide in {run.task_id for run in s.oracle.runs()}, "it runs", timeout_s=6 * MEMBER_TTL_S
        )
        report = await s.judged(ledgers=8)
    assert report.failed == 0
    assert not [event for run in s.runs for event in run.events if event["event"] == "worker_died"]
