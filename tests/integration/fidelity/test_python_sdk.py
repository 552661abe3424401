"""The public Python SDK, asynchronous and blocking, doing what its users do with it."""

from __future__ import annotations

import hashlib

import pytest
from stellar_sdk import Asset, Keypair, MuxedAccount, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.contract.exceptions import NeedsMoreSignaturesError, SimulationFailedError
from stellar_sdk.exceptions import PrepareTransactionException
from stellar_sdk.soroban_rpc import EventFilter, EventFilterType, GetTransactionStatus

from helpers.network import return_value
from helpers.sdk import Sdk, settle, task_config

XLM = 10_000_000


async def balance(sdk: Sdk, address: str) -> int:
    """Stroops of an account, as its ledger entry has them."""
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(Keypair.from_public_key(address).xdr_account_id()),
    )
    (entry,) = (await settle(sdk.server.get_ledger_entries([key]))).entries
    account = stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).account
    assert account is not None
    return account.balance.int64


async def test_accounts_are_made_and_paid(sdk: Sdk, alice: Keypair) -> None:
    carol = Keypair.random()
    builder = await sdk.builder(alice)
    builder.append_create_account_op(carol.public_key, "20")
    builder.append_payment_op(MuxedAccount(carol.public_key, 7), Asset.native(), "1.5")
    envelope = builder.add_text_memo("rent").build()
    envelope.sign(alice)
    found = await sdk.run(envelope)
    assert found.status is GetTransactionStatus.SUCCESS, found
    assert found.transaction_hash == envelope.hash_hex()
    assert found.envelope_xdr == envelope.to_xdr()
    assert await balance(sdk, carol.public_key) == 21_5000000
    assert await balance(sdk, alice.public_key) == 10_000 * XLM - 21_5000000 - 200
    account = await settle(sdk.server.load_account(carol.public_key))
    assert account.sequence == (found.ledger or 0) << 32


async def test_a_contract_is_deployed_called_and_read(sdk: Sdk, alice: Keypair) -> None:
    contract = await sdk.deploy(alice, "counter")
    wasm = await settle(sdk.server.get_contract_wasm(contract))
    key = scval.to_uint64(7)
    async with sdk.network.http.get(f"{sdk.network.ready['admin_url']}/contracts/counter.wasm") as response:
        assert wasm == await response.read()
    client = sdk.client(contract)
    for expected in (1, 2):
        call = await settle(client.invoke("bump", [key], alice.public_key, alice, scval.from_uint64))
        assert not call.is_read_call()
        assert call.result() == expected  # what the simulation says
        assert await settle(call.sign_and_submit()) == expected
    read = await settle(client.invoke("get", [key], alice.public_key, parse_result_xdr_fn=scval.from_uint64))
    assert read.is_read_call()
    assert read.result() == 2
    stored = await settle(sdk.server.get_contract_data(contract, scval.to_vec([scval.to_symbol("Key"), key])))
    data = stellar_xdr.LedgerEntryData.from_xdr(stored.xdr).contract_data
    assert data is not None
    assert scval.to_native(data.val) == 2
    spec = await settle(sdk.server.get_contract_spec(contract))
    names = {entry.function_v0.name.sc_symbol for entry in spec.entries if entry.function_v0}
    assert names == {b"increment", b"count", b"bump", b"get"}


@pytest.mark.parametrize("upgraded", [True, False], ids=["address v2", "address"])
async def test_another_account_signs_its_authorization(
    sdk: Sdk, alice: Keypair, bob: Keypair, upgraded: bool
) -> None:
    registry, counter = await sdk.deploy(alice, "task_registry"), await sdk.deploy(alice, "counter")
    client = sdk.client(registry)
    admin = [scval.to_address(alice.public_key), scval.to_void()]
    await settle((await settle(client.invoke("init", admin, alice.public_key, alice))).sign_and_submit())

    # Alice pays for the transaction, the task is Bob's.
    task = task_config(bob.public_key, counter, "increment")
    call = await settle(
        client.invoke(
            "register", [task], alice.public_key, alice, scval.from_uint64, use_upgraded_auth=upgraded
        )
    )
    assert call.needs_non_invoker_signing_by() == {bob.public_key}
    with pytest.raises(NeedsMoreSignaturesError):
        call.sign()
    await settle(call.authorize(bob))
    assert await settle(call.sign_and_submit()) == 1
    assert await balance(sdk, bob.public_key) == 10_000 * XLM

    # The nonce of that signature is used up: the same entry does not count twice.
    (signed,) = call.built_transaction.transaction.operations
    builder = await sdk.builder(alice)
    builder.append_operation(signed)
    with pytest.raises(PrepareTransactionException) as refused:
        await settle(sdk.server.prepare_transaction(builder.build()))
    assert "Error(Auth, ExistingValue)" in (refused.value.simulate_transaction_response.error or "")


