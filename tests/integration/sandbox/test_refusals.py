"""What the network refuses, with the status and the result code it refuses it with."""

from __future__ import annotations

import pytest
from stellar_sdk import (
    Account,
    Asset,
    Keypair,
    Network,
    SorobanDataBuilder,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionResponse, SendTransactionStatus

from helpers.network import Network as Sandbox
from helpers.network import native, result_codes

ERROR = SendTransactionStatus.ERROR


async def payment(
    network: Sandbox, source: Keypair, base_fee: int = 100, sequence_offset: int = 0
) -> TransactionBuilder:
    """A payment of the smallest amount to oneself, still open for bounds."""
    account = await network.account(source)
    account.sequence += sequence_offset
    builder = TransactionBuilder(account, network.passphrase, base_fee)
    return builder.append_payment_op(source.public_key, Asset.native(), "0.0000001")


async def send(network: Sandbox, envelope: TransactionEnvelope, *signers: Keypair) -> SendTransactionResponse:
    for signer in signers:
        envelope.sign(signer)
    return await network.rpc.send_transaction(envelope)


async def refused(
    network: Sandbox, envelope: TransactionEnvelope, *signers: Keypair
) -> tuple[str, str | None]:
    """The result codes of a refusal; nothing of it may reach the queue."""
    answer = await send(network, envelope, *signers)
    assert answer.status is ERROR, answer
    assert answer.hash == envelope.hash_hex()
    assert await network.pending() == 0
    return result_codes(answer.error_result_xdr)


async def balance(network: Sandbox, keypair: Keypair) -> int:
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(keypair.xdr_account_id()),
    )
    entries = (await network.rpc.get_ledger_entries([key])).entries
    assert entries
    account = stellar_xdr.LedgerEntryData.from_xdr(entries[0].xdr).account
    assert account is not None
    return account.balance.int64


async def test_wrong_signer(network: Sandbox, alice: Keypair) -> None:
    envelope = (await payment(network, alice)).add_time_bounds(0, 0).build()
    assert await refused(network, envelope, Keypair.random()) == ("txBAD_AUTH", None)


async def test_no_signature(network: Sandbox, alice: Keypair) -> None:
    envelope = (await payment(network, alice)).add_time_bounds(0, 0).build()
    assert await refused(network, envelope) == ("txBAD_AUTH", None)


async def test_a_signature_too_many(network: Sandbox, alice: Keypair) -> None:
    envelope = (await payment(network, alice)).add_time_bounds(0, 0).build()
    assert await refused(network, envelope, alice, Keypair.random()) == ("txBAD_AUTH_EXTRA", None)


async def test_the_operation_sources_signature_is_missing(
    network: Sandbox, alice: Keypair, counter: str
) -> None:
    bob = Keypair.random()
    await network.fund(bob)
    envelope = await network.invocation(alice, counter, "increment", operation_source=bob)
    assert await refused(network, envelope, alice) == ("txFAILED", "opBAD_AUTH")
    envelope.sign(bob)
    found = await network.apply(envelope)
    assert (found.status, native(found)) == (GetTransactionStatus.SUCCESS, 1)


async def test_signed_for_another_network(network: Sandbox, alice: Keypair) -> None:
    envelope = (await payment(network, alice)).add_time_bounds(0, 0).build()
    elsewhere = TransactionEnvelope(envelope.transaction, Network.TESTNET_NETWORK_PASSPHRASE)
    elsewhere.sign(alice)
    envelope.signatures = elsewhere.signatures
    assert await refused(network, envelope) == ("txBAD_AUTH", None)


@pytest.mark.parametrize("offset", [-1, 1, 1_000])
async def test_sequence_too_low_and_too_high(network: Sandbox, alice: Keypair, offset: int) -> None:
    envelope = (await payment(network, alice, sequence_offset=offset)).add_time_bounds(0, 0).build()
    assert await refused(network, envelope, alice) == ("txBAD_SEQ", None)


async def test_expired_and_too_early(network: Sandbox, alice: Keypair) -> None:
    closed = await network.advance()
    now, ledger = closed["close_time"], closed["latest_ledger"]
    for late in (
        (await payment(network, alice)).add_time_bounds(0, now - 1),
        (await payment(network, alice)).add_time_bounds(0, 0).set_ledger_bounds(0, ledger + 1),
    ):
        assert await refused(network, late.build(), alice) == ("txTOO_LATE", None)
    for early in (
        (await payment(network, alice)).add_time_bounds(now + 1_000, 0),
        (await payment(network, alice)).add_time_bounds(0, 0).set_ledger_bounds(ledger + 5, 0),
    ):
        assert await refused(network, early.build(), alice) == ("txTOO_EARLY", None)

    due = (await payment(network, alice)).add_time_bounds(now + 1_000, 0).build()
    await network.advance(seconds=1_001)
    due.sign(alice)
    assert (await network.apply(due)).status is GetTransactionStatus.SUCCESS


