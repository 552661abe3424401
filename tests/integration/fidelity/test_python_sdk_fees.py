"""The public Python SDK, both faces: fee-bumps, preconditions, and entries whose time runs out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from stellar_sdk import (
    Address,
    Asset,
    Keypair,
    LedgerBounds,
    MuxedAccount,
    SorobanDataBuilder,
    TransactionBuilder,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

from helpers.chain import result_code
from helpers.sdk import Sdk, settle

XLM = 10_000_000


@dataclass(frozen=True)
class Entry:
    """A ledger entry as getLedgerEntries tells of it."""

    data: stellar_xdr.LedgerEntryData
    modified: int
    live_until: int


async def read(sdk: Sdk, key: stellar_xdr.LedgerKey) -> Entry:
    (entry,) = (await settle(sdk.server.get_ledger_entries([key]))).entries
    data = stellar_xdr.LedgerEntryData.from_xdr(entry.xdr)
    return Entry(data, entry.last_modified_ledger, entry.live_until_ledger)


async def balance(sdk: Sdk, keypair: Keypair) -> int:
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT, account=stellar_xdr.LedgerKeyAccount(keypair.xdr_account_id())
    )
    account = (await read(sdk, key)).data.account
    assert account is not None
    return account.balance.int64


def count_key(contract: str, number: int) -> stellar_xdr.LedgerKey:
    """The counter's entry of one of its keys."""
    data = stellar_xdr.LedgerKeyContractData(
        Address(contract).to_xdr_sc_address(),
        scval.to_vec([scval.to_symbol("Key"), scval.to_uint64(number)]),
        stellar_xdr.ContractDataDurability.PERSISTENT,
    )
    return stellar_xdr.LedgerKey(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data)


async def count(sdk: Sdk, alice: Keypair, contract: str, number: int) -> int:
    """Adds one to a count, through the SDK's client; the new count."""
    client = sdk.client(contract)
    call = await settle(
        client.invoke("bump", [scval.to_uint64(number)], alice.public_key, alice, scval.from_uint64)
    )
    result: int = await settle(call.sign_and_submit())
    return result


async def archive(sdk: Sdk, key: stellar_xdr.LedgerKey) -> None:
    """Lets an entry's time run out within a few ledgers."""
    entry = await read(sdk, key)
    latest = (await settle(sdk.server.get_health())).latest_ledger
    whole = stellar_xdr.LedgerEntry(
        stellar_xdr.Uint32(entry.modified),
        stellar_xdr.LedgerEntryData.from_xdr(entry.data.to_xdr()),
        stellar_xdr.LedgerEntryExt(0),
    )
    await sdk.network.admin("entries", {"entries": [{"xdr": whole.to_xdr(), "live_until": latest + 1}]})
    await sdk.network.advance(3)
    assert (await read(sdk, key)).live_until == 0  # as an archived entry is told of


async def test_a_fee_bump_pays_for_a_payment(sdk: Sdk, alice: Keypair, bob: Keypair) -> None:
    builder = (await sdk.builder(alice)).append_payment_op(bob.public_key, Asset.native(), "1")
    inner = builder.build()
    inner.sign(alice)
    bump = TransactionBuilder.build_fee_bump_transaction(bob, 500, inner, sdk.network.passphrase)
    bump.sign(bob)
    found = await sdk.run(bump)
    assert found.status is GetTransactionStatus.SUCCESS, found
    assert found.fee_bump
    assert found.transaction_hash == bump.hash_hex()
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr)
    assert result.result.code is stellar_xdr.TransactionResultCode.txFEE_BUMP_INNER_SUCCESS
    assert result.result.inner_result_pair is not None
    assert result.result.inner_result_pair.transaction_hash.hash == inner.hash()
    assert result.fee_charged.int64 == 200  # the base fee of two operations, whatever was bid
    assert await balance(sdk, alice) == 9_999 * XLM
    assert await balance(sdk, bob) == 10_001 * XLM - 200
    by_inner = await settle(sdk.server.get_transaction(inner.hash_hex()))
    assert (by_inner.status, by_inner.ledger) == (found.status, found.ledger)
    assert by_inner.envelope_xdr == bump.to_xdr()


async def test_a_fee_bump_pays_for_a_call(sdk: Sdk, alice: Keypair, bob: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    builder = (await sdk.builder(alice)).append_invoke_contract_function_op(contract, "increment", [])
    inner = await settle(sdk.server.prepare_transaction(builder.build()))
    inner.sign(alice)
    before = await balance(sdk, alice)
    bump = TransactionBuilder.build_fee_bump_transaction(bob, 500, inner, sdk.network.passphrase)
    bump.sign(bob)
    found = await sdk.run(bump)
    assert found.status is GetTransactionStatus.SUCCESS, found
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr)
    assert result.result.code is stellar_xdr.TransactionResultCode.txFEE_BUMP_INNER_SUCCESS
    # What the call did not use comes back to whoever paid, and the ledger says what was charged in the end.
    assert await balance(sdk, alice) == before
    assert await balance(sdk, bob) == 10_000 * XLM - result.fee_charged.int64
    assert 200 < result.fee_charged.int64 < bump.transaction.fee


async def test_a_fee_bump_over_what_fails_tells_of_the_inner_failure(
    sdk: Sdk, alice: Keypair, bob: Keypair
) -> None:
    builder = await sdk.builder(alice)
    inner = builder.append_payment_op(Keypair.random().public_key, Asset.native(), "1").build()
    inner.sign(alice)
    bump = TransactionBuilder.build_fee_bump_transaction(
        MuxedAccount(bob.public_key, 3), 100, inner, sdk.network.passphrase
    )
    bump.sign(bob)
    found = await sdk.run(bump)
    assert found.status is GetTransactionStatus.FAILED
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr)
    assert result.result.code is stellar_xdr.TransactionResultCode.txFEE_BUMP_INNER_FAILED
    pair = result.result.inner_result_pair
    assert pair is not None
    assert pair.result.result.code is stellar_xdr.TransactionResultCode.txFAILED
    assert await balance(sdk, alice) == 10_000 * XLM
    assert await balance(sdk, bob) == 10_000 * XLM - 200