async def test_what_nobody_authorized_is_refused(sdk: Sdk, alice: Keypair, bob: Keypair) -> None:
    registry, counter = await sdk.deploy(alice, "task_registry"), await sdk.deploy(alice, "counter")
    client = sdk.client(registry)
    admin = [scval.to_address(alice.public_key), scval.to_void()]
    await settle((await settle(client.invoke("init", admin, alice.public_key, alice))).sign_and_submit())
    task = task_config(bob.public_key, counter, "increment")
    call = await settle(client.invoke("register", [task], alice.public_key, alice))
    # Signed, but by somebody who is not Bob.
    (entry,) = call.built_transaction.transaction.operations[0].auth
    entry.credentials = stellar_xdr.SorobanCredentials(
        stellar_xdr.SorobanCredentialsType.SOROBAN_CREDENTIALS_SOURCE_ACCOUNT
    )
    call.built_transaction.sign(alice)
    found = await sdk.run(call.built_transaction)
    assert found.status is GetTransactionStatus.FAILED
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr).result.results[0]
    assert (
        result.tr.invoke_host_function_result.code
        is stellar_xdr.InvokeHostFunctionResultCode.INVOKE_HOST_FUNCTION_TRAPPED
    )


async def test_events_are_found_page_by_page(sdk: Sdk, alice: Keypair) -> None:
    registry, counter = await sdk.deploy(alice, "task_registry"), await sdk.deploy(alice, "counter")
    before = (await settle(sdk.server.get_health())).latest_ledger
    client = sdk.client(registry)
    admin = [scval.to_address(alice.public_key), scval.to_void()]
    await settle((await settle(client.invoke("init", admin, alice.public_key, alice))).sign_and_submit())
    hashes = []
    for _ in range(3):
        task = task_config(alice.public_key, counter, "increment")
        call = await settle(client.invoke("register", [task], alice.public_key, alice, scval.from_uint64))
        await settle(call.sign_and_submit())
        hashes.append(call.send_transaction_response.hash)

    topic = [scval.to_symbol("TaskRegistered").to_xdr(), "**"]
    wanted = EventFilter(type=EventFilterType.CONTRACT, contractIds=[registry], topics=[topic])
    first = await settle(sdk.server.get_events(before, filters=[wanted], limit=2))
    rest = await settle(sdk.server.get_events(filters=[wanted], cursor=first.cursor, limit=2))
    assert [event.transaction_hash for event in first.events] == hashes[:2]
    assert [event.transaction_hash for event in rest.events] == hashes[2:]
    assert {event.contract_id for event in first.events} == {registry}
    everything = await settle(sdk.server.get_events(before, filters=[wanted]))
    assert [event.id for event in everything.events] == [event.id for event in [*first.events, *rest.events]]


async def test_the_native_asset_is_a_contract(sdk: Sdk, alice: Keypair, bob: Keypair) -> None:
    contract = await settle(
        sdk.client_type.create_stellar_asset_contract_from_asset(
            Asset.native(), alice.public_key, alice, sdk.server
        )
    )
    assert contract == Asset.native().contract_id(sdk.network.passphrase)
    client, holder = sdk.client(contract), await sdk.deploy(alice, "counter")
    for receiver in (bob.public_key, holder):
        amounts = [scval.to_address(receiver), scval.to_int128(3 * XLM)]
        call = await settle(
            client.invoke("transfer", [scval.to_address(alice.public_key), *amounts], alice.public_key, alice)
        )
        await settle(call.sign_and_submit())
        read = await settle(
            client.invoke("balance", amounts[:1], alice.public_key, parse_result_xdr_fn=scval.from_int128)
        )
        assert read.result() == (10_003 * XLM if receiver == bob.public_key else 3 * XLM)
    held = await settle(sdk.server.get_sac_balance(holder, Asset.native(), sdk.network.passphrase))
    assert held.balance_entry is not None
    assert int(held.balance_entry.amount) == 3 * XLM
    too_much = [scval.to_address(alice.public_key), scval.to_address(bob.public_key), scval.to_int128(10**15)]
    with pytest.raises(SimulationFailedError):
        await settle(client.invoke("transfer", too_much, alice.public_key, alice))


async def test_the_code_of_a_contract_is_known_by_its_hash(sdk: Sdk, alice: Keypair) -> None:
    async with sdk.network.http.get(f"{sdk.network.ready['admin_url']}/contracts/counter.wasm") as response:
        wasm = await response.read()
    builder = (await sdk.builder(alice)).append_upload_contract_wasm_op(wasm)
    found = await sdk.prepare_and_run(builder, alice)
    assert found.status is GetTransactionStatus.SUCCESS
    assert scval.from_bytes(return_value(found)) == hashlib.sha256(wasm).digest()
    assert await settle(sdk.server.get_contract_wasm_by_hash(hashlib.sha256(wasm).digest())) == wasm
