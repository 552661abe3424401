"""The validity of fee-bumps: the cases of stellar-core's FeeBumpTransactionTests.cpp, section "validity", with the
codes and the fees that are demanded there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from stellar_sdk import Account, Asset, Keypair, TransactionBuilder
from stellar_sdk import xdr as stellar_xdr

from helpers.chain import PASSPHRASE, Chain, account_entry

FLAGS = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")
FEE = 100
MIN_BALANCE = 10_000_000
TAG = b"\0\0\0\5"  # ENVELOPE_TYPE_TX_FEE_BUMP


@dataclass(frozen=True)
class Case:
    section: str
    code: str
    fee: int = 2 * FEE
    inner_fee: int = FEE
    payer_balance: int | None = 1_000 * MIN_BALANCE
    """None: there is no such account."""
    inner_signed: bool = True
    signers: tuple[str, ...] = ("payer",)
    stroops: int = 1
    charged: int = 2 * FEE
    inner_codes: tuple[str, ...] = ()


CASES = (
    Case("insufficient fee, less than min", "txINSUFFICIENT_FEE", 2 * FEE - 1, 1),
    Case("insufficient fee, rate less than inner", "txINSUFFICIENT_FEE", 2 * FEE + 1, 101, charged=202),
    Case("fee source does not exist", "txNO_ACCOUNT", payer_balance=None),
    Case("bad signatures, signature missing", "txBAD_AUTH", signers=()),
    Case("bad signatures, signature invalid", "txBAD_AUTH", signers=("other transaction",)),
    Case("insufficient balance", "txINSUFFICIENT_BALANCE", payer_balance=MIN_BALANCE),
    Case("extra signatures", "txBAD_AUTH_EXTRA", signers=("payer", "source")),
    Case(
        "inner transaction invalid, transaction level",
        "txFEE_BUMP_INNER_FAILED",
        inner_signed=False,
        inner_codes=("txBAD_AUTH",),
    ),
    Case(
        "inner transaction invalid, operation level",
        "txFEE_BUMP_INNER_FAILED",
        stroops=-1,
        inner_codes=("txFAILED", "PAYMENT_MALFORMED"),
    ),
)


def envelope(case: Case, source: Keypair, payer: Keypair, sequence: int) -> str:
    """The bump, put together without the SDK's builder, which makes none of these."""
    builder = TransactionBuilder(Account(source.public_key, sequence), PASSPHRASE, case.inner_fee)
    inner = builder.add_time_bounds(0, 0).append_payment_op(source.public_key, Asset.native(), "1").build()
    plain = inner.to_xdr_object().v1
    assert plain is not None
    payment = plain.tx.operations[0].body.payment_op
    assert payment is not None
    payment.amount = stellar_xdr.Int64(case.stroops)
    network_id = hashlib.sha256(PASSPHRASE.encode()).digest()
    if case.inner_signed:
        body = hashlib.sha256(network_id + b"\0\0\0\2" + plain.tx.to_xdr_bytes()).digest()
        plain.signatures = [source.sign_decorated(body).to_xdr_object()]
    bump = stellar_xdr.FeeBumpTransaction(
        fee_source=stellar_xdr.MuxedAccount(
            stellar_xdr.CryptoKeyType.KEY_TYPE_ED25519, ed25519=stellar_xdr.Uint256(payer.raw_public_key())
        ),
        fee=stellar_xdr.Int64(case.fee),
        inner_tx=stellar_xdr.FeeBumpTransactionInnerTx(stellar_xdr.EnvelopeType.ENVELOPE_TYPE_TX, v1=plain),
        ext=stellar_xdr.FeeBumpTransactionExt(0),
    )
    hash_ = hashlib.sha256(network_id + TAG + bump.to_xdr_bytes()).digest()
    made = {
        "payer": payer.sign_decorated(hash_),
        "source": source.sign_decorated(hash_),
        "other transaction": payer.sign_decorated(bytes(32)),
    }
    signatures = [made[name].to_xdr_object() for name in case.signers]
    return stellar_xdr.TransactionEnvelope(
        stellar_xdr.EnvelopeType.ENVELOPE_TYPE_TX_FEE_BUMP,
        fee_bump=stellar_xdr.FeeBumpTransactionEnvelope(bump, signatures),
    ).to_xdr()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.section)
def test_an_invalid_fee_bump_is_refused_as_core_refuses_it(case: Case) -> None:
    source, payer = Keypair.random(), Keypair.random()
    with Chain(*FLAGS) as chain:
        balances = {source: 1_000 * MIN_BALANCE, payer: case.payer_balance}
        entries = [
            {"xdr": account_entry(key.public_key, balance, 7)}
            for key, balance in balances.items()
            if balance is not None
        ]
        chain.admin("entries", {"entries": entries})
        sent = chain.rpc("sendTransaction", transaction=envelope(case, source, payer, 7))
        assert sent["status"] == "ERROR"
        result = stellar_xdr.TransactionResult.from_xdr(sent["errorResultXdr"])
        assert (result.result.code.name, result.fee_charged.int64) == (case.code, case.charged)
        if case.inner_codes:
            pair = result.result.inner_result_pair
            assert pair is not None
            assert pair.result.fee_charged.int64 == 0
            codes = [pair.result.result.code.name]
            codes += [one.tr.payment_result.code.name for one in pair.result.result.results or []]
            assert tuple(codes) == case.inner_codes
