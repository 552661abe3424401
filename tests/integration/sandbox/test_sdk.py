"""The public Python SDK as any user would use it, against ledgers that close by themselves."""

from __future__ import annotations

import hashlib

import pytest
from stellar_sdk import Asset, Keypair, Network, SorobanServerAsync, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.contract import ContractClientAsync
from stellar_sdk.contract.exceptions import SimulationFailedError
from stellar_sdk.soroban_rpc import EventFilter, EventFilterType, GetTransactionStatus

from helpers.network import Network as Sandbox
from helpers.network import eventually

PASSPHRASE = Network.STANDALONE_NETWORK_PASSPHRASE


async def wasm_of(sandbox: Sandbox, name: str) -> bytes:
    async with sandbox.http.get(f"{sandbox.ready['admin_url']}/contracts/{name}.wasm") as response:
        return await response.read()


async def funded(sandbox: Sandbox) -> Keypair:
    keypair = Keypair.random()
    status, _ = await sandbox.friendbot(keypair.public_key)
    assert status == 200
    return keypair


async def test_deploy_call_and_read_events(ticking: Sandbox) -> None:
    alice = await funded(ticking)
    wasm = await wasm_of(ticking, "task_registry")
    async with SorobanServerAsync(ticking.ready["rpc_url"]) as rpc:
        wasm_hash = await ContractClientAsync.upload_contract_wasm(wasm, alice.public_key, alice, rpc)
        assert wasm_hash == hashlib.sha256(wasm).digest()
        contract = await ContractClientAsync.create_contract(wasm_hash, alice.public_key, alice, rpc)
        assert await rpc.get_contract_wasm(contract) == wasm

        before = (await rpc.get_latest_ledger()).sequence
        client = ContractClientAsync(contract, ticking.ready["rpc_url"], PASSPHRASE)
        async with client.server:
            init = await client.invoke(
                "init",
                [scval.to_address(alice.public_key), scval.to_void()],
                source=alice.public_key,
                signer=alice,
            )
            await init.sign_and_submit()
            assert init.send_transaction_response is not None
            found = await rpc.get_transaction(init.send_transaction_response.hash)

            again = client.invoke(
                "init", [scval.to_address(alice.public_key), scval.to_void()], alice.public_key
            )
            with pytest.raises(SimulationFailedError):
                await again

            tasks = await client.invoke(
                "get_counter", source=alice.public_key, parse_result_xdr_fn=scval.from_uint64
            )
            assert tasks.result() == 0

        assert found.status is GetTransactionStatus.SUCCESS
        assert found.ledger is not None
        page = await rpc.get_events(
            before, filters=[EventFilter(type=EventFilterType.CONTRACT, contractIds=[contract])]
        )
        (event,) = page.events
        topics = [scval.to_native(topic) for topic in event.topic]
        assert topics == ["ContractInitialized", "v1"]
        assert event.transaction_hash == init.send_transaction_response.hash
        assert event.ledger == found.ledger
        assert event.contract_id == contract
        assert event.ledger_close_at.timestamp() == found.create_at
        assert event.transaction_index == found.application_order
        assert found.events is not None
        assert found.events.contract_events_xdr is not None
        ((in_transaction,),) = found.events.contract_events_xdr
        assert stellar_xdr.ContractEvent.from_xdr(in_transaction).body.v0 is not None


async def test_a_counter_counts(ticking: Sandbox) -> None:
    alice = await funded(ticking)
    async with SorobanServerAsync(ticking.ready["rpc_url"]) as rpc:
        wasm_hash = await ContractClientAsync.upload_contract_wasm(
            await wasm_of(ticking, "counter"), alice.public_key, alice, rpc
        )
        contract = await ContractClientAsync.create_contract(wasm_hash, alice.public_key, alice, rpc)
    client = ContractClientAsync(contract, ticking.ready["rpc_url"], PASSPHRASE)
    async with client.server:
        for expected in (1, 2):
            call = await client.invoke(
                "increment", source=alice.public_key, signer=alice, parse_result_xdr_fn=scval.from_uint32
            )
            assert await call.sign_and_submit() == expected
        count = await client.invoke("count", source=alice.public_key, parse_result_xdr_fn=scval.from_uint32)
        assert count.is_read_call()
        assert count.result() == 2


async def test_classic_operations(ticking: Sandbox) -> None:
    alice, bob = await funded(ticking), Keypair.random()
    account = await ticking.rpc.load_account(alice.public_key)
    envelope = (
        TransactionBuilder(account, PASSPHRASE)
        .append_create_account_op(bob.public_key, "50")
        .append_payment_op(bob.public_key, Asset.native(), "2.5")
        .set_timeout(60)
        .build()
    )
    envelope.sign(alice)
    sent = await ticking.rpc.send_transaction(envelope)
    found = await ticking.rpc.poll_transaction(sent.hash)
    assert found.status is GetTransactionStatus.SUCCESS, found
    assert found.envelope_xdr == envelope.to_xdr()
    assert (await ticking.rpc.load_account(bob.public_key)).sequence == (found.ledger or 0) << 32


async def test_the_small_reads(ticking: Sandbox) -> None:
    async def closed() -> bool:
        return (await ticking.rpc.get_latest_ledger()).sequence > 2

    await eventually(closed, "a few ledgers")
    health = await ticking.rpc.get_health()
    assert health.status == "healthy"
    assert health.oldest_ledger <= health.latest_ledger
    network = await ticking.rpc.get_network()
    assert network.passphrase == PASSPHRASE
    assert network.protocol_version == 30
    version = await ticking.rpc.get_version_info()
    assert version.protocol_version == 30
    assert "sorofast" in version.version
    latest = await ticking.rpc.get_latest_ledger()
    assert latest.protocol_version == 30
    assert latest.header_xdr
    assert latest.metadata_xdr
    assert (await ticking.rpc.get_fee_stats()).latest_ledger >= latest.sequence
