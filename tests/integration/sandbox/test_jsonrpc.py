"""Framing, limits and refusals of the JSON-RPC surface, without an SDK in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from helpers.network import Network

HEALTH = {"jsonrpc": "2.0", "id": 7, "method": "getHealth"}


@pytest.mark.parametrize("path", ["/", "/rpc", "/soroban/rpc"])
async def test_every_path_a_tool_may_use(network: Network, path: str) -> None:
    status, answer = await network.post(HEALTH, path)
    assert status == 200
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] == 7
    assert answer["result"]["status"] == "healthy"


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE"])
async def test_only_post_is_taken(network: Network, verb: str) -> None:
    async with network.http.request(verb, network.ready["rpc_url"]) as response:
        assert response.status == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=latin1"])
async def test_only_json_is_taken(network: Network, content_type: str) -> None:
    status, answer = await network.post(HEALTH, **{"Content-Type": content_type})
    assert status == 415
    assert "charset" in content_type or "application/json" in answer


async def test_a_charset_is_allowed(network: Network) -> None:
    status, _ = await network.post(HEALTH, **{"Content-Type": "application/json; charset=utf-8"})
    assert status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"3", -32600),
        ({"id": 1, "method": "getHealth"}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "getHealth"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": "x"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "getNothing"}, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "rpc.serverInfo"}, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": ["00"]}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": {"hash": 3}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "getTransaction"}, -32602),
    ],
)
async def test_malformed_bodies(network: Network, body: Any, code: int) -> None:
    status, answer = await network.post(body)
    assert status == 200
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
    assert "result" not in answer


async def test_unknown_parameters_are_ignored(network: Network) -> None:
    assert (await network.result("getHealth", flag=True))["status"] == "healthy"
    assert (await network.result("getTransaction", hash="00" * 32, more=[1]))["status"] == "NOT_FOUND"


async def test_a_batch_is_answered_in_order_without_its_notifications(network: Network) -> None:
    notification = {"jsonrpc": "2.0", "method": "getHealth"}
    unknown = {"jsonrpc": "2.0", "id": "x", "method": "getNothing"}
    status, answers = await network.post([HEALTH, notification, 5, unknown])
    assert status == 200
    assert [answer["id"] for answer in answers] == [7, None, "x"]
    assert answers[0]["result"]["status"] == "healthy"
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32600, -32601]
    calls = (await network.admin("stats"))["rpc_calls"]
    assert calls == {"getHealth": 2}


async def test_notifications_alone_have_no_answer(network: Network) -> None:
    assert await network.post({"jsonrpc": "2.0", "method": "getHealth"}) == (204, "")
    assert await network.post([{"jsonrpc": "2.0", "method": "getHealth", "id": None}]) == (204, "")


async def test_a_body_over_512_kib_is_refused(network: Network) -> None:
    padding = 512 * 1024 - len('{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": {"x": ""}}')
    call = {"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": {"x": "y" * padding}}
    assert (await network.post(call))[0] == 200
    call["params"] = {"x": "y" * (padding + 1)}
    status, answer = await network.post(call)
    assert status == 413
    assert "524288 bytes" in answer
    assert (await network.post(HEALTH))[0] == 200


async def test_a_body_that_never_arrives_holds_nobody_up(network: Network) -> None:
    host, port = network.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    await writer.drain()
    assert (await network.post(HEALTH))[0] == 200
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getLedgerEntries", {"keys": []}),
        ("getLatestLedger", {}),
        ("getEvents", {"startLedger": 1}),
        ("getTransaction", {"hash": "00" * 32}),
        ("sendTransaction", {"transaction": ""}),
        ("simulateTransaction", {"transaction": ""}),
    ],
)
async def test_other_formats_than_base64_are_refused(
    network: Network, method: str, params: dict[str, Any]
) -> None:
    for xdr_format in ("json", "hex"):
        if (method, xdr_format) == ("simulateTransaction", "hex"):
            result = await network.result(method, **params, xdrFormat=xdr_format)
            assert xdr_format in result["error"]
            continue
        error = await network.error(method, **params, xdrFormat=xdr_format)
        assert error["code"] == -32602
        assert xdr_format in error["message"]


async def test_what_is_no_envelope(network: Network) -> None:
    for text in ("", "AAAA", "not base64!"):
        assert (await network.error("sendTransaction", transaction=text))["code"] == -32602
        result = await network.result("simulateTransaction", transaction=text)
        assert result["error"]
        assert result["latestLedger"] > 0