async def test_ledger_bounds_let_the_next_ledger_in(network: Sandbox, alice: Keypair) -> None:
    ledger = (await network.advance())["latest_ledger"]
    envelope = (await payment(network, alice)).add_time_bounds(0, 0).set_ledger_bounds(0, ledger + 2).build()
    envelope.sign(alice)
    assert (await network.apply(envelope)).ledger == ledger + 1


async def test_one_pending_transaction_per_source(network: Sandbox, alice: Keypair) -> None:
    first = (await payment(network, alice)).add_time_bounds(0, 0).build()
    assert (await send(network, first, alice)).status is SendTransactionStatus.PENDING
    assert (await send(network, first)).status is SendTransactionStatus.DUPLICATE
    second = (await payment(network, alice, base_fee=200)).add_time_bounds(0, 0).build()
    answer = await send(network, second, alice)
    assert answer.status is SendTransactionStatus.TRY_AGAIN_LATER
    assert answer.error_result_xdr is None
    assert await network.pending() == 1

    await network.advance()
    assert (await network.rpc.get_transaction(first.hash_hex())).status is GetTransactionStatus.SUCCESS
    assert (await network.rpc.get_transaction(second.hash_hex())).status is GetTransactionStatus.NOT_FOUND
    third = (await payment(network, alice)).add_time_bounds(0, 0).build()
    assert (await send(network, third, alice)).status is SendTransactionStatus.PENDING


async def test_inclusion_fee_too_low(network: Sandbox, alice: Keypair) -> None:
    envelope = (await payment(network, alice, base_fee=99)).add_time_bounds(0, 0).build()
    assert await refused(network, envelope, alice) == ("txINSUFFICIENT_FEE", None)


async def test_inclusion_fee_beside_the_resource_fee_too_low(
    network: Sandbox, alice: Keypair, counter: str
) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    assert envelope.transaction.soroban_data is not None
    envelope.transaction.fee = envelope.transaction.soroban_data.resource_fee.int64 + 99
    assert await refused(network, envelope, alice) == ("txINSUFFICIENT_FEE", None)


