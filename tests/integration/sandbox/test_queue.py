"""The queue as its users see it: limits by name, what waits, what spreads, and what became of it."""

from __future__ import annotations

import pytest
from stellar_sdk import Asset, Keypair, TransactionBuilder, TransactionEnvelope
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

from helpers.network import Network, result_codes, running


async def payment(network: Network, source: Keypair, fee: int = 100) -> TransactionEnvelope:
    builder = TransactionBuilder(await network.account(source), network.passphrase, fee)
    builder.append_payment_op(source.public_key, Asset.native(), "1").add_time_bounds(0, 0)
    envelope = builder.build()
    envelope.sign(source)
    return envelope


async def fates(network: Network, *hashes: str) -> list[tuple[str, int | None]]:
    told = (await network.admin("fates", {"hashes": list(hashes)}))["fates"]
    return [(told[one]["state"], told[one]["ledger"]) for one in hashes]


async def test_a_transaction_is_followed_from_pending_to_applied(network: Network, alice: Keypair) -> None:
    envelope = await payment(network, alice)
    assert await fates(network, envelope.hash_hex()) == [("unknown", None)]
    assert (await network.rpc.send_transaction(envelope)).status is SendTransactionStatus.PENDING
    assert await fates(network, envelope.hash_hex()) == [("pending", None)]
    ledger = (await network.advance())["latest_ledger"]
    assert await fates(network, envelope.hash_hex()) == [("applied", ledger)]


async def test_a_replaced_transaction_lives_on_inside_the_fee_bump(network: Network, alice: Keypair) -> None:
    payer = Keypair.random()
    await network.fund(payer)
    inner = await payment(network, alice)
    assert (await network.rpc.send_transaction(inner)).status is SendTransactionStatus.PENDING
    bump = TransactionBuilder.build_fee_bump_transaction(payer, 999, inner, network.passphrase)
    bump.sign(payer)
    refused = await network.rpc.send_transaction(bump)
    assert refused.status is SendTransactionStatus.ERROR
    assert result_codes(refused.error_result_xdr) == ("txINSUFFICIENT_FEE", None)
    bump = TransactionBuilder.build_fee_bump_transaction(payer, 1_000, inner, network.passphrase)
    bump.sign(payer)
    assert (await network.rpc.send_transaction(bump)).status is SendTransactionStatus.PENDING
    assert (await network.rpc.send_transaction(inner)).status is SendTransactionStatus.DUPLICATE
    assert await network.pending() == 1
    ledger = (await network.advance())["latest_ledger"]
    for one in (inner, bump):
        found = await network.rpc.get_transaction(one.hash_hex())
        assert found.status is GetTransactionStatus.SUCCESS
        assert found.fee_bump is True
        assert found.ledger == ledger
    page = await network.admin(f"transactions?from_ledger={ledger}")
    (applied,) = page["transactions"]
    assert applied["hash"] == bump.hash_hex()
    assert applied["inner_hash"] == inner.hash_hex()
    assert (applied["source"], applied["fee_source"]) == (alice.public_key, payer.public_key)


async def test_fates_that_are_refused(network: Network) -> None:
    for wrong in ("", "ab", "z" * 64):
        status, answer = await network.admin_status("fates", {"hashes": [wrong]})
        assert status == 400
        assert "64 hexadecimal digits" in answer["error"]
    status, answer = await network.admin_status("fates", {"hashes": ["0" * 64] * 10_001})
    assert (status, answer["error"]) == (400, "hashes must be at most 10000")


@pytest.mark.parametrize(
    ("limits", "clusters", "write_bytes", "tx_bytes"),
    [("mainnet", 2, 286_720, 266_240), ("slp7", 4, 297_000, 864_000)],
)
async def test_limits_are_read_as_settings(
    limits: str, clusters: int, write_bytes: int, tx_bytes: int
) -> None:
    ids = stellar_xdr.ConfigSettingID
    wanted = (
        ids.CONFIG_SETTING_CONTRACT_PARALLEL_COMPUTE_V0,
        ids.CONFIG_SETTING_CONTRACT_LEDGER_COST_V0,
        ids.CONFIG_SETTING_CONTRACT_BANDWIDTH_V0,
    )
    keys = [
        stellar_xdr.LedgerKey(
            stellar_xdr.LedgerEntryType.CONFIG_SETTING,
            config_setting=stellar_xdr.LedgerKeyConfigSetting(one),
        )
        for one in wanted
    ]
    async with running("--ledger-close", "0", "--limits", limits) as network:
        entries = (await network.rpc.get_ledger_entries(keys)).entries
    assert entries is not None
    parallel, cost, bandwidth = (
        stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).config_setting for entry in entries
    )
    assert parallel is not None
    assert parallel.contract_parallel_compute is not None
    assert parallel.contract_parallel_compute.ledger_max_dependent_tx_clusters.uint32 == clusters
    assert cost is not None
    assert cost.contract_ledger_cost is not None
    assert cost.contract_ledger_cost.ledger_max_write_bytes.uint32 == write_bytes
    assert bandwidth is not None
    assert bandwidth.contract_bandwidth is not None
    assert bandwidth.contract_bandwidth.ledger_max_txs_size_bytes.uint32 == tx_bytes


async def test_a_submission_misses_the_freeze_while_it_spreads() -> None:
    async with running("--ledger-close", "0", "--clock", "manual", "--flood-delay", "300ms") as network:
        funded = (await network.admin("accounts"))["accounts"][0]
        source = Keypair.from_secret(funded["secret_key"])
        envelope = await payment(network, source)
        assert (await network.rpc.send_transaction(envelope)).status is SendTransactionStatus.PENDING
        # It leaves with the next slice, 200 ms on, and takes 300 ms from there.
        await network.advance(seconds=0.4)
        assert await fates(network, envelope.hash_hex()) == [("pending", None)]
        ledger = (await network.advance(seconds=0.1))["latest_ledger"]
        assert await fates(network, envelope.hash_hex()) == [("applied", ledger)]
