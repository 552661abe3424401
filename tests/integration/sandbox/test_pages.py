"""getTransactions and getLedgers: forms, pages, cursors, bounds."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from stellar_sdk import Asset, Keypair
from stellar_sdk import xdr as stellar_xdr

from helpers.network import Network, running


def toid(ledger: int, order: int) -> str:
    return str(ledger << 32 | order << 12 | 1)


async def pay_and_close(network: Network, *payers: Keypair) -> int:
    """One payment of each; the ledger that has them all."""
    for payer in payers:
        builder = (await network.builder(payer)).append_payment_op(payer.public_key, Asset.native(), "1")
        envelope = builder.build()
        envelope.sign(payer)
        await network.rpc.send_transaction(envelope)
    return (await network.advance())["latest_ledger"]


async def test_transactions_come_page_by_page(network: Network) -> None:
    payers = [Keypair.random() for _ in range(3)]
    await network.fund(*payers)
    first = await pay_and_close(network, *payers)
    await network.advance(2)
    second = await pay_and_close(network, *payers[:2])

    whole = await network.result("getTransactions", startLedger=first)
    assert set(whole) == {
        "transactions", "latestLedger", "latestLedgerCloseTimestamp", "oldestLedger",
        "oldestLedgerCloseTimestamp", "cursor",
    }  # fmt: skip
    places = [(found["ledger"], found["applicationOrder"]) for found in whole["transactions"]]
    assert places == [(first, 1), (first, 2), (first, 3), (second, 1), (second, 2)]
    assert whole["latestLedger"] == second
    assert isinstance(whole["latestLedgerCloseTimestamp"], int)
    assert whole["cursor"] == toid(second, 2)

    read: list[Any] = []
    page = await network.result("getTransactions", startLedger=first, pagination={"limit": 2})
    assert page["cursor"] == toid(first, 2)
    while len(read) < len(places):
        assert 0 < len(page["transactions"]) <= 2
        read += page["transactions"]
        page = await network.result("getTransactions", pagination={"cursor": page["cursor"], "limit": 2})
    assert read == whole["transactions"]


async def test_a_transaction_of_a_page_has_its_fields(network: Network, alice: Keypair, counter: str) -> None:
    found = await network.invoke(alice, counter, "increment")
    page = await network.result("getTransactions", startLedger=found.ledger)
    (transaction,) = page["transactions"]
    alone = await network.result("getTransaction", hash=transaction["txHash"])
    assert isinstance(transaction["createdAt"], int)
    assert transaction.pop("createdAt") == int(alone.pop("createdAt"))
    assert transaction == {key: alone[key] for key in transaction}
    assert set(transaction) >= {
        "status", "txHash", "applicationOrder", "feeBump", "envelopeXdr", "resultXdr", "resultMetaXdr",
        "events", "ledger",
    }  # fmt: skip
    sdk = await network.rpc.get_transactions(found.ledger)
    assert [info.transaction_hash for info in sdk.transactions] == [transaction["txHash"]]


async def test_ledgers_without_transactions_move_the_cursor(network: Network) -> None:
    """It names the start of the newest ledger, so what that ledger holds is not skipped."""
    start = (await network.advance())["latest_ledger"]
    empty = await network.result("getTransactions", startLedger=start)
    assert (empty["transactions"], empty["cursor"]) == ([], toid(start, 0))
    beyond = await network.result("getTransactions", pagination={"cursor": toid(start + 1, 1)})
    assert (beyond["transactions"], beyond["cursor"]) == ([], "0")


async def test_the_end_of_the_newest_ledger_is_told_as_its_start(network: Network, alice: Keypair) -> None:
    """As on the real server: whoever reads on from the very end is given the last ledger once more."""
    ledger = await pay_and_close(network, alice)
    page = await network.result("getTransactions", startLedger=ledger)
    assert page["cursor"] == toid(ledger, 1)
    end = await network.result("getTransactions", pagination={"cursor": page["cursor"]})
    assert (end["transactions"], end["cursor"]) == ([], toid(ledger, 0))


@pytest.mark.parametrize("method", ["getTransactions", "getLedgers"])
async def test_page_parameters_that_are_refused(network: Network, method: str) -> None:
    latest = (await network.advance())["latest_ledger"]
    outside = f"must be between the oldest ledger: 1 and the latest ledger: {latest} for this rpc instance"
    for params, code, message in (
        ({}, -32600, f"start ledger (0) {outside}"),
        ({"startLedger": latest + 1}, -32600, f"start ledger ({latest + 1}) {outside}"),
        ({"startLedger": 1, "pagination": {"limit": 201}}, -32600, "limit must not exceed 200"),
        (
            {"startLedger": 1, "pagination": {"cursor": "5"}},
            -32600,
            "startLedger (1) and cursor (5) cannot both be set",
        ),
    ):
        error = await network.error(method, **params)
        assert error == {"code": code, "message": message}
    error = await network.error(method, pagination={"cursor": "here"})
    assert error["code"] == -32602
    assert error["message"].endswith('parsing "here": invalid syntax')
    assert (await network.error(method, startLedger=-1))["message"] == "invalid parameters"


async def test_transactions_can_be_asked_for_by_a_list(network: Network) -> None:
    """Alone among the methods, as on the real server."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "getTransactions", "params": [1, {"limit": 3}, "base64"]}
    _, answer = await network.post(call)
    assert answer["result"]["transactions"] == []
    _, answer = await network.post({**call, "params": [1]})
    assert answer["error"]["code"] == -32602
    _, answer = await network.post({**call, "method": "getLedgers"})
    assert answer["error"]["code"] == -32602