async def test_resource_fee_too_low(network: Sandbox, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    data = SorobanDataBuilder.from_xdr(envelope.transaction.soroban_data)
    envelope.transaction.soroban_data = data.set_resource_fee(10).build()
    assert (await refused(network, envelope, alice))[0] == "txSOROBAN_INVALID"


async def test_resources_beyond_the_network_limits(network: Sandbox, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    assert envelope.transaction.soroban_data is not None
    data = SorobanDataBuilder.from_xdr(envelope.transaction.soroban_data)
    resources = envelope.transaction.soroban_data.resources
    data.set_resources(600_000_000, resources.disk_read_bytes.uint32, resources.write_bytes.uint32)
    data.set_resource_fee(10_000_000)
    envelope.transaction.soroban_data = data.build()
    envelope.transaction.fee = 10_000_100
    assert (await refused(network, envelope, alice))[0] == "txSOROBAN_INVALID"


async def test_balance_too_low(network: Sandbox, alice: Keypair) -> None:
    poor = Keypair.random()
    create = (await network.builder(alice)).append_create_account_op(poor.public_key, "2").build()
    create.sign(alice)
    assert (await network.apply(create)).status is GetTransactionStatus.SUCCESS
    spend = (await payment(network, poor, base_fee=20_000_000)).add_time_bounds(0, 0).build()
    assert await refused(network, spend, poor) == ("txINSUFFICIENT_BALANCE", None)


async def test_an_account_that_does_not_exist(network: Sandbox, alice: Keypair) -> None:
    nobody = Keypair.random()
    builder = TransactionBuilder(Account(nobody.public_key, 1), network.passphrase).add_time_bounds(0, 0)
    builder.append_payment_op(alice.public_key, Asset.native(), "1")
    assert await refused(network, builder.build(), nobody) == ("txNO_ACCOUNT", None)


async def test_operations_that_are_not_supported_are_refused_by_name(
    network: Sandbox, alice: Keypair
) -> None:
    asset = Asset("COIN", alice.public_key)
    builder = (await network.builder(alice)).append_manage_sell_offer_op(Asset.native(), asset, "1", "1")
    envelope = builder.build()
    answer = await send(network, envelope, alice)
    assert answer.status is ERROR
    assert result_codes(answer.error_result_xdr) == ("txFAILED", "opNOT_SUPPORTED")
    assert answer.diagnostic_events_xdr
    told = [stellar_xdr.DiagnosticEvent.from_xdr(event).to_json() for event in answer.diagnostic_events_xdr]
    assert "ManageSellOffer" in "".join(told)


async def test_a_footprint_that_is_too_small_fails_and_costs(
    network: Sandbox, alice: Keypair, counter: str
) -> None:
    envelope = await network.invocation(alice, counter, "bump", scval.to_uint64(3))
    data = SorobanDataBuilder.from_xdr(envelope.transaction.soroban_data)
    assert envelope.transaction.soroban_data is not None
    footprint = envelope.transaction.soroban_data.resources.footprint
    envelope.transaction.soroban_data = data.set_read_only(footprint.read_only).set_read_write([]).build()
    envelope.sign(alice)
    before = await balance(network, alice)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.FAILED
    assert result_codes(found.result_xdr) == ("txFAILED", "INVOKE_HOST_FUNCTION_TRAPPED")
    assert found.result_xdr is not None
    charged = stellar_xdr.TransactionResult.from_xdr(found.result_xdr).fee_charged.int64
    assert 0 < charged <= envelope.transaction.fee
    assert await balance(network, alice) == before - charged
    count = await network.invoke(alice, counter, "bump", scval.to_uint64(3))
    assert native(count) == 1


async def test_too_few_instructions_fail(network: Sandbox, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    assert envelope.transaction.soroban_data is not None
    resources = envelope.transaction.soroban_data.resources
    data = SorobanDataBuilder.from_xdr(envelope.transaction.soroban_data)
    data.set_resources(1_000, resources.disk_read_bytes.uint32, resources.write_bytes.uint32)
    envelope.transaction.soroban_data = data.build()
    envelope.sign(alice)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.FAILED
    assert result_codes(found.result_xdr) == ("txFAILED", "INVOKE_HOST_FUNCTION_RESOURCE_LIMIT_EXCEEDED")


async def test_a_contract_that_panics(network: Sandbox, alice: Keypair) -> None:
    contract = await network.deploy(alice, "always_panics")
    builder = (await network.builder(alice)).append_invoke_contract_function_op(contract, "run", [])
    simulated = await network.rpc.simulate_transaction(builder.build())
    assert simulated.error
    cause, _, log = simulated.error.partition("\n\nEvent log (newest first):\n")
    assert cause == "HostError: Error(WasmVm, InvalidAction)"
    assert log.startswith("   0: [Diagnostic Event] "), log
    assert f"contract:{contract}, topics:[error, Error(WasmVm, InvalidAction)]" in log
    assert simulated.events
    assert len(log.splitlines()) == len(simulated.events)
    assert simulated.latest_ledger > 0
    assert simulated.results is None


async def test_a_panic_on_the_ledger_keeps_the_fee_and_the_sequence(
    network: Sandbox, alice: Keypair, counter: str
) -> None:
    """Prepared for a call that works and then pointed at a function that does not exist."""
    envelope = await network.invocation(alice, counter, "increment")
    operation = envelope.transaction.operations[0].to_xdr_object()
    assert operation.body.invoke_host_function_op is not None
    call = operation.body.invoke_host_function_op.host_function.invoke_contract
    assert call is not None
    call.function_name.sc_symbol = b"decrement"
    envelope.transaction.operations[0] = type(envelope.transaction.operations[0]).from_xdr_object(operation)
    envelope.sign(alice)
    sequence = (await network.account(alice)).sequence
    found = await network.apply(envelope)
    assert result_codes(found.result_xdr) == ("txFAILED", "INVOKE_HOST_FUNCTION_TRAPPED")
    assert found.diagnostic_events_xdr
    assert (await network.account(alice)).sequence == sequence + 1


async def test_a_payment_that_cannot_be_made(network: Sandbox, alice: Keypair) -> None:
    builder = (await network.builder(alice)).append_payment_op(
        Keypair.random().public_key, Asset.native(), "1"
    )
    envelope = builder.build()
    envelope.sign(alice)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.FAILED
    assert result_codes(found.result_xdr) == ("txFAILED", "PAYMENT_NO_DESTINATION")


async def test_the_unused_refundable_fee_comes_back(network: Sandbox, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    assert envelope.transaction.soroban_data is not None
    generous = envelope.transaction.soroban_data.resource_fee.int64 + 5_000_000
    data = SorobanDataBuilder.from_xdr(envelope.transaction.soroban_data)
    envelope.transaction.soroban_data = data.set_resource_fee(generous).build()
    envelope.transaction.fee = generous + 100
    envelope.sign(alice)
    before = await balance(network, alice)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.SUCCESS
    assert found.result_xdr is not None
    charged = stellar_xdr.TransactionResult.from_xdr(found.result_xdr).fee_charged.int64
    assert charged < generous - 4_000_000
    assert await balance(network, alice) == before - charged
