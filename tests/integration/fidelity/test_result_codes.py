"""Cases from stellar-core's own tests end with the codes that are demanded there."""

from __future__ import annotations

import hashlib

import pytest
from stellar_sdk import Account, Keypair, TransactionBuilder, TransactionEnvelope

from helpers.chain import PASSPHRASE, Chain, account_entry, result_codes
from vectors.result_codes import FEE, OPERATION_CASES, XLM, Case, Cast, Operations
from vectors.result_codes_of_envelopes import ENVELOPE_CASES

FLAGS = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")
SEQUENCE = 2**32
CASES = (*OPERATION_CASES, *ENVELOPE_CASES)


class Play:
    """A case's accounts on the ledger, and what its transactions came to."""

    def __init__(self, chain: Chain, number: int, case: Case) -> None:
        self.chain, self.case = chain, case
        self.cast = Cast(*(self.key(number, name) for name in ("me", "bob", "carol", "nobody")))

    @staticmethod
    def key(number: int, name: str) -> Keypair:
        return Keypair.from_raw_ed25519_seed(hashlib.sha256(f"{number} {name}".encode()).digest())

    def entries(self) -> list[dict[str, str]]:
        # What is sent before costs fees, and `me` is to have the case's balance in the end.
        spent = FEE * sum(len(make(self.cast)) for who, make in self.case.before if who == "me")
        balances = {"me": self.case.balance + spent, "bob": 1_000 * XLM, "carol": 1_000 * XLM}
        return [
            {"xdr": account_entry(getattr(self.cast, name).public_key, balance, SEQUENCE)}
            for name, balance in balances.items()
        ]

    def envelope(self, who: str, make: Operations) -> TransactionEnvelope:
        key = getattr(self.cast, who)
        sequence = self.chain.accounts([key.public_key])[1][key.public_key].sequence
        builder = TransactionBuilder(Account(key.public_key, sequence), PASSPHRASE, FEE).add_time_bounds(0, 0)
        for operation in make(self.cast):
            builder.append_operation(operation)
        return builder.build()

    def prepare(self, round_: int) -> str | None:
        """Sends what comes in that ledger before; its hash."""
        if round_ >= len(self.case.before):
            return None
        who, make = self.case.before[round_]
        envelope = self.envelope(who, make)
        envelope.sign(getattr(self.cast, who))
        sent = self.chain.rpc("sendTransaction", transaction=envelope.to_xdr())
        assert sent["status"] == "PENDING", (self.case.origin, sent)
        return envelope.hash_hex()

    def send(self) -> dict[str, str]:
        envelope = self.envelope("me", self.case.operations)
        self.case.changes(envelope)
        for name in self.case.signers:
            # Added by hand, as the SDK does not let one key sign twice.
            envelope.signatures.append(getattr(self.cast, name).sign_decorated(envelope.hash()))
        answer: dict[str, str] = self.chain.rpc("sendTransaction", transaction=envelope.to_xdr())
        return answer

    def codes(self, sent: dict[str, str]) -> list[str]:
        if sent["status"] == "ERROR":
            return result_codes(sent["errorResultXdr"])
        return result_codes(self.chain.rpc("getTransaction", hash=sent["hash"])["resultXdr"])


@pytest.fixture(scope="module")
def outcomes() -> list[list[str]]:
    """The codes of all cases, which have accounts of their own and share their ledgers."""
    with Chain(*FLAGS) as chain:
        plays = [Play(chain, number, case) for number, case in enumerate(CASES)]
        chain.admin("entries", {"entries": [entry for play in plays for entry in play.entries()]})
        for round_ in range(max(len(case.before) for case in CASES)):
            hashes = [play.prepare(round_) for play in plays]
            chain.advance()
            for play, hash_ in zip(plays, hashes, strict=True):
                if hash_ is not None:
                    found = chain.rpc("getTransaction", hash=hash_)
                    assert found["status"] == "SUCCESS", (play.case.origin, result_codes(found["resultXdr"]))
        sent = [play.send() for play in plays]
        chain.advance()
        return [play.codes(answer) for play, answer in zip(plays, sent, strict=True)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].origin)
def test_a_case_of_core_ends_with_its_codes(number: int, outcomes: list[list[str]]) -> None:
    assert tuple(outcomes[number]) == CASES[number].codes
