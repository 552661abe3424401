"""Result codes of cases that stellar-core's own tests describe, for its protocol of today.

Each case names the test file of stellar-core (src/transactions/test) and the section that it is taken from, and the
codes that are demanded there: the transaction's, then those of its operations. Balances are in stroops; an account
without subentries must keep 1 XLM (two base reserves), and the fee is 100 stroops for each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stellar_sdk import (
    Asset,
    AuthorizationFlag,
    Keypair,
    Signer,
    TrustLineFlags,
)
from stellar_sdk.operation import (
    AccountMerge,
    BeginSponsoringFutureReserves,
    BumpSequence,
    ChangeTrust,
    CreateAccount,
    EndSponsoringFutureReserves,
    ManageData,
    Operation,
    Payment,
    SetOptions,
    SetTrustLineFlags,
)

XLM = 10_000_000
MIN_BALANCE = XLM
RESERVE = XLM // 2
FEE = 100
SUCCESS = "txSUCCESS"
FAILED = "txFAILED"
INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Cast:
    """The accounts of a case: `me` is the transactions' source; nobody does not exist."""

    me: Keypair
    bob: Keypair
    carol: Keypair
    nobody: Keypair

    def asset(self) -> Asset:
        """Carol's."""
        return Asset("USD", self.carol.public_key)


Operations = Callable[[Cast], Sequence[Operation]]


@dataclass(frozen=True)
class Case:
    origin: str
    codes: tuple[str, ...]
    operations: Operations
    before: tuple[tuple[str, Operations], ...] = ()
    """Who sends what in ledgers before; all of it succeeds."""
    balance: int = 100 * XLM
    """What `me` begins with."""
    signers: tuple[str, ...] = ("me",)
    changes: Callable[[Any], None] = lambda envelope: None
    """On the envelope before it is signed."""


def pay(
    to: Keypair, stroops: int = 1, asset: Asset | None = None, source: Keypair | None = None
) -> Operation:
    amount = f"{stroops // XLM}.{stroops % XLM:07}"
    return Payment(to.public_key, asset or Asset.native(), amount, source and source.public_key)


def create(to: Keypair, stroops: int) -> Operation:
    return CreateAccount(to.public_key, f"{stroops // XLM}.{stroops % XLM:07}")


def merge(to: Keypair, source: Keypair | None = None) -> Operation:
    return AccountMerge(to.public_key, source and source.public_key)


def options(source: Keypair | None = None, **fields: Any) -> Operation:
    return SetOptions(source=source and source.public_key, **fields)


def signer(key: Keypair, weight: int = 1, source: Keypair | None = None) -> Operation:
    return options(source, signer=Signer.ed25519_public_key(key.public_key, weight))


def trust(asset: Asset, limit: str | None = None) -> Operation:
    return ChangeTrust(asset, limit)


def sponsor(whom: Keypair, source: Keypair | None = None) -> Operation:
    return BeginSponsoringFutureReserves(whom.public_key, source and source.public_key)


def sponsored(source: Keypair | None = None) -> Operation:
    return EndSponsoringFutureReserves(source and source.public_key)


IMMUTABLE = AuthorizationFlag.AUTHORIZATION_IMMUTABLE
REQUIRED = AuthorizationFlag.AUTHORIZATION_REQUIRED

CREATE = "CreateAccountTests.cpp: "
MERGE = "MergeTests.cpp: "
PAYMENT = "PaymentTests.cpp: "
OPTIONS = "SetOptionsTests.cpp: "
TRUST = "ChangeTrustTests.cpp: "
DATA = "ManageDataTests.cpp: "
BUMP = "BumpSequenceTests.cpp: "
BEGIN = "BeginSponsoringFutureReservesTests.cpp: "
END = "EndSponsoringFutureReservesTests.cpp: "

