"""`status` reads a fleet's Redis without taking part in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import pytest_asyncio

from helpers.operator import sorofast
from sorofast import _core
from sorofast.cli.output import fields_of
from sorofast.coordination.client import open_redis
from sorofast.coordination.control import FleetControl
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.coordination.leases import RENEW_EVERY_S
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.records import WalRecord
from sorofast.settings import RedisConfig
from sorofast.transactions.causes import FleetCause, what_to_do
from sorofast.views.execution import read_executions

KEEPER = bytes(range(32))

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def redis(tmp_path: Path) -> AsyncIterator[RedisConfig]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        yield RedisConfig(url=url, prefix=f"test-{token_hex(4)}")


async def beat(fleet: Fleet, member: str, info: dict[str, Any]) -> None:
    """Keeps a member alive however long a command takes to look."""
    while True:
        await fleet.heartbeat(member, info)
        await asyncio.sleep(RENEW_EVERY_S)


async def test_status_before_the_first_run_says_that_there_is_no_fleet(
    redis: RedisConfig, tmp_path: Path
) -> None:
    config = write_config(tmp_path, redis)
    done = await sorofast("status", "-c", config, "-o", "json")
    assert done.code == 0, done.err
    assert (done.json["members"], done.json["ledger"], done.json["in_flight"]) == ({}, None, 0)
    table = await sorofast("status", "-c", config)
    assert "no fleet exists yet" in table.out


async def test_status_shows_members_shards_and_executions_in_flight(
    redis: RedisConfig, tmp_path: Path
) -> None:
    client = await open_redis(redis)
    try:
        fleet, store = Fleet(client, redis.prefix), ShardStore(client, redis.prefix, 16)
        await fleet.check_meta(FleetMeta(FLEET_SCHEMA, 16, "network", "contract", 64, "fingerprint"))
        beating = asyncio.create_task(beat(fleet, "host-1", {"pid": 1, "reasons": {"out_of_gas": 3}}))
        term = await store.acquire(7, "host-1")
        assert term is not None
        state = await store.load(term)
        version = await store.set_confirmed(term, state.version, {3: 41})
        task_id = next(task_id for task_id in range(1, 10_000) if _core.shard_of(task_id, 16) == 7)
        record = WalRecord(
            id=task_id,
            window=1_700_000_000,
            attempt=1,
            channel=3,
            sequence=42,
            max_ledger=105,
            max_time_s=1_700_000_060,
            hash=bytes(32),
            envelope="AAAA",
            claimed_ledger=100,
            epoch=term.epoch,
            template=1,
            due_s=1_700_000_020,
        )
        reply = await store.commit(term, version, [], [record])
        assert reply.accepted == {record.execution}
        config = write_config(tmp_path, redis)
        done = await sorofast("status", "-c", config, "-o", "json")
        assert done.code == 0, done.err
        table = await sorofast("status", "-c", config)
        records = await read_executions(redis, 16, task_id)
        nobody = await read_executions(redis, 16, task_id + 1)
    finally:
        beating.cancel()
        await asyncio.wait([beating])
        await client.aclose()
    assert (records.shard, records.retry, records.dead) == (7, (), ())
    assert isinstance(records.in_flight, tuple)
    assert [(one.channel, one.sequence) for one in records.in_flight] == [(3, "42")]
    assert nobody.in_flight == ()
    shown = done.json
    assert list(shown["members"]) == ["host-1"]
    assert shown["skipped"] == {"out_of_gas": 3}
    assert (shown["in_flight"], shown["retry"], shown["dead"]) == (1, 0, 0)
    assert (shown["shards"][7]["owner"], shown["shards"][7]["in_flight"]) == ("host-1", 1)
    assert shown["shards"][6]["owner"] is None
    assert "host-1" in table.out


async def test_a_paused_fleet_says_why_since_when_and_what_to_do(redis: RedisConfig, tmp_path: Path) -> None:
    config = write_config(tmp_path, redis)
    client = await open_redis(redis)
    try:
        fleet, control = Fleet(client, redis.prefix), FleetControl(client, redis.prefix)
        await fleet.check_meta(FleetMeta(FLEET_SCHEMA, 16, "network", "contract", 64, "fingerprint"))
        assert (await sorofast("status", "-c", config, "-o", "json")).json["paused"] is None
        text = what_to_do(FleetCause.FEE_BELOW_MARKET, "G", asked_stroops=17_300, bid_stroops=1_000)
        await control.begin(FleetCause.FEE_BELOW_MARKET, text, 100, 1_700_000_000, "host-1")
        for_fee = (await sorofast("status", "-c", config, "-o", "json")).json["paused"]
        term = await fleet.acquire_follower("host-1")
        assert term is not None
        await fleet.append_ledger(term, without_keeper(), None)
        shown = (await sorofast("status", "-c", config, "-o", "json")).json["paused"]
        table = await sorofast("status", "-c", config)
    finally:
        await client.aclose()
    assert for_fee == {
        "cause": "fee_below_market",
        "text": text,
        "since_ledger": 100,
        "since_s": 1_700_000_000,
    }
    assert (shown["cause"], shown["since_ledger"], shown["since_s"]) == (
        "keeper_missing",
        103,
        1_700_000_015,
    ), "which stops everything"
    assert f"{_core.account_from_bytes(KEEPER)} has no account: create and fund it" in shown["text"]
    assert "since ledger 103" in " ".join(table.out.split())


async def test_status_says_what_does_not_work_and_that_the_ledger_is_stale(
    redis: RedisConfig, tmp_path: Path
) -> None:
    config = write_config(tmp_path, redis)
    client = await open_redis(redis)
    refused = "127.0.0.1:8000 refused the connection (getHealth)"
    infos: dict[str, dict[str, Any]] = {
        "host-1": {
            "ledger_age_s": 95.0,
            "target_s": 5.0,
            "outages": [{"kind": "follow_failed", "cause": "rpc", "reason": refused, "for_s": 94.0}],
        },
        "host-2": {
            "ledger_age_s": 95.5,
            "target_s": 5.0,
            "outages": [{"kind": "send_unanswered", "cause": "rpc", "reason": "no answer", "for_s": 70.0}],
        },
        "of another version": {"outages": [7, {"kind": None}], "ledger_age_s": "old"},
    }
    beating: list[asyncio.Task[None]] = []
    try:
        fleet = Fleet(client, redis.prefix)
        await fleet.check_meta(FleetMeta(FLEET_SCHEMA, 16, "network", "contract", 64, "fingerprint"))
        term = await fleet.acquire_follower("host-1")
        assert term is not None
        await fleet.append_ledger(term, without_keeper(), None)
        beating = [asyncio.create_task(beat(fleet, name, info)) for name, info in infos.items()]
        await until_members(fleet, len(infos))
        shown = (await sorofast("status", "-c", config, "-o", "json")).json
        table = " ".join((await sorofast("status", "-c", config)).out.split())
    finally:
        for task in beating:
            task.cancel()
        await asyncio.gather(*beating, return_exceptions=True)
        await client.aclose()
    (outage,) = shown["outages"]
    assert (outage["name"], outage["reason"], outage["members"]) == ("rpc_unreachable", refused, 2)
    assert outage["for_s"] == 94.0
    assert (shown["ledger"]["age_s"], shown["ledger"]["stale"]) == (95.0, True)
    assert "outage: rpc_unreachable" in table
    assert refused in table
    assert "told by 2 members" in table
    assert "no ledger after 105 for 1m 35s" in table


async def until_members(fleet: Fleet, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await fleet.members()) < count:
            await asyncio.sleep(0.02)


def without_keeper() -> LedgerEntry:
    return LedgerEntry(
        generation="g", epoch=1, ledger=105, previous=0, events_through=105, close_time_s=1_700_000_025, rows=b"",
        snapshot_ledger=105, channels=[], successes=[], removed=[], node="n", keeper=KEEPER,
        keeper_gone_since=(103, 1_700_000_015),
    )  # fmt: skip


async def test_without_redis_a_tasks_executions_are_a_note() -> None:
    view = await read_executions(RedisConfig(url="redis://127.0.0.1:9/0"), 16, 3)
    assert view.shard == _core.shard_of(3, 16)
    assert "127.0.0.1:9" in str(view.note)
    assert set(fields_of(view)) == {"shard", "note"}


def write_config(folder: Path, redis: RedisConfig) -> str:
    """Settings that name the fleet's Redis and nothing else: more is not needed to look."""
    path = folder / "sorofast.toml"
    path.write_text(f'[redis]\nurl = "{redis.url}"\nprefix = "{redis.prefix}"\n', encoding="utf-8")
    return str(path)
