"""Commands that look at a fleet look at the right one, where its records are, or say in one line why they cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from helpers.operator import sorofast
from sorofast.coordination import history
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.coordination.keys import ShardKeys
from sorofast.errors import ConfigError
from sorofast.executions.records import HistoryRecord
from sorofast.settings import RedisConfig
from sorofast.views.execution import read_executions
from sorofast.views.run import follow_runs

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARDS = 16
FEWER, FEWER_SHARDS = {"SOROFAST_ENGINE__SHARDS": "8"}, 8
LOOKS = [
    ("runs",),
    ("runs", "--follow"),
    ("dead", "list"),
    ("dead", "retry", "--all"),
    ("tasks", "history", "3"),
]
GOOD = {"execution": "3:1", "attempt": "1", "outcome": "failed", "hash": "00", "detail": "{}"}


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(tmp_path: Path) -> AsyncIterator[RedisConfig]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        config = RedisConfig(url=url, prefix=f"test-{token_hex(4)}")
        client = await open_redis(config)
        try:
            meta = FleetMeta(FLEET_SCHEMA, SHARDS, "network", "contract", 64, "fingerprint")
            await Fleet(client, config.prefix).check_meta(meta)
        finally:
            await client.aclose()
        path = tmp_path / "sorofast.toml"
        path.write_text(f'[redis]\nurl = "{url}"\nprefix = "{config.prefix}"\n', encoding="utf-8")
        yield config


async def client_of(config: RedisConfig) -> Redis:
    return await open_redis(config)


@pytest.mark.parametrize("command", [("status",), *LOOKS], ids=" ".join)
async def test_a_fleet_with_other_shards_is_not_looked_at_in_the_wrong_places(
    fleet: RedisConfig, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = await sorofast(*command, "-c", str(tmp_path / "sorofast.toml"), **FEWER)
    assert (done.code, done.out) == (ConfigError.exit_code, "")
    (line,) = done.err.splitlines()
    assert f"has {SHARDS} shards" in line
    assert f"engine.shards is {FEWER_SHARDS}" in line


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
async def test_a_prefix_without_a_fleet_is_not_taken_for_a_fleet_where_nothing_failed(
    fleet: RedisConfig, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = await sorofast(*command, "-c", str(tmp_path / "sorofast.toml"), SOROFAST_REDIS__PREFIX="mistyped")
    assert (done.code, done.out) == (ConfigError.exit_code, "")
    (line,) = done.err.splitlines()
    assert "no fleet under redis.prefix 'mistyped'" in line


async def test_the_executions_of_a_fleet_with_other_shards_are_a_note_at_its_tasks(
    fleet: RedisConfig,
) -> None:
    view = await read_executions(fleet, FEWER_SHARDS, 3)
    assert f"has {SHARDS} shards" in str(view.note)


@pytest.mark.parametrize("broken", [{"what": "x"}, GOOD | {"detail": "{"}, GOOD | {"attempt": "first"}])
async def test_an_entry_of_a_history_that_does_not_read_is_one_clear_line(
    fleet: RedisConfig, tmp_path: Path, broken: dict[str, str]
) -> None:
    client = await client_of(fleet)
    try:
        await client.xadd(ShardKeys.of(fleet.prefix, 1).history, broken)  # type: ignore[arg-type]
    finally:
        await client.aclose()
    done = await sorofast("runs", "-c", str(tmp_path / "sorofast.toml"))
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert "internal error" not in line
    assert "of a history" in line


async def test_what_ends_while_the_newest_are_read_is_followed_once(
    fleet: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_of(fleet)
    read = history.recent

    async def ended(tx_hash: str) -> None:
        await client.xadd(ShardKeys.of(fleet.prefix, 1).history, GOOD | {"hash": tx_hash})  # type: ignore[arg-type]

    async def busy(*arguments: Any) -> list[HistoryRecord]:
        await ended("before")
        found = await read(*arguments)
        await ended("after")
        return found

    monkeypatch.setattr(history, "recent", busy)
    try:
        await ended("early")
        looks = follow_runs(fleet, SHARDS, 20)
        seen = [[run.transaction for run in await anext(looks)] for _ in range(2)]
        await ended("late")
        seen.append([run.transaction for run in await anext(looks)])
        await looks.aclose()
    finally:
        await client.aclose()
    assert seen == [["early", "before"], ["after"], ["late"]]