OPERATION_CASES = (
    Case(
        CREATE + "malformed with destination",
        (FAILED, "CREATE_ACCOUNT_MALFORMED"),
        lambda c: [create(c.me, XLM)],
    ),
    Case(
        CREATE + "Account already exists",
        (FAILED, "CREATE_ACCOUNT_ALREADY_EXIST"),
        lambda c: [create(c.bob, XLM)],
    ),
    Case(
        CREATE + "Not enough funds (source)",
        (FAILED, "CREATE_ACCOUNT_UNDERFUNDED"),
        lambda c: [create(c.nobody, MIN_BALANCE)],
        balance=2 * MIN_BALANCE + FEE - 1,
    ),
    Case(
        CREATE + "Amount too small to create account",
        (FAILED, "CREATE_ACCOUNT_LOW_RESERVE"),
        lambda c: [create(c.nobody, MIN_BALANCE - 1)],
    ),
    Case(
        CREATE + "with sponsorship",
        (
            SUCCESS,
            "BEGIN_SPONSORING_FUTURE_RESERVES_SUCCESS",
            "CREATE_ACCOUNT_SUCCESS",
            "END_SPONSORING_FUTURE_RESERVES_SUCCESS",
        ),
        lambda c: [sponsor(c.nobody), create(c.nobody, 0), sponsored(c.nobody)],
        signers=("me", "nobody"),
    ),
    Case(MERGE + "merge into self", (FAILED, "ACCOUNT_MERGE_MALFORMED"), lambda c: [merge(c.me)]),
    Case(
        MERGE + "merge into non existent account",
        (FAILED, "ACCOUNT_MERGE_NO_ACCOUNT"),
        lambda c: [merge(c.nobody)],
    ),
    Case(
        MERGE + "merge account twice",
        (FAILED, "ACCOUNT_MERGE_SUCCESS", "opNO_ACCOUNT"),
        lambda c: [merge(c.bob), merge(c.bob)],
    ),
    Case(
        MERGE + "Account has static auth flag set",
        (FAILED, "ACCOUNT_MERGE_IMMUTABLE_SET"),
        lambda c: [merge(c.bob)],
        (("me", lambda c: [options(set_flags=IMMUTABLE)]),),
    ),
    Case(
        MERGE + "account has trust line",
        (FAILED, "ACCOUNT_MERGE_HAS_SUB_ENTRIES"),
        lambda c: [merge(c.bob)],
        (("me", lambda c: [trust(c.asset())]),),
    ),
    Case(
        MERGE + "account has data",
        (FAILED, "ACCOUNT_MERGE_HAS_SUB_ENTRIES"),
        lambda c: [merge(c.bob)],
        (("me", lambda c: [ManageData("name", b"value")]),),
    ),
    Case(
        MERGE + "account has signer",
        (SUCCESS, "ACCOUNT_MERGE_SUCCESS"),
        lambda c: [merge(c.bob)],
        (("me", lambda c: [signer(c.carol, 5)]),),
    ),
    Case(
        MERGE + "account has only base reserve + one operation fee - one stroop",
        ("txINSUFFICIENT_BALANCE",),
        lambda c: [merge(c.bob)],
        balance=MIN_BALANCE + FEE - 1,
    ),
    Case(
        MERGE + "account has only base reserve + one operation fee",
        (SUCCESS, "ACCOUNT_MERGE_SUCCESS"),
        lambda c: [merge(c.bob)],
        balance=MIN_BALANCE + FEE,
    ),
    Case(
        MERGE + "merge too far: passed max",
        (FAILED, "ACCOUNT_MERGE_SEQNUM_TOO_FAR"),
        lambda c: [merge(c.bob, c.me)],
        (("me", lambda c: [BumpSequence(2**60)]),),
    ),
    Case(
        PAYMENT + "send XLM to a new account (no destination)",
        (FAILED, "PAYMENT_NO_DESTINATION"),
        lambda c: [pay(c.nobody, 2 * MIN_BALANCE)],
    ),
    Case(
        PAYMENT + "two payments, first breaking second",
        (FAILED, "PAYMENT_SUCCESS", "PAYMENT_UNDERFUNDED"),
        lambda c: [pay(c.bob, 60 * XLM), pay(c.bob, 60 * XLM)],
    ),
    Case(
        PAYMENT + "send to self, native, more than have",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.me, INT64_MAX)],
    ),
    Case(
        PAYMENT + "credit sent to new account (no account error)",
        (FAILED, "PAYMENT_NO_DESTINATION"),
        lambda c: [pay(c.nobody, 1, Asset("USD", c.me.public_key))],
    ),
    Case(
        PAYMENT + "credit payment with no trust",
        (FAILED, "PAYMENT_NO_TRUST"),
        lambda c: [pay(c.bob, 1, Asset("USD", c.me.public_key))],
    ),
    Case(
        PAYMENT + "authorize flag",
        (FAILED, "PAYMENT_NOT_AUTHORIZED"),
        lambda c: [pay(c.bob, 1, Asset("USD", c.me.public_key))],
        (
            ("me", lambda c: [options(set_flags=REQUIRED)]),
            ("bob", lambda c: [trust(Asset("USD", c.me.public_key))]),
        ),
    ),
    Case(
        PAYMENT + "authorize flag, payment back to the issuer after it is revoked",
        (FAILED, "PAYMENT_SRC_NOT_AUTHORIZED"),
        lambda c: [pay(c.carol, 1, c.asset())],
        (
            ("carol", lambda c: [options(set_flags=REQUIRED | AuthorizationFlag.AUTHORIZATION_REVOCABLE)]),
            ("me", lambda c: [trust(c.asset())]),
            (
                "carol",
                lambda c: [
                    SetTrustLineFlags(c.me.public_key, c.asset(), set_flags=TrustLineFlags.AUTHORIZED_FLAG),
                    pay(c.me, 5, c.asset()),
                    SetTrustLineFlags(c.me.public_key, c.asset(), clear_flags=TrustLineFlags.AUTHORIZED_FLAG),
                ],
            ),
        ),
    ),
    Case(
        PAYMENT + "simple credit, with trust, positive",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.carol, 50, c.asset())],
        (("me", lambda c: [trust(c.asset(), "0.0000100")]), ("carol", lambda c: [pay(c.me, 100, c.asset())])),
    ),
    Case(
        PAYMENT + "simple credit, with trust, more than the limit",
        (FAILED, "PAYMENT_LINE_FULL"),
        lambda c: [pay(c.bob, 101, Asset("USD", c.me.public_key))],
        (("bob", lambda c: [trust(Asset("USD", c.me.public_key), "0.0000100")]),),
    ),
    Case(
        PAYMENT + "dest amount too big for native asset",
        (FAILED, "PAYMENT_LINE_FULL"),
        lambda c: [pay(c.bob, INT64_MAX)],
    ),
    Case(
        PAYMENT + "account has only base reserve + amount",
        ("txINSUFFICIENT_BALANCE",),
        lambda c: [pay(c.bob)],
        balance=MIN_BALANCE + 1,
    ),
    Case(
        PAYMENT + "account has only base reserve + amount + one operation fee - one stroop",
        (FAILED, "PAYMENT_UNDERFUNDED"),
        lambda c: [pay(c.bob)],
        balance=MIN_BALANCE + 1 + FEE - 1,
    ),
    Case(
        PAYMENT + "account has only base reserve + amount + one operation fee",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.bob)],
        balance=MIN_BALANCE + 1 + FEE,
    ),
    Case(
        OPTIONS + "Signers: insufficient balance",
        (FAILED, "SET_OPTIONS_LOW_RESERVE"),
        lambda c: [signer(c.bob)],
        balance=MIN_BALANCE + RESERVE + FEE - 1,
    ),
    Case(
        OPTIONS + "can't use master key as alternate signer",
        (FAILED, "SET_OPTIONS_BAD_SIGNER"),
        lambda c: [signer(c.me)],
    ),
    Case(
        OPTIONS + "bad weight for master key",
        (FAILED, "SET_OPTIONS_THRESHOLD_OUT_OF_RANGE"),
        lambda c: [options(master_weight=256)],
    ),
    Case(
        OPTIONS + "bad thresholds",
        (FAILED, "SET_OPTIONS_THRESHOLD_OUT_OF_RANGE"),
        lambda c: [options(med_threshold=256)],
    ),
    Case(
        OPTIONS + "invalid signer weight", (FAILED, "SET_OPTIONS_BAD_SIGNER"), lambda c: [signer(c.bob, 256)]
    ),
    Case(
        OPTIONS + "too many signers",
        (FAILED, *["SET_OPTIONS_SUCCESS"] * 20, "SET_OPTIONS_TOO_MANY_SIGNERS"),
        lambda c: [options(signer=Signer.sha256_hash(bytes([number]) * 32, 1)) for number in range(21)],
    ),
    Case(
        OPTIONS + "Can't set and clear same flag",
        (FAILED, "SET_OPTIONS_BAD_FLAGS"),
        lambda c: [options(set_flags=REQUIRED, clear_flags=REQUIRED)],
    ),
    Case(
        OPTIONS + "auth flags",
        (FAILED, "SET_OPTIONS_CANT_CHANGE"),
        lambda c: [options(set_flags=REQUIRED)],
        (("me", lambda c: [options(set_flags=IMMUTABLE)]),),
    ),
    Case(
        OPTIONS + "invalid home domain",
        (FAILED, "SET_OPTIONS_INVALID_HOME_DOMAIN"),
        lambda c: [options(home_domain="abc\r")],
    ),
    Case(
        TRUST + "basic tests: a limit of zero without a line",
        (FAILED, "CHANGE_TRUST_INVALID_LIMIT"),
        lambda c: [trust(c.asset(), "0")],
    ),
    Case(
        TRUST + "basic tests: a limit below the balance",
        (FAILED, "CHANGE_TRUST_INVALID_LIMIT"),
        lambda c: [trust(c.asset(), "0.0000049")],
        (("me", lambda c: [trust(c.asset())]), ("carol", lambda c: [pay(c.me, 50, c.asset())])),
    ),
    Case(
        TRUST + "issuer does not exist: new trust line",
        (FAILED, "CHANGE_TRUST_NO_ISSUER"),
        lambda c: [trust(Asset("USD", c.nobody.public_key))],
    ),
    Case(
        TRUST + "trusting self",
        (FAILED, "CHANGE_TRUST_MALFORMED"),
        lambda c: [trust(Asset("USD", c.me.public_key))],
    ),
    Case(
        TRUST + "trustline on native asset",
        (FAILED, "CHANGE_TRUST_MALFORMED"),
        lambda c: [trust(Asset.native())],
    ),
    Case(
        DATA + "deleting what is not there",
        (FAILED, "MANAGE_DATA_NAME_NOT_FOUND"),
        lambda c: [ManageData("name", None)],
    ),
    Case(
        DATA + "creating below the reserve",
        (FAILED, "MANAGE_DATA_LOW_RESERVE"),
        lambda c: [ManageData("name", b"value")],
        balance=MIN_BALANCE + RESERVE + FEE - 1,
    ),
    Case(
        BUMP + "backward jump (no-op)",
        (SUCCESS, "BUMP_SEQUENCE_SUCCESS"),
        lambda c: [BumpSequence(1)],
    ),
    Case(
        BUMP + "no more tx when INT64_MAX is reached",
        ("txBAD_SEQ",),
        lambda c: [pay(c.bob)],
        (("me", lambda c: [BumpSequence(INT64_MAX)]),),
    ),
    Case(
        BEGIN + "malformed", (FAILED, "BEGIN_SPONSORING_FUTURE_RESERVES_MALFORMED"), lambda c: [sponsor(c.me)]
    ),
    Case(
        BEGIN + "already sponsored",
        (
            FAILED,
            "BEGIN_SPONSORING_FUTURE_RESERVES_SUCCESS",
            "BEGIN_SPONSORING_FUTURE_RESERVES_ALREADY_SPONSORED",
        ),
        lambda c: [sponsor(c.bob), sponsor(c.bob)],
    ),
    Case(BEGIN + "bad sponsorship", ("txBAD_SPONSORSHIP",), lambda c: [sponsor(c.bob)]),
    Case(
        BEGIN + "sponsoring account is sponsored",
        (FAILED, "BEGIN_SPONSORING_FUTURE_RESERVES_SUCCESS", "BEGIN_SPONSORING_FUTURE_RESERVES_RECURSIVE"),
        lambda c: [sponsor(c.bob), sponsor(c.carol, c.bob)],
        signers=("me", "bob"),
    ),
    Case(
        BEGIN + "sponsored account is sponsoring",
        (FAILED, "BEGIN_SPONSORING_FUTURE_RESERVES_SUCCESS", "BEGIN_SPONSORING_FUTURE_RESERVES_RECURSIVE"),
        lambda c: [sponsor(c.bob), sponsor(c.me, c.carol)],
        signers=("me", "carol"),
    ),
    Case(
        END + "not sponsored",
        (FAILED, "END_SPONSORING_FUTURE_RESERVES_NOT_SPONSORED"),
        lambda c: [sponsored()],
    ),
)
