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
    ("body", "code", "message"),
    [
        (b"3", -32700, "request is not a JSON object"),
        ({"id": 1, "method": "getHealth"}, -32600, "invalid version marker"),
        ({"jsonrpc": "2.0", "id": 1}, -32600, "empty method name"),
        ({"jsonrpc": "2.0", "id": {}, "method": "getHealth"}, -32600, "invalid request ID"),
        ({"jsonrpc": "2.0", "id": 1, "method": 3}, -32700, "invalid method name"),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": "x"},
            -32600,
            "parameters must be array or object",
        ),
        ({"jsonrpc": "2.0", "id": 1, "method": "getHealth", "flag": 1}, -32600, "extra fields in request"),
        ({"jsonrpc": "2.0", "id": 1, "method": "getNothing"}, -32601, "method not found"),
        ({"jsonrpc": "2.0", "id": 1, "method": "rpc.serverInfo"}, -32601, "method not found"),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": ["00"]},
            -32602,
            "invalid parameters",
        ),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": {"hash": 3}},
            -32602,
            "invalid parameters",
        ),
        ({"jsonrpc": "2.0", "id": 1, "method": "getTransaction"}, -32602, "unexpected hash length (0)"),
    ],
)
async def test_malformed_requests(network: Network, body: Any, code: int, message: str) -> None:
    status, answer = await network.post(body)
    assert status == 200
    assert (answer["error"]["code"], answer["error"]["message"]) == (code, message)
    assert "result" not in answer


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 80_000])
async def test_what_is_no_json_has_no_json_answer(network: Network, body: bytes) -> None:
    assert await network.post(body) == (500, "[-32700] invalid request value\n")
    assert (await network.post(HEALTH))[0] == 200


async def test_errors_have_their_data(network: Network) -> None:
    error = await network.error("getNothing")
    assert error == {"code": -32601, "message": "method not found", "data": "getNothing"}
    _, answer = await network.post({**HEALTH, "b": 1, "a": 1})
    assert sorted(answer["error"]["data"]) == ["a", "b"]
    error = await network.error("getEvents", startLedger="2")
    assert (error["code"], error["message"]) == (-32602, "invalid parameters")
    assert isinstance(error["data"], str)


async def test_unknown_parameters_are_ignored(network: Network) -> None:
    assert (await network.result("getHealth", flag=True))["status"] == "healthy"
    assert (await network.result("getTransaction", hash="00" * 32, more=[1]))["status"] == "NOT_FOUND"


async def test_a_batch_is_answered_in_order_without_its_notifications(network: Network) -> None:
    """What is no request at all is answered before everything that is one."""
    notification = {"jsonrpc": "2.0", "method": "getHealth"}
    unknown = {"jsonrpc": "2.0", "id": "x", "method": "getNothing"}
    status, answers = await network.post([HEALTH, notification, 5, unknown])
    assert status == 200
    assert [answer["id"] for answer in answers] == [None, 7, "x"]
    assert answers[1]["result"]["status"] == "healthy"
    assert [answers[index]["error"]["code"] for index in (0, 2)] == [-32700, -32601]
    status, answers = await network.post([HEALTH])
    assert (status, [answer["id"] for answer in answers]) == (200, [7])
    calls = (await network.admin("stats"))["rpc_calls"]
    assert calls == {"getHealth": 3}


async def test_notifications_alone_have_no_answer(network: Network) -> None:
    assert await network.post(b"[]") == (204, "")
    assert await network.post({"jsonrpc": "2.0", "method": "getHealth"}) == (204, "")
    assert await network.post([{"jsonrpc": "2.0", "method": "getHealth", "id": None}]) == (204, "")


async def test_a_body_over_512_kib_is_refused(network: Network) -> None:
    padding = 512 * 1024 - len('{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": {"x": ""}}')
    call = {"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": {"x": "y" * padding}}
    assert (await network.post(call))[0] == 200
    call["params"] = {"x": "y" * (padding + 1)}
    assert await network.post(call) == (500, "http: request body too large\n")
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


UNKNOWN_FORMAT = "got 'hex': expected base64, json for optional 'xdrFormat'"


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getLedgerEntries", {"keys": []}, -32602),
        ("getEvents", {"startLedger": 1}, -32602),
        ("getTransaction", {"hash": "00" * 32}, -32602),
        ("getTransactions", {"startLedger": 1}, -32600),
        ("getLedgers", {"startLedger": 1}, -32600),
        ("sendTransaction", {"transaction": ""}, -32602),
    ],
)
async def test_other_formats_are_refused(
    network: Network, method: str, params: dict[str, Any], code: int
) -> None:
    error = await network.error(method, **params, xdrFormat="hex")
    assert error == {"code": code, "message": UNKNOWN_FORMAT}


async def test_another_format_of_a_simulation_is_an_error_in_its_result(network: Network) -> None:
    result = await network.result("simulateTransaction", transaction="", xdrFormat="hex")
    assert result == {"error": UNKNOWN_FORMAT, "latestLedger": 0}


async def test_what_is_no_envelope(network: Network) -> None:
    for text in ("", "AAAA", "not base64!"):
        assert (await network.error("sendTransaction", transaction=text))["code"] == -32602
        result = await network.result("simulateTransaction", transaction=text)
        assert result == {"error": "Could not unmarshal transaction", "latestLedger": 0}
