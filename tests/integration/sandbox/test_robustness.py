"""Hostile and clumsy clients: whatever they send, everybody else is answered and the process goes on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import resource
import time
from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.network import Network, running

HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'
HEAD = "POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
CROWD = 6_200
"""More connections than there are places, of which 5,000 may have a request under way."""


def address(network: Network) -> tuple[str, int]:
    host, port = network.url.removeprefix("http://").split(":")
    return host, int(port)


async def assert_answers(network: Network, within_s: float = 5.0) -> None:
    """A new client, which has no connection yet, is answered in time."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(*address(network))
    writer.write(HEAD.format(len(HEALTH)).encode() + HEALTH)
    async with asyncio.timeout(within_s):
        assert b"200 OK" in await reader.readline()
    assert time.monotonic() - begun < within_s
    writer.close()


@pytest.fixture
async def crowd() -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Room for connections, which are closed at the end of the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + 500
    if hard not in (-1, resource.RLIM_INFINITY) and hard < wanted:
        pytest.skip(f"needs {wanted} open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    writers: list[asyncio.StreamWriter] = []
    yield writers
    for writer in writers:
        writer.transport.abort()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_thousands_of_silent_connections_keep_nobody_out(
    crowd: list[asyncio.StreamWriter],
) -> None:
    """Each sends the beginning of a request and no more; the oldest make room for new ones."""
    async with running("--ledger-close", "0") as network:
        for start in range(0, CROWD, 200):
            opened = await asyncio.gather(
                *(asyncio.open_connection(*address(network)) for _ in range(start, min(start + 200, CROWD)))
            )
            for _, writer in opened:
                crowd.append(writer)
                with contextlib.suppress(ConnectionError):
                    writer.write(b"POST /rpc HTTP/1.1\r\nHost:")
            await assert_answers(network)
        assert (await network.result("getHealth"))["status"] == "healthy"
        assert network.process.returncode is None


async def test_a_body_that_trickles_is_given_up(network: Network) -> None:
    reader, writer = await asyncio.open_connection(*address(network))
    writer.write(HEAD.format(1_000).encode() + b"{")
    begun = time.monotonic()
    async with asyncio.timeout(15):
        while await reader.read(100) == b"":
            raise AssertionError("closed without a word")
    assert 4 < time.monotonic() - begun < 10
    writer.close()
    await assert_answers(network)


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 10_000_000,
        b'{"jsonrpc":"2.0","id":1,"method":"getHealth","params":{"x":"' + b"y" * 10_000_000,
        b"[" + b",".join([HEALTH] * 200_000) + b"]",
    ],
    ids=["noise", "parameter", "batch"],
)
async def test_bodies_of_ten_megabytes_are_refused(network: Network, body: bytes) -> None:
    """Whether the refusal is read or the connection is found closed depends on how fast the client sends."""
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection(*address(network))
        writer.write(HEAD.format(len(body)).encode() + body)
        async with asyncio.timeout(20):
            line = await reader.readline()
        assert line == b"" or b"500" in line
        writer.close()
    await assert_answers(network)


def nested_value(depth: int) -> bytes:
    """XDR of a value of vectors in vectors."""
    return b"\x00\x00\x00\x10\x00\x00\x00\x01\x00\x00\x00\x01" * depth + b"\x00\x00\x00\x01"


@pytest.mark.parametrize("depth", [100, 400, 600, 20_000])
async def test_deep_xdr_is_decoded_or_refused(network: Network, depth: int) -> None:
    value = nested_value(depth)
    contract = stellar_xdr.SCAddress(
        stellar_xdr.SCAddressType.SC_ADDRESS_TYPE_CONTRACT,
        contract_id=stellar_xdr.ContractID(stellar_xdr.Hash(bytes(32))),
    ).to_xdr_bytes()
    key = b"\x00\x00\x00\x06" + contract + value + b"\x00\x00\x00\x01"
    answer = await network.call("getLedgerEntries", keys=[base64.b64encode(key).decode()])
    assert answer.get("error", {}).get("code", -32602) == -32602
    segment = base64.b64encode(value).decode()
    answer = await network.call("getEvents", startLedger=1, filters=[{"topics": [[segment]]}])
    assert ("error" in answer) is (depth > 200)
    source = Keypair.random().xdr_muxed_account().to_xdr_bytes()
    call = b"\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00\x00" + contract + b"\x00\x00\x00\x01f\x00\x00\x00"
    envelope = (
        b"\x00\x00\x00\x02"
        + source
        + (100).to_bytes(4, "big")
        + (1).to_bytes(8, "big")
        + bytes(8)
        + b"\x00\x00\x00\x01"
        + call
        + b"\x00\x00\x00\x01"
        + value
        + bytes(4)
        + bytes(4)
        + bytes(4)
    )
    text = base64.b64encode(envelope).decode()
    result = await network.result("simulateTransaction", transaction=text)
    assert result["error"]
    answer = await network.call("sendTransaction", transaction=text)
    assert "error" in answer or answer["result"]["status"] == "ERROR"
    await assert_answers(network)


async def test_contracts_that_burn_the_limits_keep_nobody_waiting(network: Network, alice: Keypair) -> None:
    contract = await network.deploy(alice, "burns_instructions")
    builder = (await network.builder(alice)).append_invoke_contract_function_op(
        contract, "burn", [scval.to_uint64(10_000_000_000)]
    )
    envelope = builder.build().to_xdr()
    burning = [
        asyncio.ensure_future(network.call("simulateTransaction", transaction=envelope)) for _ in range(8)
    ]
    done = 0
    while not all(task.done() for task in burning):
        await assert_answers(network)
        done += 1
    assert done > 0
    for answer in await asyncio.gather(*burning):
        assert "error" in answer.get("result", answer)
    assert network.process.returncode is None