async def test_ledgers_come_page_by_page(network: Network, alice: Keypair) -> None:
    await pay_and_close(network, alice)
    latest = (await network.advance(3))["latest_ledger"]
    whole = await network.result("getLedgers", startLedger=1)
    assert set(whole) == {
        "ledgers", "latestLedger", "latestLedgerCloseTime", "oldestLedger", "oldestLedgerCloseTime", "cursor",
    }  # fmt: skip
    assert [ledger["sequence"] for ledger in whole["ledgers"]] == list(range(1, latest + 1))
    assert whole["cursor"] == str(latest)
    assert isinstance(whole["latestLedgerCloseTime"], int)
    page = await network.result("getLedgers", startLedger=1, pagination={"limit": 2})
    read = page["ledgers"]
    while page["cursor"] != str(latest):
        page = await network.result("getLedgers", pagination={"cursor": page["cursor"], "limit": 2})
        read += page["ledgers"]
    assert read == whole["ledgers"]


async def test_a_cursor_at_the_newest_ledger_is_refused(network: Network) -> None:
    latest = (await network.advance())["latest_ledger"]
    error = await network.error("getLedgers", pagination={"cursor": str(latest)})
    assert error == {
        "code": -32602,
        "message": f"cursor ('{latest}') must be between the oldest ledger: 1 and the latest ledger: {latest}"
        " for this rpc instance",
    }


async def test_a_ledger_has_its_fields(network: Network, alice: Keypair) -> None:
    ledger = await pay_and_close(network, alice)
    (found,) = (await network.result("getLedgers", startLedger=ledger))["ledgers"]
    assert set(found) == {"hash", "sequence", "ledgerCloseTime", "headerXdr", "metadataXdr"}
    assert isinstance(found["ledgerCloseTime"], str)
    entry, meta = base64.b64decode(found["headerXdr"]), base64.b64decode(found["metadataXdr"])
    assert entry[:32].hex() == found["hash"] == hashlib.sha256(entry[32:-4]).hexdigest()
    assert (meta[:4], meta[8 : 8 + len(entry)]) == ((2).to_bytes(4, "big"), entry)
    latest = await network.result("getLatestLedger", xdrFormat="json")
    assert latest["metadataXdr"] == found["metadataXdr"]
    assert latest["headerXdr"] == base64.b64encode(entry[32:-4]).decode()


async def test_what_is_behind_the_last_page_is_the_result_of_the_next_ledger(
    network: Network, alice: Keypair
) -> None:
    """Following the cursor sees every transaction."""
    start = (await network.advance())["latest_ledger"]
    page = await network.result("getTransactions", startLedger=start)
    ledgers = [await pay_and_close(network, alice) for _ in range(2)]
    page = await network.result("getTransactions", pagination={"cursor": page["cursor"]})
    assert [found["ledger"] for found in page["transactions"]] == ledgers
    for found in page["transactions"]:
        stellar_xdr.TransactionResult.from_xdr(found["resultXdr"])


async def test_only_so_many_ledgers_are_kept_and_every_method_says_so() -> None:
    async with running("--ledger-close", "0", "--retention", "10") as network:
        alice = Keypair.random()
        await network.fund(alice)
        early = (await network.advance())["latest_ledger"]
        page = await network.result("getTransactions", startLedger=1)
        tx_hash, cursor = page["transactions"][0]["txHash"], toid(early - 1, 1)
        latest = (await network.advance(30))["latest_ledger"]
        oldest = latest - 9
        health = await network.result("getHealth")
        assert (health["oldestLedger"], health["ledgerRetentionWindow"]) == (oldest, 10)
        for method in ("getTransactions", "getLedgers"):
            assert (await network.result(method, startLedger=oldest))["oldestLedger"] == oldest
            error = await network.error(method, startLedger=oldest - 1)
            assert f"oldest ledger: {oldest}" in error["message"]
        error = await network.error("getTransactions", pagination={"cursor": cursor})
        assert error == {
            "code": -32602,
            "message": f"database does not contain metadata for ledger: {early - 1}",
        }
        error = await network.error("getLedgers", pagination={"cursor": str(oldest - 2)})
        assert error["code"] == -32602
        error = await network.error("getEvents", startLedger=oldest - 1)
        assert error == {
            "code": -32600,
            "message": f"startLedger must be within the ledger range: {oldest} - {latest}",
        }
        found = await network.result("getTransaction", hash=tx_hash)
        assert (found["status"], found["oldestLedger"]) == ("NOT_FOUND", oldest)
