"""Result codes of whole transactions: the cases of stellar-core's TxEnvelopeTests.cpp, as `result_codes` has those of
operations.
"""

from __future__ import annotations

from typing import Any

from stellar_sdk import Signer
from stellar_sdk.operation import Operation

from vectors.result_codes import FAILED, SUCCESS, Case, Cast, Operations, merge, options, pay, signer

ENVELOPE = "TxEnvelopeTests.cpp: "


def shared(weight: int = 1) -> Operations:
    """Bob signs for me beside myself, and two signatures are needed."""
    return lambda c: [
        options(
            master_weight=1,
            low_threshold=2,
            med_threshold=2,
            high_threshold=2,
            signer=Signer.ed25519_public_key(c.bob.public_key, weight),
        )
    ]


def bobs(c: Cast) -> list[Operation]:
    """I have no weight of my own; Bob signs for me."""
    return [options(master_weight=0, signer=Signer.ed25519_public_key(c.bob.public_key, 1))]


def late(envelope: Any) -> None:
    envelope.transaction.sequence += 1


def cheap(envelope: Any) -> None:
    envelope.transaction.fee -= 1


def empty(envelope: Any) -> None:
    envelope.transaction.operations.clear()


ENVELOPE_CASES = (
    Case(ENVELOPE + "outer envelope: no signature", ("txBAD_AUTH",), lambda c: [pay(c.bob)], signers=()),
    Case(
        ENVELOPE + "outer envelope: bad signature", ("txBAD_AUTH",), lambda c: [pay(c.bob)], signers=("bob",)
    ),
    Case(
        ENVELOPE + "too many signatures (signed twice)",
        ("txBAD_AUTH_EXTRA",),
        lambda c: [pay(c.bob)],
        signers=("me", "me"),
    ),
    Case(
        ENVELOPE + "too many signatures (unused signature)",
        ("txBAD_AUTH_EXTRA",),
        lambda c: [pay(c.bob)],
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "multisig: not enough rights (envelope)",
        ("txBAD_AUTH",),
        lambda c: [pay(c.bob)],
        (("me", shared()),),
    ),
    Case(
        ENVELOPE + "multisig: not enough rights (operation, together)",
        (FAILED, "opBAD_AUTH"),
        lambda c: [options(low_threshold=1)],
        (
            (
                "me",
                lambda c: [
                    options(
                        low_threshold=1,
                        med_threshold=1,
                        high_threshold=3,
                        signer=Signer.ed25519_public_key(c.bob.public_key, 1),
                    )
                ],
            ),
        ),
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "multisig: success two signatures, together",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.carol)],
        (("me", shared()),),
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "multisig: do not allow duplicate signature",
        ("txBAD_AUTH",),
        lambda c: [pay(c.carol)],
        (("me", shared()),),
        signers=("me", "me"),
    ),
    Case(
        ENVELOPE + "multisig: without master key, good tx",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.carol)],
        (("me", bobs),),
        signers=("bob",),
    ),
    Case(
        ENVELOPE + "multisig: without master key, master key is extra",
        ("txBAD_AUTH_EXTRA",),
        lambda c: [pay(c.carol)],
        (("me", bobs),),
        signers=("bob", "me"),
    ),
    Case(
        ENVELOPE + "multisig: account locked down",
        ("txBAD_AUTH",),
        lambda c: [pay(c.me)],
        (("me", lambda c: [options(master_weight=0)]),),
    ),
    Case(ENVELOPE + "batching: empty batch", ("txMISSING_OPERATION",), lambda c: [pay(c.bob)], changes=empty),
    Case(
        ENVELOPE + "single tx wrapped by different account: missing signature",
        (FAILED, "opBAD_AUTH"),
        lambda c: [pay(c.carol, source=c.bob)],
    ),
    Case(
        ENVELOPE + "single tx wrapped by different account: success",
        (SUCCESS, "PAYMENT_SUCCESS"),
        lambda c: [pay(c.carol, source=c.bob)],
        signers=("me", "bob"),
    ),
    Case(ENVELOPE + "Insufficient fee", ("txINSUFFICIENT_FEE",), lambda c: [pay(c.bob)], changes=cheap),
    Case(ENVELOPE + "transaction gap", ("txBAD_SEQ",), lambda c: [pay(c.bob)], changes=late),
    Case(
        ENVELOPE + "switch a into regular account 1",
        (SUCCESS, "SET_OPTIONS_SUCCESS"),
        lambda c: [options(master_weight=2, signer=Signer.ed25519_public_key(c.bob.public_key, 0))],
        (("me", shared()),),
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "switch a into regular account 2",
        (SUCCESS, "SET_OPTIONS_SUCCESS", "SET_OPTIONS_SUCCESS"),
        lambda c: [signer(c.bob, 0), options(master_weight=2)],
        (("me", shared()),),
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "merge one of signing accounts: by source, signed by destination",
        (SUCCESS, "SET_OPTIONS_SUCCESS", "ACCOUNT_MERGE_SUCCESS"),
        lambda c: [
            options(master_weight=1, signer=Signer.ed25519_public_key(c.bob.public_key, 0)),
            merge(c.bob),
        ],
        (("me", bobs),),
        signers=("bob",),
    ),
    Case(
        ENVELOPE + "merge one of signing accounts: by source, signed by both",
        ("txBAD_AUTH_EXTRA",),
        lambda c: [
            options(master_weight=1, signer=Signer.ed25519_public_key(c.bob.public_key, 0)),
            merge(c.bob),
        ],
        (("me", bobs),),
        signers=("me", "bob"),
    ),
    Case(
        ENVELOPE + "change thresholds twice",
        (SUCCESS, "SET_OPTIONS_SUCCESS", "SET_OPTIONS_SUCCESS"),
        lambda c: [options(high_threshold=3), options(high_threshold=3)],
    ),
    Case(
        ENVELOPE + "lower master weight twice",
        (SUCCESS, "SET_OPTIONS_SUCCESS", "SET_OPTIONS_SUCCESS"),
        lambda c: [options(master_weight=9), options(master_weight=8)],
        (("me", lambda c: [options(master_weight=10, low_threshold=1, med_threshold=5, high_threshold=10)]),),
    ),
)
