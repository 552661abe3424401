"""A server that answers, but not with what was asked: busy, loading, full, unable to save, without replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from helpers.coordination import BIG, envelope, until
from sorofast.coordination.client import check_server, open_redis
from sorofast.coordination.embedded import EmbeddedServer, find_binary
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardStore
from sorofast.errors import RedisUnreachable
from sorofast.settings import RedisConfig

from .test_fleet import META, entry


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[RedisConfig]:
    """A server of this test's own, since its settings are changed."""
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        yield RedisConfig(url=url, prefix="t")


class Held:
    """A fleet with one shard and the follower's role, and everything an engine asks of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.fleet = Fleet(redis, "t")
        self.store = ShardStore(redis, "t", META.shards)

    async def take(self) -> None:
        await self.fleet.check_meta(META)
        term, role = await self.store.acquire(1, "a"), await self.fleet.acquire_follower("a")
        assert term is not None
        assert role is not None
        self.term: Term = term
        self.role: Term = role
        state = await self.store.load(term)
        self.version = await self.store.set_confirmed(term, state.version, {3: BIG})

    def reads(self) -> list[Callable[[], Awaitable[object]]]:
        return [
            self.fleet.generation,
            self.fleet.members,
            self.fleet.follower_state,
            self.fleet.inflight,
            lambda: self.fleet.read_ledgers("0-0", 0, 1),
            lambda: self.fleet.last_ledgers(1),
            self.store.owners,
            lambda: self.store.load(self.term),
        ]

    def writes(self) -> list[Callable[[], Awaitable[object]]]:
        return [
            lambda: self.fleet.heartbeat("a", {}),
            lambda: self.store.renew([self.term]),
            lambda: self.fleet.renew_follower(self.role),
            lambda: self.store.acquire(2, "a"),
            lambda: self.fleet.append_ledger(self.role, entry(100, 0), "c"),
            lambda: self.store.commit(self.term, self.version, [], [envelope(1)]),
            lambda: self.store.store_snapshot(self.term, b"table", "100-0", self.version),
        ]


async def refused_in_one_line(calls: list[Callable[[], Awaitable[object]]], said: str) -> None:
    for call in calls:
        with pytest.raises(RedisUnreachable) as caught:
            await call()
        line = str(caught.value)
        # What fails in a transaction is told without its reason.
        assert f"Redis {said}" in line or "Redis takes no transactions now" in line
        assert "\n" not in line
        assert len(line) < 600


@contextlib.asynccontextmanager
async def busy_with(url: str, script: str) -> AsyncIterator[None]:
    """Another client's script that goes on until it is killed."""
    async with await open_redis(RedisConfig(url=url)) as other:
        await other.config_set("busy-reply-threshold", "20")
        running = asyncio.create_task(other.eval(script, 1, "somebody's"))

        async def is_busy() -> bool:
            try:
                await other.ping()
            except ResponseError as error:
                return str(error).startswith("BUSY")
            return False

        await until(is_busy)
        try:
            yield
        finally:
            await other.script_kill()
            with contextlib.suppress(ResponseError):
                await running


async def test_a_server_busy_with_somebodys_script_is_told_and_serves_again_after_it(
    own: RedisConfig,
) -> None:
    async with await open_redis(own) as redis:
        held = Held(redis)
        await held.take()
        async with busy_with(own.url, "while true do redis.call('GET', KEYS[1]) end"):
            await refused_in_one_line(
                held.reads() + held.writes(), "is busy with a script that runs too long"
            )
            with pytest.raises(RedisUnreachable, match="busy"):
                await open_redis(own)
            with pytest.raises(RedisUnreachable, match="busy"):
                await check_server(redis, own)
        assert (await held.fleet.heartbeat("a", {})).keys() == {"a"}
        assert (await held.store.commit(held.term, held.version, [], [envelope(1)])).accepted


