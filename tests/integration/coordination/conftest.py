"""One real Valkey for the module's tests, each with a key prefix of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from secrets import token_hex

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardStore
from sorofast.settings import RedisConfig

SHARDS = 4


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server that every test of the session shares."""
    async with EmbeddedServer(RedisConfig(dir=tmp_path_factory.mktemp("redis"))) as url:
        yield url


@pytest.fixture
def redis_config(redis_url: str) -> RedisConfig:
    return RedisConfig(url=redis_url, prefix=f"test-{token_hex(6)}")


@pytest_asyncio.fixture
async def redis(redis_config: RedisConfig) -> AsyncIterator[Redis]:
    client = await open_redis(redis_config)
    yield client
    await client.aclose()


@pytest.fixture
def prefix(redis_config: RedisConfig) -> str:
    return redis_config.prefix


@pytest.fixture
def store(redis: Redis, prefix: str) -> ShardStore:
    return ShardStore(redis, prefix, SHARDS)


@pytest.fixture
def fleet(redis: Redis, prefix: str) -> Fleet:
    return Fleet(redis, prefix)


@pytest.fixture
def expire(redis: Redis, prefix: str) -> Callable[[Term], object]:
    """Makes a term run out now, as if its time had passed on Redis's clock."""

    async def run_out(term: Term) -> None:
        await redis.hset(ShardKeys.of(prefix, int(term.name[1:])).lease, "expires_ms", "1")

    return run_out
