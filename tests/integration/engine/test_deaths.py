"""Which deaths a task has to answer for, and which the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis
from structlog.testing import capture_logs

from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.suspects import DEATHS_MAX, SuspectStore
from sorofast.engine.deaths import EXPLAINED_MAX, EXPLAINED_WINDOW_S, Deaths
from sorofast.executions.key import TASKS
from sorofast.settings import RedisConfig
from sorofast.testing.clock import StubClock

SEVEN = (TASKS, 7)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        client = await open_redis(RedisConfig(url=url))
        yield client
        await client.aclose()


@pytest.fixture
def clock() -> StubClock:
    return StubClock()


@pytest.fixture
def deaths(redis: Redis, clock: StubClock) -> Deaths:
    return Deaths(SuspectStore(redis, "deaths"), clock, structlog.get_logger())


async def test_a_worker_that_had_nothing_in_hand_dies_for_reasons_of_its_own(deaths: Deaths) -> None:
    assert not await deaths.explain("a", -9, [])


async def test_the_third_death_is_told_in_one_line_with_task_cause_and_what_to_do(deaths: Deaths) -> None:
    with capture_logs() as lines:
        for number in range(DEATHS_MAX):
            assert await deaths.explain(f"member-{number}", -11, [SEVEN])
    (line,) = lines
    assert (line["event"], line["log_level"], line["task"]) == ("task_quarantined", "error", 7)
    assert line["reason"] == "3 workers died while they handled it, the last one by SIGSEGV"
    assert "24 hours" in line["fix"]


async def test_a_subject_of_another_source_is_told_by_its_name(deaths: Deaths) -> None:
    with capture_logs() as lines:
        for number in range(DEATHS_MAX):
            await deaths.explain(f"member-{number}", 1, [("jobs", "nightly")])
    (line,) = lines
    assert (line["source"], line["id"]) == ("jobs", "nightly")
    assert line["reason"].endswith("with exit code 1")


async def test_more_deaths_than_a_few_tasks_account_for_are_the_runs_own(
    deaths: Deaths, clock: StubClock
) -> None:
    """An engine that dies of whatever it has in hand must not go on until every task is quarantined."""
    explained = [
        await deaths.explain(f"member-{number}", -11, [(TASKS, number)])
        for number in range(EXPLAINED_MAX + 3)
    ]
    assert explained == [True] * (EXPLAINED_MAX - 1) + [False] * 4
    clock.advance(EXPLAINED_WINDOW_S + 1)
    assert await deaths.explain("later", -11, [SEVEN])


async def test_a_redis_that_does_not_answer_leaves_the_death_unexplained(
    redis: Redis, deaths: Deaths
) -> None:
    await redis.config_set("maxmemory", "1")
    with capture_logs() as lines:
        assert not await deaths.explain("a", -9, [SEVEN])
    assert [line["event"] for line in lines] == ["death_not_noted"]