async def test_a_full_server_takes_no_writes_is_still_read_and_nothing_is_half_written(
    own: RedisConfig,
) -> None:
    async with await open_redis(own) as redis:
        held = Held(redis)
        await held.take()
        before = await held.store.load(held.term)
        await redis.config_set("maxmemory", "1")
        refused = []
        for write in held.writes():
            try:
                await write()
            except RedisUnreachable as error:
                refused.append(str(error))
        for read in held.reads():
            await read()
        await redis.config_set("maxmemory", "0")
        assert all("is out of memory and takes no writes" in line for line in refused)
        assert len(refused) >= 4, refused
        after = await held.store.load(held.term)
        assert (after.wal, after.version) == (before.wal, before.version)
        assert (await held.store.commit(held.term, held.version, [], [envelope(1)])).accepted


async def test_a_server_without_the_replicas_it_wants_takes_no_writes(own: RedisConfig) -> None:
    async with await open_redis(own) as redis:
        held = Held(redis)
        await held.take()
        await redis.config_set("min-replicas-to-write", "1")
        await refused_in_one_line(held.writes(), "has too few replicas and takes no writes")
        await redis.config_set("min-replicas-to-write", "0")
        for write in held.writes():
            await write()


async def test_a_replica_that_lost_its_primary_is_told_and_so_is_one_that_only_reads(
    own: RedisConfig,
) -> None:
    async with await open_redis(own) as redis:
        held = Held(redis)
        await held.take()
        await redis.config_set("replica-serve-stale-data", "no")
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        await refused_in_one_line(held.reads(), "is a replica that has lost its primary")
        for write in held.writes():
            with pytest.raises(RedisUnreachable, match=r"is a replica (that|now)"):
                await write()
        await redis.config_set("replica-serve-stale-data", "yes")
        await refused_in_one_line(held.writes(), "is a replica now and takes no writes")
        await redis.execute_command("REPLICAOF", "NO", "ONE")
        for write in held.writes():
            await write()


async def test_a_server_that_cannot_save_takes_no_writes(own: RedisConfig, tmp_path: Path) -> None:
    async with await open_redis(own) as redis:
        held = Held(redis)
        await held.take()
        # A snapshot over a folder fails, and with save points set the server then refuses writes.
        await redis.config_set("save", "3600 1")
        (tmp_path / "redis" / "dump.rdb").mkdir()
        await redis.bgsave()

        async def failed() -> bool:
            return bool((await redis.info("persistence"))["rdb_last_bgsave_status"] == "err")

        await until(failed)
        await refused_in_one_line(held.writes(), "cannot save its data and takes no writes")
        await redis.config_set("stop-writes-on-bgsave-error", "no")
        for write in held.writes():
            await write()
        await redis.config_set("save", "")


async def test_a_server_that_loads_its_data_is_told(tmp_path: Path) -> None:
    config = RedisConfig(dir=tmp_path)
    async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
        await Fleet(redis, "t").check_meta(META)
        await redis.eval("for i = 1, 150000 do redis.call('SET', 'k' .. i, 'v') end", 0)
    # Loading is made slow by a setting that only a configuration file or the command line can give.
    home = tmp_path / "redis"
    socket = tmp_path / "slow.sock"
    with (tmp_path / "loading.log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            str(find_binary(config)), "--port", "0", "--unixsocket", str(socket), "--dir", str(home),
            "--appendonly", "yes", "--save", "", "--key-load-delay", "150",
            "--loading-process-events-interval-bytes", "1024",  # else it hears nobody before two megabytes
            stdout=output, stderr=output,
        )  # fmt: skip
    own = RedisConfig(url=f"unix://{socket}", prefix="t")
    try:
        await until(lambda: asyncio.sleep(0, socket.exists()))
        with pytest.raises(RedisUnreachable, match="Redis is loading its data"):
            await open_redis(own)
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(b"CONFIG SET key-load-delay 0\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await writer.wait_closed()

        async def is_loaded() -> bool:
            with contextlib.suppress(RedisUnreachable):
                async with await open_redis(own) as redis:
                    return await Fleet(redis, "t").generation() is not None
            return False

        await until(is_loaded)
    finally:
        server.kill()
        await server.wait()
