"""When ledgers close, what they say of the time, and what can be seen of them when."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest
from stellar_sdk import Asset, Keypair
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

from helpers.network import Network, eventually, running


async def ledgers(network: Network, from_ledger: int = 0) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = (await network.admin(f"ledgers?from_ledger={from_ledger}"))["ledgers"]
    return page


async def reached(network: Network, sequence: int) -> None:
    async def there() -> bool:
        latest: int = (await network.admin("stats"))["latest_ledger"]
        return latest >= sequence

    await eventually(there, f"ledger {sequence}")


async def test_ledgers_close_by_themselves() -> None:
    async with running("--ledger-close", "400ms", "--consensus-delay", "100ms") as network:
        first = (await network.admin("stats"))["latest_ledger"]
        await reached(network, first + 6)
        closed = await ledgers(network, first + 1)
    gaps = [
        later["close_time_ms"] - earlier["close_time_ms"] for earlier, later in itertools.pairwise(closed)
    ]
    assert all(gap > 0 for gap in gaps)
    assert 300 <= sum(gaps) / len(gaps) <= 1_000
    for ledger in closed:
        assert ledger["close_time"] == ledger["close_time_ms"] // 1000
    assert [ledger["sequence"] for ledger in closed] == list(range(first + 1, first + 1 + len(closed)))


async def test_a_ledger_is_visible_only_after_the_consensus_delay() -> None:
    async with running("--ledger-close", "1500ms", "--consensus-delay", "600ms") as network:
        sequence = (await network.admin("stats"))["latest_ledger"]
        await reached(network, sequence + 1)
        for _ in range(2):
            latest = (await network.admin("stats"))["latest_ledger"]
            await reached(network, latest + 1)
            seen_ms = time.time() * 1000
            (ledger,) = await ledgers(network, latest + 1)
            assert seen_ms - ledger["close_time_ms"] >= 590


async def test_what_arrives_after_the_freeze_waits_for_the_next_ledger() -> None:
    """Aims between a freeze and the moment its ledger shows, again if a busy machine misses that window."""
    async with running("--ledger-close", "1500ms", "--consensus-delay", "1s") as network:
        alice = Keypair.random()
        assert (await network.friendbot(alice.public_key))[0] == 200
        for _ in range(6):
            builder = (await network.builder(alice)).append_payment_op(alice.public_key, Asset.native(), "1")
            envelope = builder.build()
            envelope.sign(alice)
            latest = (await network.admin("stats"))["latest_ledger"]
            closed_ms = (await ledgers(network, latest))[-1]["close_time_ms"]
            await asyncio.sleep(max(0.0, (closed_ms + 2_000) / 1000 - time.time()))
            before_ms = time.time() * 1000
            sent = await network.rpc.send_transaction(envelope)
            assert sent.status is SendTransactionStatus.PENDING
            found = await network.rpc.poll_transaction(sent.hash)
            assert found.status is GetTransactionStatus.SUCCESS
            frozen = await ledgers(network, sent.latest_ledger)
            assert found.ledger is not None
            landed = frozen[found.ledger - sent.latest_ledger]
            assert landed["close_time_ms"] >= before_ms
            if frozen[1]["close_time_ms"] < before_ms:
                assert found.ledger == sent.latest_ledger + 2
                return
        raise AssertionError("no transaction was sent between a freeze and its ledger")


async def test_jitter_moves_the_freeze() -> None:
    async with running(
        "--ledger-close", "300ms", "--ledger-jitter", "150ms", "--consensus-delay", "20ms"
    ) as network:
        first = (await network.admin("stats"))["latest_ledger"]
        await reached(network, first + 10)
        closed = await ledgers(network, first + 1)
    times = [ledger["close_time_ms"] for ledger in closed]
    gaps = {later - earlier for earlier, later in itertools.pairwise(times)}
    assert max(gaps) - min(gaps) > 30


async def test_without_a_close_time_ledgers_close_on_demand_only(network: Network) -> None:
    before = await network.admin("stats")
    alice = Keypair.random()
    asked = asyncio.ensure_future(network.friendbot(alice.public_key))

    async def pending() -> bool:
        return await network.pending() == 1

    await eventually(pending, "friendbot's transaction")
    assert (await network.admin("stats"))["latest_ledger"] == before["latest_ledger"]
    answer = await network.advance()
    assert answer["latest_ledger"] == before["latest_ledger"] + 1
    assert (await asked)[0] == 200
    assert await network.pending() == 0


async def test_advance_closes_as_many_ledgers_as_asked(network: Network) -> None:
    start = await network.advance(0)
    answer = await network.advance(50)
    assert answer["latest_ledger"] == start["latest_ledger"] + 50
    closed = await ledgers(network, start["latest_ledger"] + 1)
    assert len(closed) == 50
    times = [ledger["close_time_ms"] for ledger in closed]
    assert times == sorted(set(times))


async def test_advance_moves_the_clock(network: Network) -> None:
    start = await network.advance()
    later = await network.advance(seconds=3_600)
    assert 3_600 <= later["close_time"] - start["close_time"] <= 3_660
    again = await network.advance()
    assert later["close_time"] <= again["close_time"] <= later["close_time"] + 60


async def test_health_counts_in_sandbox_time(network: Network) -> None:
    assert (await network.result("getHealth"))["status"] == "healthy"
    await network.advance(0, seconds=120)
    error = await network.error("getHealth")
    assert error["code"] == -32603
    assert "too high" in error["message"]
    await network.advance()
    assert (await network.result("getHealth"))["status"] == "healthy"


async def test_skew_moves_the_closing_clock(network: Network) -> None:
    assert await network.admin("skew", {"seconds": 45.5}) == {"skew_seconds": 45.5}
    ahead = await network.advance()
    assert 44 <= ahead["close_time"] - time.time() <= 47
    assert await network.admin("skew", {"seconds": -30}) == {"skew_seconds": -30.0}
    behind = (await ledgers(network, (await network.advance())["latest_ledger"]))[0]
    # Close times never go back: a clock that is behind gives the smallest step on.
    assert 0 <= behind["close_time"] - ahead["close_time"] <= 1


async def test_contracts_see_the_close_time(network: Network, alice: Keypair, counter: str) -> None:
    """The header, the admin list and the transaction agree on the close."""
    await network.advance(seconds=1_000)
    found = await network.invoke(alice, counter, "increment")
    latest = await network.result("getLatestLedger")
    (ledger,) = await ledgers(network, latest["sequence"])
    assert found.ledger == latest["sequence"]
    assert found.create_at == int(latest["closeTime"]) == ledger["close_time"]
    assert latest["id"] == ledger["hash"]
    assert ledger["transactions"] == 1


async def test_the_timing_setting_shows_the_close_time() -> None:
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONFIG_SETTING,
        config_setting=stellar_xdr.LedgerKeyConfigSetting(
            stellar_xdr.ConfigSettingID.CONFIG_SETTING_SCP_TIMING
        ),
    )
    async with running("--ledger-close", "700ms") as network:
        entries = (await network.rpc.get_ledger_entries([key])).entries
    assert entries
    setting = stellar_xdr.LedgerEntryData.from_xdr(entries[0].xdr).config_setting
    assert setting is not None
    assert setting.contract_scp_timing is not None
    assert setting.contract_scp_timing.ledger_target_close_time_milliseconds.uint32 == 700


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        ("advance", {"ledgers": -1}, "ledgers"),
        ("advance", {"ledgers": 100_000_000}, "ledgers"),
        ("advance", {"seconds": -1}, "seconds"),
        ("advance", {"days": 1}, "days"),
        ("skew", {}, "seconds"),
        ("skew", {"seconds": "1"}, "seconds"),
        ("skew", {"seconds": 1e12}, "seconds"),
    ],
)
async def test_times_that_make_no_sense(
    network: Network, call: str, body: dict[str, Any], words: str
) -> None:
    status, answer = await network.admin_status(call, body)
    assert status == 400, answer
    assert words in answer["error"] or "invalid" in answer["error"]
