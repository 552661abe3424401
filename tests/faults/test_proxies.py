"""The proxies: what passes untouched, and what each rule does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from helpers.faults import resp
from helpers.faults.rpc_proxy import RpcProxy, merge_patch
from helpers.faults.sent_log import SentLog
from helpers.faults.tcp_proxy import TcpProxy
from helpers.faults.valkey import Valkey

GONE = (aiohttp.ClientError, TimeoutError)


class Node:
    """A server that answers every method with how often it was asked for it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.json()
        self.asked.append(body["method"])
        result = {"count": self.asked.count(body["method"]), "node": {"name": "first", "old": True}}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(node.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


class Asked:
    """A client of the proxy."""

    def __init__(self, proxy: RpcProxy, session: aiohttp.ClientSession, node: Node, log: SentLog) -> None:
        self.proxy, self.node, self.log = proxy, node, log
        self._session = session

    async def call(self, method: str, timeout_s: float = 2.0, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 9, "method": method, "params": params}
        async with self._session.post(
            self.proxy.url, json=body, timeout=aiohttp.ClientTimeout(total=timeout_s)
        ) as answer:
            return await answer.json()

    async def count(self, method: str) -> int:
        count: int = (await self.call(method))["result"]["count"]
        return count


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    node, log = Node(), SentLog(tmp_path / "sent.jsonl", "a network")

    async def latest_ledger() -> int:
        return 41

    async with (
        served(node) as url,
        served(Node()) as other,
        RpcProxy(url, log, latest_ledger, others={"replica-1": other}) as proxy,
        aiohttp.ClientSession() as session,
    ):
        yield Asked(proxy, session, node, log)
        assert proxy.failures == []
    log.close()


async def test_without_rules_calls_pass_and_are_counted(asked: Asked) -> None:
    assert [await asked.count("getHealth"), await asked.count("getHealth")] == [1, 2]
    assert dict(asked.proxy.calls) == {"getHealth": 2}


async def test_a_dropped_request_is_never_heard_of_and_a_dropped_reply_is(asked: Asked) -> None:
    request = asked.proxy.drop_request("a", count=1)
    reply = asked.proxy.drop_reply("b", count=1)
    for method in ("a", "b"):
        with pytest.raises(GONE):
            await asked.call(method)
    assert [await asked.count("a"), await asked.count("b")] == [1, 2]
    assert (request.hits, reply.hits) == (1, 1)


async def test_a_rule_skips_counts_and_chooses(asked: Asked) -> None:
    rule = asked.proxy.status("a", code=503, skip=1, count=2, when=lambda call: call.params.get("hit", True))
    assert await asked.count("a") == 1
    for _ in range(2):
        with pytest.raises(aiohttp.ContentTypeError):
            await asked.call("a")
        assert (await asked.call("a", hit=False))["result"]
    assert await asked.count("a") == 4
    assert rule.hits == 2
    await rule.struck(2, timeout_s=0.1)
    with pytest.raises(AssertionError, match="struck 2 times in 0 s, not 3"):
        await rule.struck(3, timeout_s=0.1)


async def test_a_black_hole_carries_out_or_not_and_never_answers(asked: Asked) -> None:
    asked.proxy.black_hole("a", count=1)
    asked.proxy.black_hole("b", count=1, carried_out=False)
    for method in ("a", "b"):
        with pytest.raises(TimeoutError):
            await asked.call(method, timeout_s=0.3)
    assert [await asked.count("a"), await asked.count("b")] == [2, 1]


async def test_answers_are_late_repeated_truncated_or_others(asked: Asked) -> None:
    asked.proxy.delay("slow", seconds=0.3, count=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asked.call("slow")
    assert loop.time() - began >= 0.3
    asked.proxy.repeat("twice", count=1)
    assert await asked.count("twice") == 2
    asked.proxy.truncate("short", at=10, count=1)
    with pytest.raises(GONE):
        await asked.call("short")
    asked.proxy.patch("a", {"result": {"node": {"old": None, "new": 1}}}, count=1)
    assert (await asked.call("a"))["result"] == {"count": 1, "node": {"name": "first", "new": 1}}
    asked.proxy.rewrite("a", lambda call, answer: {**answer, "was": call.method}, count=1)
    assert (await asked.call("a"))["was"] == "a"
    asked.proxy.answer("a", error={"code": -32000, "message": "queue full"}, count=1)
    assert (await asked.call("a")) == {
        "jsonrpc": "2.0",
        "id": 9,
        "error": {"code": -32000, "message": "queue full"},
    }
    asked.proxy.lag("replica-1", "a", count=1)
    assert await asked.count("a") == 1  # another server's count
    assert await asked.count("a") == 3


async def test_a_cut_lets_nothing_pass_until_it_is_mended(asked: Asked) -> None:
    assert await asked.count("a") == 1
    asked.proxy.cut()
    with pytest.raises(GONE):
        await asked.call("a")
    asked.proxy.mend()
    assert await asked.count("a") == 2
    asked.proxy.cut(hold=True)
    with pytest.raises(TimeoutError):
        await asked.call("a", timeout_s=0.3)
    asked.proxy.mend()
    assert await asked.count("a") == 3


async def test_what_is_sent_stands_in_the_log_with_what_became_of_it(asked: Asked) -> None:
    asked.proxy.drop_request("sendTransaction", count=1)
    asked.proxy.drop_reply("sendTransaction", count=1)
    for _ in range(2):
        with pytest.raises(GONE):
            await asked.call("sendTransaction", transaction="AAAA")
    kept = [(entry.envelope, entry.latest_ledger, entry.forwarded) for entry in asked.log.entries]
    assert kept == [("AAAA", 41, False), ("AAAA", 41, True)]
    assert len(asked.log.path.read_text(encoding="utf-8").splitlines()) == 3  # and one answer


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_rfc_shows(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


# Redis


@asynccontextmanager
async def valkey(tmp_path: Path) -> AsyncIterator[tuple[Valkey, Redis]]:
    async with Valkey(tmp_path) as server:
        client = Redis.from_url(server.url, protocol=2, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        try:
            yield server, client
        finally:
            await client.aclose()
        assert server.proxy.failures == []


async def test_commands_are_dropped_repeated_refused_and_rewritten(tmp_path: Path) -> None:
    async with valkey(tmp_path) as (server, client):
        proxy = server.proxy
        lost = proxy.drop_reply("INCRBY", count=1)
        with pytest.raises(NoConnection):
            await client.incr("n")
        assert lost.hits == 1
        assert await client.get("n") == b"1"
        proxy.drop_request("INCRBY", count=1)
        with pytest.raises(NoConnection):
            await client.incr("n")
        proxy.repeat("INCRBY", count=1)
        assert await client.incr("n") == 3
        proxy.refuse("INCRBY", "BUSY a script runs", count=1)
        with pytest.raises(ResponseError, match="BUSY"):
            await client.incr("n")
        proxy.rewrite("INCRBY", lambda _, reply: reply + 100, count=1)
        assert await client.incr("n") == 104
        proxy.truncate("GET", at=2, count=1)
        with pytest.raises(NoConnection):
            await client.get("n")
        proxy.black_hole("GET", count=1)
        with pytest.raises(NoAnswer):
            await client.get("n")
        assert await client.get("n") == b"4"


async def test_answers_of_the_proxys_own_keep_their_place_in_a_pipeline(tmp_path: Path) -> None:
    async with valkey(tmp_path) as (server, client):
        server.proxy.refuse("GET", "OOM no room", count=1, skip=1)
        async with client.pipeline(transaction=False) as pipe:
            pipe.set("a", 1)
            for _ in range(3):
                pipe.get("a")
            replies = await pipe.execute(raise_on_error=False)
    assert [replies[0], replies[1], replies[3]] == [True, b"1", b"1"]
    assert "no room" in str(replies[2])


async def test_a_snapshot_brings_back_what_was(tmp_path: Path) -> None:
    async with valkey(tmp_path) as (server, client):
        await client.set("a", 1)
        before = await server.snapshot("before")
        await client.set("a", 2)
        await server.restart()
        assert await client.get("a") == b"2"
        await server.rollback(before)
        assert await client.get("a") == b"1"
        await server.flushall()
        assert await client.get("a") is None
        async with server.paused():
            with pytest.raises(NoAnswer):
                await client.get("a")
        assert await client.get("a") is None


async def test_a_redis_connection_that_is_cut_comes_back_when_it_is_mended(tmp_path: Path) -> None:
    async with valkey(tmp_path) as (server, client):
        server.proxy.cut()
        with pytest.raises(NoConnection):
            await client.ping()
        server.proxy.mend()
        assert await client.ping()
        server.proxy.cut(hold=True)
        with pytest.raises(NoAnswer):
            await client.ping()
        server.proxy.mend()
        assert await client.ping()


@pytest.mark.parametrize(
    "value", [None, 7, b"", b"a\r\nb", [], [b"x", [1, None, resp.Error("ERR no")], resp.Status("OK")]]
)
def test_a_value_of_the_redis_protocol_survives_its_encoding(value: Any) -> None:
    raw = resp.encode(value)
    assert resp.decode(raw) == value
    assert resp.end_of(raw + b"+more") == len(raw)
    assert [resp.end_of(raw[:at]) for at in range(len(raw))] == [None] * len(raw)


async def test_plain_bytes_pass_break_vanish_and_repeat() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, TcpProxy(f"127.0.0.1:{port}", "plain") as proxy:

        async def said(text: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(text)
            try:
                return await asyncio.wait_for(reader.read(100), 0.5)
            finally:
                writer.close()

        assert await said(b"hello") == b"hello"
        rule = proxy.black_hole(count=1)
        with pytest.raises(TimeoutError):
            await said(b"hello")
        assert rule.hits == 1
        proxy.truncate(2, count=1)
        assert await said(b"hello") == b"he"
        proxy.repeat(count=1)
        assert await said(b"hello") == b"hellohello"
        proxy.drop(count=1)
        with pytest.raises((ConnectionError, AssertionError)):
            assert await said(b"hello") == b"hello"
