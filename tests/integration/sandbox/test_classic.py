"""Classic operations as the public Python SDK writes and reads them: signers, sponsors, assets, lumens by contract."""

from __future__ import annotations

from stellar_sdk import (
    Address,
    Asset,
    Claimant,
    ClaimPredicate,
    Keypair,
    Signer,
    SignerKey,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.operation import CreateClaimableBalance
from stellar_sdk.soroban_rpc import GetTransactionResponse, GetTransactionStatus, SendTransactionStatus

from helpers.network import Network, return_value

XLM = 10_000_000


async def applied(network: Network, builder: TransactionBuilder, *signers: Keypair) -> GetTransactionResponse:
    envelope = builder.build()
    for signer in signers:
        envelope.sign(signer)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.SUCCESS, found.result_xdr
    return found


async def account(network: Network, keypair: Keypair) -> stellar_xdr.AccountEntry:
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(keypair.xdr_account_id()),
    )
    (entry,) = (await network.rpc.get_ledger_entries([key])).entries or []
    data = stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).account
    assert data is not None
    return data


async def create_asset_contract(network: Network, source: Keypair, asset: Asset) -> str:
    builder = (await network.builder(source)).append_create_stellar_asset_contract_from_asset_op(asset)
    envelope = await network.rpc.prepare_transaction(builder.build())
    envelope.sign(source)
    created = return_value(await network.apply(envelope))
    return scval.from_address(created).address


async def test_two_of_three_sign(network: Network, alice: Keypair) -> None:
    others = [Keypair.random(), Keypair.random()]
    builder = await network.builder(alice)
    for other in others:
        builder.append_set_options_op(signer=Signer.ed25519_public_key(other.public_key, 1))
    builder.append_set_options_op(master_weight=1, low_threshold=2, med_threshold=2, high_threshold=3)
    await applied(network, builder, alice)

    async def payment() -> TransactionEnvelope:
        builder = (await network.builder(alice)).append_payment_op(alice.public_key, Asset.native(), "1")
        return builder.build()

    alone = await payment()
    alone.sign(alice)
    refused = await network.rpc.send_transaction(alone)
    assert refused.status is SendTransactionStatus.ERROR
    assert refused.error_result_xdr is not None
    result = stellar_xdr.TransactionResult.from_xdr(refused.error_result_xdr)
    assert result.result.code is stellar_xdr.TransactionResultCode.txBAD_AUTH
    without_master = await payment()
    for other in others:
        without_master.sign(other)
    assert (await network.apply(without_master)).status is GetTransactionStatus.SUCCESS
    assert {
        signer.key.ed25519.uint256 for signer in (await account(network, alice)).signers if signer.key.ed25519
    } == {other.raw_public_key() for other in others}


async def test_what_was_authorized_ahead_is_sent_unsigned(network: Network, alice: Keypair) -> None:
    builder = await network.builder(alice)
    ahead = await network.builder(alice)
    ahead.source_account.sequence += 1
    envelope = ahead.append_payment_op(alice.public_key, Asset.native(), "1").build()
    builder.append_set_options_op(signer=Signer(SignerKey.pre_auth_tx(envelope.hash()), 1))
    await applied(network, builder, alice)
    assert len((await account(network, alice)).signers) == 1
    assert (await network.apply(envelope)).status is GetTransactionStatus.SUCCESS
    assert not (await account(network, alice)).signers


async def test_an_account_without_lumens_is_sponsored(network: Network, alice: Keypair) -> None:
    bob = Keypair.random()
    builder = (
        (await network.builder(alice))
        .append_begin_sponsoring_future_reserves_op(bob.public_key)
        .append_create_account_op(bob.public_key, "0")
        .append_manage_data_op("note", b"kept for free", source=bob.public_key)
        .append_end_sponsoring_future_reserves_op(source=bob.public_key)
    )
    await applied(network, builder, alice, bob)
    entry = await account(network, bob)
    assert entry.balance.int64 == 0
    assert entry.num_sub_entries.uint32 == 1
    assert entry.ext.v1 is not None
    assert entry.ext.v1.ext.v2 is not None
    assert entry.ext.v1.ext.v2.num_sponsored.uint32 == 3
    # The extension of the entry itself names the sponsor.
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(bob.xdr_account_id()),
    )
    answer = await network.result("getLedgerEntries", keys=[key.to_xdr()])
    extension = stellar_xdr.LedgerEntryExt.from_xdr(answer["entries"][0]["extXdr"])
    assert extension.v1 is not None
    assert extension.v1.sponsoring_id.sponsorship_descriptor == alice.xdr_account_id()


async def test_an_issued_asset_and_its_contract(network: Network, alice: Keypair) -> None:
    issuer, bob = Keypair.random(), Keypair.random()
    await network.fund(issuer, bob)
    usd = Asset("USD", issuer.public_key)
    for holder in (alice, bob):
        await applied(network, (await network.builder(holder)).append_change_trust_op(usd), holder)
    builder = (await network.builder(issuer)).append_payment_op(alice.public_key, usd, "50")
    await applied(network, builder, issuer)
    contract = await create_asset_contract(network, alice, usd)
    assert contract == usd.contract_id(network.passphrase)
    args = [scval.to_address(alice.public_key), scval.to_address(bob.public_key), scval.to_int128(12 * XLM)]
    moved = await network.invoke(alice, contract, "transfer", *args)
    assert moved.status is GetTransactionStatus.SUCCESS
    balance = await network.invoke(bob, contract, "balance", scval.to_address(bob.public_key))
    assert scval.from_int128(return_value(balance)) == 12 * XLM


async def test_lumens_by_contract_reach_an_account_that_is_not_there(
    network: Network, alice: Keypair
) -> None:
    contract = await create_asset_contract(network, alice, Asset.native())
    new = Keypair.random()
    args = [scval.to_address(alice.public_key), scval.to_address(new.public_key), scval.to_int128(5 * XLM)]
    made = await network.invoke(alice, contract, "transfer", *args)
    assert made.status is GetTransactionStatus.SUCCESS
    entry = await account(network, new)
    assert entry.balance.int64 == 5 * XLM
    assert entry.seq_num.sequence_number.int64 == (made.ledger or 0) << 32
    held = await network.invoke(alice, contract, "balance", Address(new.public_key).to_xdr_sc_val())
    assert scval.from_int128(return_value(held)) == 5 * XLM
    audit = await network.admin("audit")
    assert audit["coins_counted"] == audit["coins_recorded"]


async def test_a_claimable_balance_has_the_id_that_the_sdk_reckons(network: Network, alice: Keypair) -> None:
    bob = Keypair.random()
    await network.fund(bob)
    claimant = Claimant(bob.public_key, ClaimPredicate.predicate_unconditional())
    builder = (await network.builder(alice)).append_create_claimable_balance_op(
        Asset.native(), "3", [claimant]
    )
    envelope = builder.build()
    (operation,) = envelope.transaction.operations
    assert isinstance(operation, CreateClaimableBalance)
    envelope.sign(alice)
    balance = envelope.transaction.get_claimable_balance_id(0)
    assert (await network.apply(envelope)).status is GetTransactionStatus.SUCCESS
    before = (await account(network, bob)).balance.int64
    builder = (await network.builder(bob)).append_claim_claimable_balance_op(balance)
    await applied(network, builder, bob)
    assert (await account(network, bob)).balance.int64 == before + 3 * XLM - 100
