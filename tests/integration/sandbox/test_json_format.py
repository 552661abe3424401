"""`xdrFormat: json`: XDR as the JSON of SEP-51, in fields of their own, by every method that gives XDR."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.network import Network


def fields_of(value: Any) -> set[str]:
    """The names of all fields, however deep, that end like XDR does."""
    if isinstance(value, list):
        return {name for item in value for name in fields_of(item)}
    if isinstance(value, dict):
        here = {name for name in value if name.endswith(("Xdr", "Json"))}
        return here | {name for item in value.values() for name in fields_of(item)}
    return set()


@pytest.fixture
async def applied(network: Network, alice: Keypair) -> tuple[str, str]:
    """A registry and the hash of the transaction that initialised it with an event."""
    contract = await network.deploy(alice, "task_registry")
    envelope = await network.invocation(
        alice, contract, "init", scval.to_address(alice.public_key), scval.to_void()
    )
    envelope.sign(alice)
    await network.apply(envelope)
    return contract, envelope.hash_hex()


async def test_a_transaction_in_json(network: Network, alice: Keypair, applied: tuple[str, str]) -> None:
    contract, tx_hash = applied
    found = await network.result("getTransaction", hash=tx_hash, xdrFormat="json")
    assert fields_of(found) == {
        "envelopeJson", "resultJson", "resultMetaJson", "transactionEventsJson", "contractEventsJson",
    }  # fmt: skip
    tx = found["envelopeJson"]["tx"]["tx"]
    assert tx["source_account"] == alice.public_key
    # 64-bit numbers are text, so that no reader rounds them.
    assert isinstance(tx["seq_num"], str)
    (operation,) = tx["operations"]
    called = operation["body"]["invoke_host_function"]["host_function"]["invoke_contract"]
    assert (called["contract_address"], called["function_name"]) == (contract, "init")
    assert found["resultJson"]["result"]["tx_success"]
    assert "v4" in found["resultMetaJson"]
    ((event,),) = found["events"]["contractEventsJson"]
    assert event["contract_id"] == contract

    page = await network.result("getTransactions", startLedger=found["ledger"], xdrFormat="json")
    (in_page,) = page["transactions"]
    assert {key: in_page[key] for key in in_page if key != "createdAt"} == {
        key: found[key] for key in in_page if key != "createdAt"
    }


async def test_a_failed_transaction_in_json_has_its_diagnostics(network: Network, alice: Keypair) -> None:
    contract = await network.deploy(alice, "counter")
    envelope = await network.invocation(alice, contract, "increment")
    assert envelope.transaction.soroban_data
    envelope.transaction.soroban_data.resources.instructions = stellar_xdr.Uint32(1_000)
    envelope.sign(alice)
    await network.apply(envelope)
    found = await network.result("getTransaction", hash=envelope.hash_hex(), xdrFormat="json")
    assert found["status"] == "FAILED"
    assert all("in_successful_contract_call" in event for event in found["diagnosticEventsJson"])
    assert found["resultJson"]["result"]["tx_failed"] == [
        {"op_inner": {"invoke_host_function": "resource_limit_exceeded"}}
    ]


async def test_ledgers_in_json_keep_their_base64_fields_empty(network: Network) -> None:
    """The header is of protocol 30, with its close time in milliseconds."""
    await network.fund(Keypair.random())
    page = await network.result("getLedgers", startLedger=2, pagination={"limit": 1}, xdrFormat="json")
    (ledger,) = page["ledgers"]
    assert (ledger["headerXdr"], ledger["metadataXdr"]) == ("", "")
    assert ledger["headerJson"]["hash"] == ledger["hash"]
    header = ledger["headerJson"]["header"]
    assert (header["ledger_seq"], header["ledger_version"]) == (2, 30)
    signed = header["scp_value"]["ext"]["signed_ms"]
    assert int(signed["close_time_ms"]) // 1000 == int(ledger["ledgerCloseTime"])
    meta = ledger["metadataJson"]["v2"]
    assert meta["ledger_header"] == ledger["headerJson"]
    assert {"tx_set", "tx_processing", "evicted_keys"} <= set(meta)


async def test_entries_in_json(network: Network, alice: Keypair, applied: tuple[str, str]) -> None:
    account = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(alice.xdr_account_id()),
    )
    instance = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            Address(applied[0]).to_xdr_sc_address(),
            stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE),
            stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )
    keys = [account.to_xdr(), instance.to_xdr()]
    entries = (await network.result("getLedgerEntries", keys=keys, xdrFormat="json"))["entries"]
    assert fields_of(entries) == {"keyJson", "dataJson", "extJson"}
    assert entries[0]["keyJson"] == {"account": {"account_id": alice.public_key}}
    assert entries[0]["dataJson"]["account"]["account_id"] == alice.public_key
    assert entries[0]["extJson"] == "v0"
    assert entries[1]["dataJson"]["contract_data"]["key"] == "ledger_key_contract_instance"
    assert entries[1]["liveUntilLedgerSeq"] > 0


async def test_events_in_json(network: Network, applied: tuple[str, str]) -> None:
    ledger = (await network.result("getTransaction", hash=applied[1]))["ledger"]
    page = await network.result(
        "getEvents", startLedger=ledger, filters=[{"contractIds": [applied[0]]}], xdrFormat="json"
    )
    (event,) = page["events"]
    assert fields_of(event) == {"topicJson", "valueJson"}
    assert event["topicJson"] == [{"symbol": "ContractInitialized"}, {"symbol": "v1"}]
    assert "topic" not in event
    assert "value" not in event


async def test_a_refused_transaction_in_json(network: Network, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    envelope.transaction.sequence += 1
    envelope.sign(alice)
    sent = await network.result("sendTransaction", transaction=envelope.to_xdr(), xdrFormat="json")
    assert sent["status"] == "ERROR"
    assert "errorResultXdr" not in sent
    assert sent["errorResultJson"]["result"] == "tx_bad_seq"
    envelope.transaction.sequence -= 1
    envelope.signatures.clear()
    envelope.sign(alice)
    sent = await network.result("sendTransaction", transaction=envelope.to_xdr(), xdrFormat="json")
    assert set(sent) == {"status", "hash", "latestLedger", "latestLedgerCloseTime"}


async def test_a_simulation_in_json(network: Network, alice: Keypair, counter: str) -> None:
    builder = (await network.builder(alice)).append_invoke_contract_function_op(
        counter, "bump", [scval.to_uint64(9)]
    )
    envelope = builder.build().to_xdr()
    result = await network.result("simulateTransaction", transaction=envelope, xdrFormat="json")
    assert result["transactionDataJson"]["resource_fee"] == result["minResourceFee"]
    # Nobody authorizes anything here, and then the list is left out, other than in base64.
    assert result["results"] == [{"returnValueJson": {"u64": "1"}}]
    created = [change for change in result["stateChanges"] if change["type"] == "created"]
    assert created
    for change in result["stateChanges"]:
        assert (change["before"], change["after"]) == (None, None)
        assert "key" not in change
        assert ("beforeJson" in change) is (change["type"] != "created")
    assert result["eventsJson"]
    assert fields_of(result) == {
        "transactionDataJson", "returnValueJson", "keyJson", "afterJson", "eventsJson",
    }  # fmt: skip


async def test_an_unknown_transaction_in_json(network: Network) -> None:
    found = await network.result("getTransaction", hash="ab" * 32, xdrFormat="json")
    assert found["status"] == "NOT_FOUND"
    assert fields_of(found) == set()
