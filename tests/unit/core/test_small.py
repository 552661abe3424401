"""Addresses, reasons and results."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import StrKey, xdr
from stellar_sdk.exceptions import Ed25519PublicKeyInvalidError

from sorofast import _core
from sorofast.errors import StrkeyError, XdrError

RAW = st.binary(min_size=32, max_size=32)


@given(RAW)
def test_addresses_are_those_of_stellar_sdk(raw: bytes) -> None:
    account, contract = StrKey.encode_ed25519_public_key(raw), StrKey.encode_contract(raw)
    assert (_core.account_from_bytes(raw), _core.contract_from_bytes(raw)) == (account, contract)
    assert (_core.account_to_bytes(account), _core.contract_to_bytes(contract)) == (raw, raw)


@given(RAW, st.integers(0, 55), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_address_is_refused_as_stellar_sdk_refuses_it(raw: bytes, at: int, letter: str) -> None:
    address = StrKey.encode_ed25519_public_key(raw)
    mistyped = address[:at] + letter + address[at + 1 :]
    try:
        expected = StrKey.decode_ed25519_public_key(mistyped)
    except (ValueError, Ed25519PublicKeyInvalidError):
        with pytest.raises(StrkeyError):
            _core.account_to_bytes(mistyped)
    else:
        assert _core.account_to_bytes(mistyped) == expected


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "has 56 characters, this one has 0"),
        ("G" * 57, "this one has 57"),
        ("g" * 56, "character 0 of the address is not one of A-Z and 2-7"),
        ("\u00fc" * 28, "character 0"),
        (StrKey.encode_contract(bytes(32)), "must start with G"),
    ],
)
def test_refusals_of_addresses_say_why(address: str, says: str) -> None:
    with pytest.raises(StrkeyError, match=says):
        _core.account_to_bytes(address)


def test_reasons_are_one_table_for_everybody() -> None:
    table = _core.reason_codes()
    assert [code for code, _, _ in table] == sorted({code for code, _, _ in table})
    names = [name for _, name, _ in table]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-z_]*", name) for name in names)
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for _, _, sentence in table)
    assert {
        "inactive", "out_of_gas", "not_whitelisted", "blocked", "undecodable", "due_overflow", "interval_zero",
        "archived", "not_due", "waiting_for_ledger", "no_channel", "no_template", "simulating", "simulation_failed",
        "simulation_no_effect", "target_panics", "in_flight", "backing_off", "quarantined", "lease_not_trusted",
        "max_inflight", "fee_above_cap", "read_error", "removed", "executed", "no_effect", "failed", "expired",
        "superseded", "unknown", "rpc_refused", "gas_below_fee", "resolver_says_no", "fleet_paused",
        "footprint_varies", "function_missing", "registry_refused", "token_refused", "waiting_for_upgrade",
    } <= set(names)  # fmt: skip


def test_a_reason_keeps_its_code() -> None:
    codes = {name: code for code, name, _ in _core.reason_codes()}
    known = {
        "none": 0,
        "removed": 24,
        "gas_below_fee": 25,
        "token_refused": 31,
        "executed": 32,
        "rpc_refused": 38,
    }
    assert {name: codes[name] for name in known} == known
    assert codes["waiting_for_upgrade"] == max(codes.values()) == 39


INVOKE_CODES = list(xdr.InvokeHostFunctionResultCode)


def operation_result(code: xdr.InvokeHostFunctionResultCode) -> xdr.OperationResult:
    success = xdr.Hash(bytes(32)) if code.value == 0 else None
    return xdr.OperationResult(
        xdr.OperationResultCode.opINNER,
        tr=xdr.OperationResultTr(
            xdr.OperationType.INVOKE_HOST_FUNCTION,
            invoke_host_function_result=xdr.InvokeHostFunctionResult(code, success=success),
        ),
    )


def result(code: xdr.TransactionResultCode, fee: int, operations: list[xdr.OperationResult] | None) -> str:
    has_operations = code in {xdr.TransactionResultCode.txSUCCESS, xdr.TransactionResultCode.txFAILED}
    return xdr.TransactionResult(
        xdr.Int64(fee),
        xdr.TransactionResultResult(code, results=operations or [] if has_operations else None),
        xdr.TransactionResultExt(0),
    ).to_xdr()


PLAIN = [one for one in xdr.TransactionResultCode if "FEE_BUMP" not in one.name]


@given(st.sampled_from(PLAIN), st.integers(-(2**63), 2**63 - 1))
def test_results_have_the_names_of_stellar_sdk(code: xdr.TransactionResultCode, fee: int) -> None:
    assert _core.decode_result(result(code, fee, None)) == (fee, code.name, None)


@pytest.mark.parametrize("code", INVOKE_CODES, ids=lambda code: code.name)
def test_the_first_operations_code_is_named(code: xdr.InvokeHostFunctionResultCode) -> None:
    failed = xdr.TransactionResultCode.txFAILED
    assert _core.decode_result(result(failed, 5, [operation_result(code)])) == (5, "txFAILED", code.name)


@pytest.mark.parametrize(
    "code", [one for one in xdr.OperationResultCode if one.value], ids=lambda code: code.name
)
def test_codes_outside_an_operation_are_named(code: xdr.OperationResultCode) -> None:
    failed = xdr.TransactionResultCode.txFAILED
    assert _core.decode_result(result(failed, 5, [xdr.OperationResult(code)])) == (5, "txFAILED", code.name)


def test_a_fee_bump_shows_the_inner_operation() -> None:
    inner = xdr.InnerTransactionResult(
        xdr.Int64(0),
        xdr.InnerTransactionResultResult(
            xdr.TransactionResultCode.txFAILED, results=[operation_result(INVOKE_CODES[2])]
        ),
        xdr.InnerTransactionResultExt(0),
    )
    text = xdr.TransactionResult(
        xdr.Int64(900),
        xdr.TransactionResultResult(
            xdr.TransactionResultCode.txFEE_BUMP_INNER_FAILED,
            inner_result_pair=xdr.InnerTransactionResultPair(xdr.Hash(bytes(32)), inner),
        ),
        xdr.TransactionResultExt(0),
    ).to_xdr()
    assert _core.decode_result(text) == (900, "txFEE_BUMP_INNER_FAILED", INVOKE_CODES[2].name)


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("", 0, "cut short"),
        ("AAAAAAAAAAA=", 8, "cut short"),
        ("AAAAAAAAAAAAAAAF", 8, "5 is no transaction result code"),
        ("AAAA====", 4, "base64"),
        ("not base64!!", 3, "base64"),
    ],
)
def test_a_bad_result_says_what_is_wrong_and_where(text: str, offset: int, says: str) -> None:
    with pytest.raises(XdrError, match=says) as caught:
        _core.decode_result(text)
    assert caught.value.offset == offset


@settings(max_examples=300)
@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()))
def test_noise_is_an_error_or_a_result(text: str) -> None:
    try:
        fee, code, _ = _core.decode_result(text)
    except XdrError:
        return
    assert code.startswith("tx")
    assert -(2**63) <= fee < 2**63
