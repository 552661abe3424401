"""getLedgerEntries, getEvents, getTransaction, getFeeStats and getLatestLedger: forms, limits, pages."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from stellar_sdk import Address, Asset, Keypair, StrKey, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus

from helpers.network import Network, native


def account_key(keypair: Keypair) -> str:
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(keypair.xdr_account_id()),
    ).to_xdr()


def data_key(contract: str, key: stellar_xdr.SCVal) -> str:
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            Address(contract).to_xdr_sc_address(), key, stellar_xdr.ContractDataDurability.PERSISTENT
        ),
    ).to_xdr()


INSTANCE = stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)


async def test_entries_come_in_the_order_of_the_keys_without_the_missing(
    network: Network, alice: Keypair, counter: str
) -> None:
    keys = [data_key(counter, INSTANCE), account_key(Keypair.random()), account_key(alice)]
    result = await network.result("getLedgerEntries", keys=keys)
    assert set(result) == {"entries", "latestLedger"}
    instance, account = result["entries"]
    assert [instance["key"], account["key"]] == [keys[0], keys[2]]
    assert "liveUntilLedgerSeq" not in account
    assert instance["liveUntilLedgerSeq"] > result["latestLedger"] + 1_000_000
    for entry in (instance, account):
        assert 0 < entry["lastModifiedLedgerSeq"] <= result["latestLedger"]
        assert entry["extXdr"] == "AAAAAA=="
        stellar_xdr.LedgerEntryData.from_xdr(entry["xdr"])
    assert (await network.result("getLedgerEntries", keys=list(reversed(keys))))["entries"] == [
        account,
        instance,
    ]
    error = await network.error("getLedgerEntries", keys=[])
    assert error["code"] == -32603
    assert "no keys" in error["message"]


async def test_keys_that_are_refused(network: Network) -> None:
    keys = [account_key(Keypair.random()) for _ in range(201)]
    assert (await network.result("getLedgerEntries", keys=keys[:200]))["entries"] == []
    error = await network.error("getLedgerEntries", keys=keys)
    assert error == {"code": -32602, "message": "key count (201) exceeds maximum supported (200)"}
    error = await network.error("getLedgerEntries", keys=[keys[0], keys[1], keys[0]])
    assert error["code"] == -32603
    ttl = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.TTL, ttl=stellar_xdr.LedgerKeyTtl(stellar_xdr.Hash(bytes(32)))
    ).to_xdr()
    for wrong, words in ((ttl, "ttl"), ("AAAA", "index 1"), ("!", "index 1"), (keys[0] + "AAAA", "index 1")):
        error = await network.error("getLedgerEntries", keys=[keys[1], wrong])
        assert error["code"] == -32602
        assert words in error["message"]


async def test_every_setting_can_be_read_and_decoded(network: Network) -> None:
    """The settings of protocol 30 have cost types that this SDK does not know, so those are left out."""
    beyond_the_sdk = {
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_CONTRACT_COST_PARAMS_CPU_INSTRUCTIONS,
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_CONTRACT_COST_PARAMS_MEMORY_BYTES,
    }
    settings = [setting for setting in stellar_xdr.ConfigSettingID if setting not in beyond_the_sdk]
    keys = [
        stellar_xdr.LedgerKey(
            stellar_xdr.LedgerEntryType.CONFIG_SETTING,
            config_setting=stellar_xdr.LedgerKeyConfigSetting(setting),
        )
        for setting in settings
    ]
    entries = (await network.rpc.get_ledger_entries(keys)).entries
    assert entries
    found = {
        entry.config_setting.config_setting_id
        for entry in (stellar_xdr.LedgerEntryData.from_xdr(entry.xdr) for entry in entries)
        if entry.config_setting
    }
    assert {
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_CONTRACT_COMPUTE_V0,
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_CONTRACT_LEDGER_COST_V0,
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_STATE_ARCHIVAL,
        stellar_xdr.ConfigSettingID.CONFIG_SETTING_CONTRACT_EXECUTION_LANES,
    } <= found


@pytest.fixture
async def registry(network: Network, alice: Keypair) -> str:
    """A task registry whose start published one event."""
    contract = await network.deploy(alice, "task_registry")
    found = await network.invoke(alice, contract, "init", scval.to_address(alice.public_key), scval.to_void())
    assert found.status is GetTransactionStatus.SUCCESS
    return contract


def native_asset_contract(network: Network) -> str:
    return Asset.native().contract_id(network.passphrase)


async def test_an_event_has_its_fields(network: Network, registry: str) -> None:
    latest = await network.result("getHealth")
    result = await network.result(
        "getEvents", startLedger=latest["latestLedger"], filters=[{"contractIds": [registry]}]
    )
    assert result["latestLedger"] == latest["latestLedger"]
    assert result["oldestLedger"] == latest["oldestLedger"]
    assert result["latestLedgerCloseTime"] == latest["latestLedgerCloseTime"]
    assert result["oldestLedgerCloseTime"] == latest["oldestLedgerCloseTime"]
    (event,) = result["events"]
    assert set(event) == {
        "type", "ledger", "ledgerClosedAt", "contractId", "id", "operationIndex", "transactionIndex", "txHash",
        "topic", "value",
    }  # fmt: skip
    assert event["type"] == "contract"
    assert event["contractId"] == registry
    assert event["ledger"] == latest["latestLedger"]
    toid, index = event["id"].split("-")
    assert (len(toid), len(index)) == (19, 10)
    assert int(toid) == event["ledger"] << 32 | event["transactionIndex"] << 12 | event["operationIndex"]
    assert event["transactionIndex"] == 1
    assert event["operationIndex"] == 0
    assert [scval.to_native(topic) for topic in event["topic"]] == ["ContractInitialized", "v1"]
    assert scval.to_native(event["value"]) is None
    found = await network.result("getTransaction", hash=event["txHash"])
    assert found["ledger"] == event["ledger"]


async def test_an_empty_page_has_a_cursor_that_goes_on(
    network: Network, registry: str, alice: Keypair
) -> None:
    filters = [{"contractIds": [registry], "topics": [["*", "**"]]}]
    start = await network.advance()
    empty = await network.result("getEvents", startLedger=start["latest_ledger"], filters=filters)
    assert empty["events"] == []
    assert empty["cursor"].split("-") == [
        f"{(start['latest_ledger'] << 32) + 2**32 - 1:019}",
        "4294967295",
    ]
    again = await network.result("getEvents", filters=filters, pagination={"cursor": empty["cursor"]})
    assert (again["events"], again["cursor"]) == ([], empty["cursor"])

    await network.advance(3)
    later = await network.result("getEvents", filters=filters, pagination={"cursor": empty["cursor"]})
    assert later["events"] == []
    assert later["cursor"] > empty["cursor"]
    assert later["latestLedger"] == start["latest_ledger"] + 3


async def test_pages_are_whole_and_do_not_overlap(network: Network, alice: Keypair, counter: str) -> None:
    """Fee events of several ledgers, read two by two."""
    start = (await network.advance())["latest_ledger"]
    for _ in range(3):
        await network.invoke(alice, counter, "increment")
    filters = [{"contractIds": [native_asset_contract(network)], "type": "contract"}]
    whole = await network.result("getEvents", startLedger=start, filters=filters)
    ids = [event["id"] for event in whole["events"]]
    assert len(ids) >= 3
    assert ids == sorted(set(ids))

    read: list[str] = []
    page = await network.result("getEvents", startLedger=start, filters=filters, pagination={"limit": 2})
    while page["events"]:
        assert len(page["events"]) <= 2
        read += [event["id"] for event in page["events"]]
        page = await network.result(
            "getEvents", filters=filters, pagination={"cursor": page["cursor"], "limit": 2}
        )
    assert read == ids

    ends = await network.result("getEvents", startLedger=start, endLedger=start + 2, filters=filters)
    assert {event["ledger"] for event in ends["events"]} == {start + 1}


async def test_filters(network: Network, registry: str) -> None:
    ledger = (await network.result("getHealth"))["latestLedger"]
    initialized = scval.to_symbol("ContractInitialized").to_xdr()
    other = scval.to_symbol("KeeperPaid").to_xdr()
    another_contract = StrKey.encode_contract(hashlib.sha256(b"nothing").digest())

    async def count(*filters: dict[str, Any]) -> int:
        page = await network.result("getEvents", startLedger=ledger, filters=list(filters))
        return sum(event["contractId"] == registry for event in page["events"])

    assert await count() == 1
    for matching in (
        {"topics": [[initialized, "*"]]},
        {"topics": [[initialized, "**"]]},
        {"topics": [["*", "*"]]},
        {"topics": [[other, "**"], ["*", "*", "**"]]},
        {"type": "contract", "contractIds": [another_contract, registry]},
        {"type": "contract,system"},
    ):
        assert await count(matching) == 1, matching
    for not_matching in (
        {"topics": [[initialized]]},
        {"topics": [["*", "*", "*"]]},
        {"topics": [["*", "*", "*", "**"]]},
        {"topics": [[other, "**"]]},
        {"type": "system"},
        {"contractIds": [another_contract]},
        {"contractIds": [another_contract], "topics": [[initialized, "*"]]},
    ):
        assert await count(not_matching) == 0, not_matching
    assert await count({"type": "system"}, {"contractIds": [registry]}) == 1


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({}, -32602, "startLedger must be positive"),
        ({"startLedger": 0}, -32602, "startLedger must be positive"),
        ({"startLedger": -1}, -32602, "invalid parameters"),
        ({"startLedger": 4_000_000_000}, -32600, "ledger range"),
        ({"startLedger": 1, "pagination": {"cursor": "0-0"}}, -32602, "cursor"),
        ({"endLedger": 1, "pagination": {"cursor": "0-0"}}, -32602, "cursor"),
        ({"pagination": {"cursor": "here"}}, -32602, "invalid event id here"),
        ({"pagination": {"cursor": "0-0"}}, -32600, "ledger range"),
        ({"startLedger": 2, "pagination": {"limit": 10_001}}, -32602, "10000"),
        ({"startLedger": 2, "filters": [{}] * 6}, -32602, "maximum 5 filters"),
        ({"startLedger": 2, "filters": [{"topics": [["*"] * 5]}]}, -32602, "4 segments"),
        ({"startLedger": 2, "filters": [{"topics": [["**", "*"]]}]}, -32602, "segment 1"),
        ({"startLedger": 2, "filters": [{"contractIds": ["CABC"]}]}, -32602, "contract ID 1"),
        ({"startLedger": 2, "filters": [{"type": "all"}]}, -32602, "'system' or 'contract'"),
        ({"startLedger": 2, "filters": [{"type": "diagnostic"}]}, -32602, "'system' or 'contract'"),
        ({"startLedger": 2, "filters": [{"topics": [["AA"]]}]}, -32602, "invalid parameters"),
        ({"startLedger": 2, "filters": [{"topics": [[]]}]}, -32602, "at least 1 segment"),
    ],
)
async def test_event_parameters_that_are_refused(
    network: Network, params: dict[str, Any], code: int, words: str
) -> None:
    error = await network.error("getEvents", **params)
    assert error["code"] == code
    assert words in error["message"] + str(error.get("data")), error


async def test_a_transaction_has_its_fields(network: Network, alice: Keypair, counter: str) -> None:
    envelope = await network.invocation(alice, counter, "increment")
    envelope.sign(alice)
    found = await network.apply(envelope)
    assert native(found) == 1
    result = await network.result("getTransaction", hash=envelope.hash_hex())
    assert result["status"] == "SUCCESS"
    assert result["txHash"] == envelope.hash_hex()
    assert result["envelopeXdr"] == envelope.to_xdr()
    assert result["applicationOrder"] == 1
    assert result["feeBump"] is False
    assert result["ledger"] == result["latestLedger"]
    assert result["createdAt"] == result["latestLedgerCloseTime"]
    assert isinstance(result["createdAt"], str)
    assert isinstance(result["oldestLedgerCloseTime"], str)
    assert result["events"]["transactionEventsXdr"]
    assert result["events"]["contractEventsXdr"] == [[]]
    for event in result["events"]["transactionEventsXdr"]:
        stellar_xdr.TransactionEvent.from_xdr(event)
    charged = stellar_xdr.TransactionResult.from_xdr(result["resultXdr"]).fee_charged.int64
    assert 0 < charged <= envelope.transaction.fee


async def test_an_unknown_transaction(network: Network) -> None:
    result = await network.result("getTransaction", hash="ab" * 32)
    assert result["status"] == "NOT_FOUND"
    assert result["txHash"] == "ab" * 32
    assert {"latestLedger", "latestLedgerCloseTime", "oldestLedger", "oldestLedgerCloseTime"} <= set(result)
    assert "envelopeXdr" not in result
    for wrong in ("", "ab", "zz" * 32):
        assert (await network.error("getTransaction", hash=wrong))["code"] == -32602


async def test_a_simulation_has_its_fields(network: Network, alice: Keypair, counter: str) -> None:
    builder = (await network.builder(alice)).append_invoke_contract_function_op(
        counter, "bump", [scval.to_uint64(9)]
    )
    envelope = builder.build().to_xdr()
    result = await network.result("simulateTransaction", transaction=envelope)
    assert set(result) <= {
        "transactionData", "minResourceFee", "results", "events", "stateChanges", "latestLedger",
    }  # fmt: skip
    assert isinstance(result["minResourceFee"], str)
    data = stellar_xdr.SorobanTransactionData.from_xdr(result["transactionData"])
    assert data.resource_fee.int64 == int(result["minResourceFee"]) > 0
    assert len(data.resources.footprint.read_write) == 1
    ((only),) = result["results"]
    assert only["auth"] == []
    assert scval.to_native(only["xdr"]) == 1
    created = [change for change in result["stateChanges"] if change["type"] == "created"]
    assert created
    assert created[0]["before"] is None
    stellar_xdr.LedgerEntry.from_xdr(created[0]["after"])

    more = await network.result(
        "simulateTransaction", transaction=envelope, resourceConfig={"instructionLeeway": 5_000_000}
    )
    roomy = stellar_xdr.SorobanTransactionData.from_xdr(more["transactionData"])
    assert roomy.resources.instructions.uint32 > data.resources.instructions.uint32 + 4_000_000
    nothing = await network.result("getLedgerEntries", keys=[created[0]["key"]])
    assert nothing["entries"] == []


async def test_simulations_that_are_refused_say_why(network: Network, alice: Keypair, counter: str) -> None:
    two = await network.builder(alice)
    for _ in range(2):
        two.append_invoke_contract_function_op(counter, "increment", [])
    memo = (await network.builder(alice)).append_invoke_contract_function_op(counter, "increment", [])
    memo.add_text_memo("memo")
    classic = (await network.builder(alice)).append_payment_op(alice.public_key, Asset.native(), "1")
    for builder, words in (
        (two, "Transaction contains more than one operation"),
        (memo, "Transaction contains a memo. Soroban transactions do not support memos."),
        (classic, "transaction contains unsupported operation type: OperationTypePayment"),
    ):
        result = await network.result("simulateTransaction", transaction=builder.build().to_xdr())
        assert result == {"error": words, "latestLedger": 0}
    bad_mode = await network.result(
        "simulateTransaction", transaction=classic.build().to_xdr(), authMode="guess"
    )
    assert bad_mode["error"] == (
        "optional 'authMode' must be one of enforce,record,record_allow_nonroot when included"
    )


async def test_fee_stats(network: Network, alice: Keypair, counter: str) -> None:
    await network.invoke(alice, counter, "increment")
    stats = await network.result("getFeeStats")
    for name in ("sorobanInclusionFee", "inclusionFee"):
        fees = stats[name]
        assert set(fees) == {
            "max", "min", "mode", "p10", "p20", "p30", "p40", "p50", "p60", "p70", "p80", "p90", "p95", "p99",
            "transactionCount", "ledgerCount",
        }  # fmt: skip
        assert all(isinstance(value, str) for key, value in fees.items() if key != "ledgerCount")
        assert isinstance(fees["ledgerCount"], int)
    assert stats["sorobanInclusionFee"]["p50"] == "100"
    assert int(stats["sorobanInclusionFee"]["transactionCount"]) >= 1


async def test_the_header_is_of_protocol_30(network: Network) -> None:
    """The SDK's headers end at an older protocol, so the fields of this one are read by their place."""
    await network.advance()
    latest = await network.result("getLatestLedger")
    header = base64.b64decode(latest["headerXdr"])
    assert int.from_bytes(header[:4], "big") == 30
    # Version, previous hash, transaction set hash; then the close time in seconds.
    assert int.from_bytes(header[68:76], "big") == int(latest["closeTime"])
    assert hashlib.sha256(header).hexdigest() == latest["id"]
    meta = base64.b64decode(latest["metadataXdr"])
    assert int.from_bytes(meta[:4], "big") == 2
    assert header in meta
