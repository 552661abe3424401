"""Saving the state to a file and loading it, over HTTP and at the start."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from stellar_sdk import Asset, Keypair

from helpers.network import Network, find_binary, running

MANUAL = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")
FRESH = ("--ledger-close", "0", "--clock", "manual")
USER = Keypair.from_raw_ed25519_seed(b"u" * 32)


async def save(network: Network) -> bytes:
    async with network.http.get(f"{network.ready['admin_url']}/state") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/octet-stream"
        return await answer.read()


async def load(network: Network, state: bytes) -> tuple[int, dict[str, object]]:
    async def pieces() -> object:
        for start in range(0, len(state), 50_000):
            yield state[start : start + 50_000]

    async with network.http.post(f"{network.ready['admin_url']}/state", data=pieces()) as answer:
        told = json.loads(await answer.read())
        assert isinstance(told, dict)
        return answer.status, told


async def newest(network: Network) -> dict[str, object]:
    ledger: dict[str, object] = (await network.admin("ledgers"))["ledgers"][-1]
    return ledger


async def test_what_was_saved_is_loaded_by_another_process(tmp_path: Path) -> None:
    async with running(*MANUAL, "--seed", "3", "--accounts", "2", "--seed-tasks", "70") as network:
        await network.fund(USER)
        await network.advance(5, 30.0)
        registries = network.ready["registries"]
        state = await save(network)
        saved = await newest(network)
        went_on = [await network.advance(1, 5.0), await newest(network)]
    file = tmp_path / "state"
    file.write_bytes(state)
    async with running(*FRESH, "--load", str(file)) as network:
        assert network.ready["seed"] == 3
        assert network.ready["registries"] == registries
        assert await newest(network) == saved
        assert await save(network) == state
        assert [await network.advance(1, 5.0), await newest(network)] == went_on
        assert len((await network.admin("accounts"))["accounts"]) == 2
        assert (await network.admin("reset", {}))["latest_ledger"] == saved["sequence"]
        assert await newest(network) == saved
    async with running(*FRESH) as network:
        status, moment = await load(network, state)
        assert (status, moment) == (
            200,
            {"latest_ledger": saved["sequence"], "close_time": saved["close_time"]},
        )
        assert await newest(network) == saved
        assert (await network.account(USER)).sequence > 0
        # The process was started without a file, so its own genesis is where a reset leads to.
        assert (await network.admin("reset", {}))["latest_ledger"] == 1


async def test_pending_transactions_are_not_kept() -> None:
    async with running(*MANUAL) as network:
        await network.fund(USER)
        builder = (await network.builder(USER)).append_payment_op(USER.public_key, Asset.native(), "1")
        envelope = builder.build()
        envelope.sign(USER)
        await network.rpc.send_transaction(envelope)
        assert (await load(network, await save(network)))[0] == 200
        assert await network.pending() == 0


async def test_a_state_that_does_not_fit_changes_nothing() -> None:
    async with running(*MANUAL) as network:
        before = await newest(network)
        state = await save(network)
        damaged = state[:-40] + bytes([state[-40] ^ 1]) + state[-39:]
        for wrong, words in (
            (b"{}", "not a saved state"),
            (b"x" * 3_000_000, "not a saved state"),
            (state[:-1], "too early"),
            (damaged, "checksum"),
        ):
            status, answer = await load(network, wrong)
            assert status == 400
            assert words in str(answer["error"])
            assert await newest(network) == before


async def test_ledgers_close_while_a_state_is_saved_and_one_save_is_enough() -> None:
    async with running(*MANUAL, "--seed-tasks", "20000") as network:
        url = f"{network.ready['admin_url']}/state"
        async with network.http.get(url) as first:
            start = await first.content.readexactly(16)
            assert start == b"sorofast-sandbox"
            # The rest of it waits in the connection; the ledger does not.
            assert (await network.advance(3))["latest_ledger"] == 4
            async with network.http.get(url) as second:
                assert second.status == 409
                assert "try again" in (await second.json())["error"]
            rest = await first.read()
        while True:
            status, moment = await load(network, start + rest)
            if status != 409:
                break
            await asyncio.sleep(0.02)
        assert (status, moment["latest_ledger"]) == (200, 1)


async def test_a_body_that_is_cut_off_changes_nothing() -> None:
    async with running(*MANUAL) as network:
        await network.advance(2)
        state = await save(network)
        address = network.url.removeprefix("http://")
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /admin/state HTTP/1.1\r\nhost: {address}\r\ncontent-length: {len(state)}\r\n\r\n"
        writer.write(head.encode() + state[: len(state) // 2])
        await writer.drain()
        writer.close()
        await reader.read()
        assert (await newest(network))["sequence"] == 3
        while (status := (await load(network, state))[0]) == 409:
            await asyncio.sleep(0.02)
        assert status == 200


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--load", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (["--load", __file__], 1, "not a saved state"),
        (["--load", "state", "--seed", "3"], 2, "--seed"),
        (["--load", "state", "--seed-tasks", "3"], 2, "--seed-tasks"),
        (["--load", "state", "--accounts", "3"], 2, "--accounts"),
    ],
)
async def test_a_start_that_cannot_be(flags: list[str], code: int, words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        find_binary(), "start", "--port", "0", *flags, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == code
    assert words in said.decode()


async def test_a_state_of_another_network_says_how_to_start(tmp_path: Path) -> None:
    file = tmp_path / "state"
    async with running(*MANUAL, "--network-passphrase", "Mine ; 2026") as network:
        file.write_bytes(await save(network))
    process = await asyncio.create_subprocess_exec(
        find_binary(), "start", "--port", "0", "--load", str(file), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert '--network-passphrase "Mine ; 2026"' in said.decode()
    async with running(*FRESH, "--network-passphrase", "Mine ; 2026", "--load", str(file)) as network:
        assert network.passphrase == "Mine ; 2026"
