"""Every script, carried out by the server but never answered, then asked again by the client itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis

from helpers.coordination import BIG, envelope
from sorofast.coordination.client import open_redis
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.requests import PURGE, ask
from sorofast.coordination.scripts import script_names, script_text
from sorofast.coordination.shard import ShardStore
from sorofast.executions.records import RetryRecord, Settle
from sorofast.settings import RedisConfig

from .test_fleet import META, entry


class LossyProxy:
    """Passes bytes on, except that an armed one closes the connection in place of the next reply."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.armed = False
        self.dropped = 0

    def drop_next(self) -> None:
        self.armed = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)

        async def requests() -> None:
            while data := await reader.read(65_536):
                to_server.write(data)
                await to_server.drain()

        sending = asyncio.create_task(requests())
        try:
            while data := await from_server.read(65_536):
                if self.armed:
                    self.armed = False
                    self.dropped += 1
                    break
                writer.write(data)
                await writer.drain()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending
            for one in (writer, to_server):
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()


@pytest_asyncio.fixture
async def lossy(redis_config: RedisConfig, tmp_path: Path) -> AsyncIterator[tuple[LossyProxy, RedisConfig]]:
    proxy = LossyProxy(redis_config.url.removeprefix("unix://"))
    path = tmp_path / "proxy.sock"
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(proxy.serve(reader, writer)))

    server = await asyncio.start_unix_server(accept, str(path))
    yield proxy, replace(redis_config, url=f"unix://{path}")
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()


async def test_no_script_does_its_work_twice(lossy: tuple[LossyProxy, RedisConfig]) -> None:
    proxy, config = lossy
    async with await open_redis(config) as redis:
        for name in script_names():  # else the reply that is lost would be that of a script not carried out
            await redis.script_load(script_text(name))
        store = ShardStore(redis, config.prefix, META.shards)
        await every_script(proxy, store, Fleet(redis, config.prefix))
        await every_request_script(proxy, redis, config.prefix, store)
    assert proxy.dropped == 13
    assert not proxy.armed


async def every_script(proxy: LossyProxy, store: ShardStore, fleet: Fleet) -> None:
    proxy.drop_next()
    generation = await fleet.check_meta(META)
    assert await fleet.generation() == generation

    proxy.drop_next()
    assert await fleet.raise_schema(META.schema) == META.schema

    proxy.drop_next()
    assert (await fleet.heartbeat("a", {})).keys() == {"a"}

    proxy.drop_next()
    term = await store.acquire(1, "a")
    assert term is not None
    assert term.epoch == 2, "the first grant's reply was lost, so the term that counts is the second"
    version = (await store.load(term)).version

    proxy.drop_next()
    version = await store.set_confirmed(term, version, {3: BIG, 4: BIG})

    claims = [envelope(1), envelope(2, channel=4), envelope(3, channel=4)]
    proxy.drop_next()
    reply = await store.commit(term, version, [], claims)
    assert reply.accepted == {claims[0].execution, claims[1].execution}
    assert (await store.load(term)).wal == claims[:2]

    settles = [Settle(record=record, outcome="executed", confirmed=BIG + 1) for record in claims[:2]]
    following = envelope(3, channel=4, sequence=BIG + 2)
    proxy.drop_next()
    reply = await store.commit(term, reply.version, settles, [following])
    assert reply.accepted == {following.execution}
    assert len(await store.history(1)) == 2
    assert (await store.load(term)).wal == [following]

    proxy.drop_next()
    assert len(await store.renew([term])) == 1

    role = await fleet.acquire_follower("a")
    assert role is not None
    proxy.drop_next()
    await fleet.append_ledger(role, entry(100, 0), "c")
    assert len(await fleet.last_ledgers(9)) == 1
    proxy.drop_next()
    await fleet.release_follower(role)
    assert await fleet.follower() is None

    proxy.drop_next()
    await store.release(term, b"table", "100-0")
    following_term = await store.acquire(1, "b")
    assert following_term is not None
    assert (await store.load(following_term)).snapshot == b"table"


async def every_request_script(proxy: LossyProxy, redis: Redis, prefix: str, store: ShardStore) -> None:
    term = await store.acquire(2, "a")
    assert term is not None
    proxy.drop_next()
    await ask(redis, prefix, 2, PURGE, ["1:1"])
    asked = await store.requests(term)
    assert {(request.action, *request.executions) for request in asked.values()} == {(PURGE, "1:1")}

    kept = RetryRecord(id=1, window=1, attempts=3, not_before_s=86_400, reason="trapped")
    proxy.drop_next()
    await store.answer(term, (await store.load(term)).version, asked, ["1:1"], [kept])
    assert (await store.load(term)).retry == [kept]
    # A request whose reply was lost may stand twice, which does what it does once.
    assert set(await store.requests(term)) <= set(asked)
