"""Faults that the admin interface injects."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import pytest
from stellar_sdk import Asset, Keypair
from stellar_sdk.soroban_rpc import GetTransactionStatus

from helpers.network import Network


async def inject(network: Network, **rule: Any) -> None:
    answer = await network.admin("faults", {"rules": [rule]})
    assert answer["rules"][0]["kind"] == rule["kind"]


async def test_latency(network: Network) -> None:
    await inject(network, method="getHealth", kind="latency", latency_ms=300, count=1)
    started = time.monotonic()
    await network.result("getNetwork")
    assert (await network.result("getHealth"))["status"] == "healthy"
    assert time.monotonic() - started >= 0.3
    assert (await network.admin("faults")) == {"rules": []}


async def test_an_http_status(network: Network) -> None:
    await inject(network, method="*", kind="http_status", status=429)
    call = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
    assert (await network.post(call))[0] == 429
    assert (await network.post([call, call]))[0] == 429
    await network.admin("faults", verb="DELETE")
    assert (await network.post(call))[0] == 200
    assert (await network.admin("stats"))["rpc_calls"]["getHealth"] == 3


async def test_a_json_rpc_error(network: Network) -> None:
    await inject(network, method="getNetwork", kind="rpc_error", code=-32001, message="too late", count=1)
    assert (await network.result("getHealth"))["status"] == "healthy"
    assert await network.error("getNetwork") == {"code": -32001, "message": "too late"}
    assert (await network.result("getNetwork"))["protocolVersion"] == 30


@pytest.mark.parametrize("kind", ["http_status", "rpc_error"])
async def test_refused_calls_are_not_carried_out(network: Network, alice: Keypair, kind: str) -> None:
    builder = (await network.builder(alice)).append_payment_op(alice.public_key, Asset.native(), "1")
    envelope = builder.build()
    envelope.sign(alice)
    await inject(network, method="sendTransaction", kind=kind, count=1)
    body = {"transaction": envelope.to_xdr()}
    call = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": body}
    await network.post(call)
    assert await network.pending() == 0
    await network.post(call)
    assert await network.pending() == 1


async def test_a_dropped_reply_has_been_carried_out(network: Network, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    envelope.sign(alice)
    await inject(network, method="sendTransaction", kind="drop_reply", count=1)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await network.call("sendTransaction", transaction=envelope.to_xdr())
    assert await network.pending() == 1
    await network.advance()
    found = await network.rpc.get_transaction(envelope.hash_hex())
    assert found.status is GetTransactionStatus.SUCCESS


async def test_probability(network: Network) -> None:
    await inject(network, method="getHealth", kind="rpc_error", probability=0.5)
    answers = [await network.call("getHealth") for _ in range(200)]
    assert 40 < sum("error" in answer for answer in answers) < 160


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "slow"}, "slow"),
        ({"kind": "latency"}, "latency_ms"),
        ({"kind": "http_status", "status": 200}, "status"),
        ({"kind": "drop_reply", "method": "getNothing"}, "getNothing"),
        ({"kind": "drop_reply", "probability": 2}, "probability"),
        ({"kind": "drop_reply", "count": 0}, "count"),
        ({"kind": "drop_reply", "times": 1}, "times"),
    ],
)
async def test_rules_that_make_no_sense(network: Network, rule: dict[str, Any], words: str) -> None:
    status, answer = await network.admin_status("faults", {"rules": [rule]})
    assert status == 400
    assert words in answer["error"]
    assert await network.admin("faults") == {"rules": []}
