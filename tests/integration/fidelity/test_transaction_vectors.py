"""Transactions that public SDKs made and signed, taken by the sandbox under the hash that the SDKs came to."""

from __future__ import annotations

import json
from pathlib import Path

from stellar_sdk import xdr as stellar_xdr

from helpers.chain import account_entry, result_code
from helpers.javascript import run_suite
from helpers.network import running
from vectors import transactions

DOCUMENT = json.loads(transactions.PATH.read_text(encoding="utf-8"))
CASES = DOCUMENT["cases"]
FLAGS = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")


def account(address: str) -> str:
    """An account with the sequence before that of the vectors."""
    return account_entry(address, 10**11, int(DOCUMENT["sequence"]))


def test_the_file_is_what_the_generator_writes() -> None:
    assert transactions.PATH.read_text(encoding="utf-8") == transactions.document(), (
        "run tests/vectors/transactions.py"
    )


async def test_the_javascript_sdk_comes_to_the_same(packages: Path, tmp_path: Path) -> None:
    await run_suite("vectors.test.mjs", packages, tmp_path, {"VECTORS": str(transactions.PATH)})


async def test_recorded_transactions_are_taken_under_their_hashes() -> None:
    async with running(*FLAGS) as network:
        addresses = [DOCUMENT["payer"], *(case["source"] for case in CASES)]
        entries = [{"xdr": account(address)} for address in addresses]
        await network.admin("entries", {"entries": entries})
        for case in CASES:
            spoiled = stellar_xdr.TransactionEnvelope.from_xdr(case["envelope"])
            signed = spoiled.v0 or spoiled.v1 or spoiled.fee_bump
            assert signed is not None
            signed.signatures[0].signature = stellar_xdr.Signature(bytes(64))
            refused = await network.result("sendTransaction", transaction=spoiled.to_xdr())
            assert (refused["hash"], refused["status"]) == (case["hash"], "ERROR"), case["name"]
            assert result_code(refused["errorResultXdr"]) == "txBAD_AUTH", case["name"]
            taken = await network.result("sendTransaction", transaction=case["envelope"])
            assert (taken["hash"], taken["status"]) == (case["hash"], "PENDING"), case["name"]
        await network.advance()
        for case in CASES:
            for name in {"hash", "inner_hash"} & case.keys():
                found = await network.result("getTransaction", hash=case[name])
                assert found["status"] != "NOT_FOUND", case["name"]
                # The network keeps envelopes of version 0 as what they are in version 1, under the same hash.
                kept = stellar_xdr.TransactionEnvelope.from_xdr(found["envelopeXdr"])
                if case["name"] == "version 0":
                    assert kept.v1 is not None
                    assert [one.signature.signature.hex() for one in kept.v1.signatures] == case["signatures"]
                else:
                    assert found["envelopeXdr"] == case["envelope"], case["name"]
