"""A channel that cannot be used is kept out with its reason, and comes back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from stellar_sdk import Keypair, TransactionBuilder
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_server_async import SorobanServerAsync

from helpers.settling import Small, client_of, small_fleet
from sorofast.chain.lookups import ledger_entries
from sorofast.demo.fleet import SHARDS
from sorofast.transactions.oneshot import submit_and_wait

SHARD = 3


def channel_keys(small: Small) -> dict[int, Keypair]:
    phrase = (small.fleet.directory / "channels.seed").read_text(encoding="utf-8").strip()
    return {
        channel: Keypair.from_mnemonic_phrase(phrase, index=channel)
        for channel in range(SHARD, small.fleet.channels, SHARDS)
    }


async def use_from_outside(small: Small, keys: dict[int, Keypair]) -> None:
    """Somebody else makes a transaction of each channel."""
    server = SorobanServerAsync(small.network.urls.rpc_url, AiohttpClient())
    try:
        async with client_of(small) as rpc:
            for key in keys.values():
                account = await server.load_account(key.public_key)
                builder = TransactionBuilder(account, small.network.urls.network_passphrase, base_fee=1_000)
                builder.append_manage_data_op("x", b"1").set_timeout(60)
                envelope = builder.build()
                envelope.sign(key)
                await submit_and_wait(rpc, envelope, what="a foreign use of a channel")
    finally:
        await server.close()


async def set_balances(small: Small, keys: dict[int, Keypair], stroops: int) -> None:
    names = {
        stellar_xdr.LedgerKey(
            stellar_xdr.LedgerEntryType.ACCOUNT,
            account=stellar_xdr.LedgerKeyAccount(key.xdr_account_id()),
        ).to_xdr(): key
        for key in keys.values()
    }
    async with client_of(small) as rpc:
        found = await ledger_entries(rpc, list(names))
    latest = await small.latest_ledger()
    entries: list[tuple[bytes, int | None]] = []
    for text in found.values():
        data = stellar_xdr.LedgerEntryData.from_xdr(text)
        assert data.account is not None
        data.account.balance = stellar_xdr.Int64(stroops)
        entry = stellar_xdr.LedgerEntry(stellar_xdr.Uint32(latest), data, stellar_xdr.LedgerEntryExt(0))
        entries.append((entry.to_xdr_bytes(), None))
    await small.admin.put_entries(entries)


async def shard_runs(small: Small, since_ms: int) -> bool:
    return any(
        entry.outcome == "executed" and entry.at_ms > since_ms
        for entry in await small.store.history(SHARD, 100)
    )


async def newest_ms(small: Small) -> int:
    return max((entry.at_ms for entry in await small.store.history(SHARD, 1)), default=0)


@pytest.mark.timeout(150)
async def test_a_shard_whose_channels_somebody_else_has_used_runs_again(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, tasks=60) as small:
        await small.start()
        await small.until(lambda: shard_runs(small, 0), "the shard runs")
        keys = channel_keys(small)
        await use_from_outside(small, keys)

        async def told() -> bool:
            lines = small.told("channels_quarantined")
            return set(keys) <= {channel for line in lines for channel in line["channels"]}

        await small.until(told, "every channel of the shard is found to be used by somebody else")
        since = await newest_ms(small)
        await small.until(lambda: shard_runs(small, since), "the shard runs again")
        assert all("fix" in line for line in small.told("channels_quarantined"))

        async def back() -> bool:
            lines = small.told("channels_back")
            return set(keys) <= {channel for line in lines for channel in line["channels"]}

        await small.until(back, "every channel is back, and that is told")


@pytest.mark.timeout(150)
async def test_channels_without_money_return_once_they_have_some(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, tasks=60) as small:
        await small.start()
        await small.until(lambda: shard_runs(small, 0), "the shard runs")
        keys = channel_keys(small)
        await set_balances(small, keys, 10_000_000)

        async def told() -> bool:
            lines = small.told("channels_quarantined")
            return set(keys) <= {channel for line in lines for channel in line["channels"]}

        await small.until(told, "every channel of the shard is refused")

        async def shown() -> bool:
            # Now and then one is tried, and is then not kept out.
            return "txINSUFFICIENT_BALANCE" in (await small.command("status")).out

        await small.until(shown, "status shows the reason")
        since = await newest_ms(small)
        await set_balances(small, keys, 10**9)
        await small.until(lambda: shard_runs(small, since), "the shard runs again")
        said = [line["reason"] for line in small.told("channels_quarantined")]
        assert len(said) <= len(keys), f"the same thing was said again: {said}"