async def test_preconditions_are_kept(sdk: Sdk, alice: Keypair, bob: Keypair) -> None:
    latest = (await settle(sdk.server.get_health())).latest_ledger
    builder = await sdk.builder(alice)
    builder.append_payment_op(bob.public_key, Asset.native(), "1")
    builder.set_ledger_bounds(latest, latest + 10_000).set_min_sequence_number(0)
    builder.add_extra_signer(bob.public_key)
    envelope = builder.build()
    envelope.sign(alice)
    sent = await settle(sdk.server.send_transaction(envelope))
    assert sent.status is SendTransactionStatus.ERROR
    assert result_code(sent.error_result_xdr) == "txBAD_AUTH"
    envelope.sign(bob)
    assert (await sdk.run(envelope)).status is GetTransactionStatus.SUCCESS

    late = await sdk.builder(alice)
    late.append_payment_op(bob.public_key, Asset.native(), "1")
    late.ledger_bounds = LedgerBounds(0, latest)
    envelope = late.build()
    envelope.sign(alice)
    sent = await settle(sdk.server.send_transaction(envelope))
    assert result_code(sent.error_result_xdr) == "txTOO_LATE"


async def test_the_life_of_an_entry_is_extended(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    key = count_key(contract, 1)
    before = await read(sdk, key)
    builder = (await sdk.builder(alice)).append_extend_footprint_ttl_op(3_000_000)
    builder.set_soroban_data(SorobanDataBuilder().set_read_only([key]).build())
    found = await sdk.prepare_and_run(builder, alice)
    assert found.status is GetTransactionStatus.SUCCESS, found
    after = await read(sdk, key)
    assert after.live_until == (found.ledger or 0) + 3_000_000 > before.live_until
    assert after.modified == before.modified  # only its TTL entry was written


async def test_an_archived_entry_is_restored_by_an_operation(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    key = count_key(contract, 1)
    await archive(sdk, key)
    builder = (await sdk.builder(alice)).append_restore_footprint_op()
    builder.set_soroban_data(SorobanDataBuilder().set_read_write([key]).build())
    found = await sdk.prepare_and_run(builder, alice)
    assert found.status is GetTransactionStatus.SUCCESS, found
    assert (await read(sdk, key)).live_until == (found.ledger or 0) + 2_073_600 - 1
    assert await count(sdk, alice, contract, 1) == 2


async def test_restoring_what_lives_changes_nothing(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    key = count_key(contract, 1)
    before = await read(sdk, key)
    builder = (await sdk.builder(alice)).append_restore_footprint_op()
    builder.set_soroban_data(SorobanDataBuilder().set_read_write([key]).build())
    found = await sdk.prepare_and_run(builder, alice)
    assert found.status is GetTransactionStatus.SUCCESS, found
    assert await read(sdk, key) == before


async def test_an_archived_entry_is_restored_by_the_call_that_needs_it(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    key = count_key(contract, 1)
    await archive(sdk, key)
    assert await count(sdk, alice, contract, 1) == 2
    assert (await read(sdk, key)).live_until > 2_000_000


async def test_a_call_that_does_not_name_what_is_archived_fails(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    builder = await sdk.builder(alice)
    builder.append_invoke_contract_function_op(contract, "bump", [scval.to_uint64(1)])
    prepared = await settle(sdk.server.prepare_transaction(builder.build()))  # while the entry lives
    await archive(sdk, count_key(contract, 1))
    prepared.sign(alice)
    found = await sdk.run(prepared)
    assert found.status is GetTransactionStatus.FAILED
    (result,) = stellar_xdr.TransactionResult.from_xdr(found.result_xdr).result.results
    assert (
        result.tr.invoke_host_function_result.code
        is stellar_xdr.InvokeHostFunctionResultCode.INVOKE_HOST_FUNCTION_ENTRY_ARCHIVED
    )


@pytest.mark.parametrize("extend_to", [3_110_399, 3_110_400])
async def test_lives_have_a_longest_one(sdk: Sdk, alice: Keypair, extend_to: int) -> None:
    """The longest TTL counts the ledger it begins in, so that an extension is at most one less."""
    contract = await sdk.deploy(alice, "counter")
    assert await count(sdk, alice, contract, 1) == 1
    key = count_key(contract, 1)
    builder = (await sdk.builder(alice)).append_extend_footprint_ttl_op(extend_to)
    builder.set_soroban_data(SorobanDataBuilder().set_read_only([key]).set_resource_fee(XLM).build())
    envelope = builder.build()
    envelope.transaction.fee += XLM
    envelope.sign(alice)
    sent = await settle(sdk.server.send_transaction(envelope))
    if extend_to < 3_110_400:
        found = await settle(sdk.server.poll_transaction(sent.hash))
        assert found.status is GetTransactionStatus.SUCCESS
        assert (await read(sdk, key)).live_until == (found.ledger or 0) + extend_to
        return
    (refused,) = stellar_xdr.TransactionResult.from_xdr(sent.error_result_xdr).result.results
    assert (
        refused.tr.extend_footprint_ttl_result.code
        is stellar_xdr.ExtendFootprintTTLResultCode.EXTEND_FOOTPRINT_TTL_MALFORMED
    )
