"""Who raised the error that a transaction failed with, and what it is called."""

from __future__ import annotations

from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.executions.outcome import FailureClass
from sorofast.registry.words import RegistryWords
from sorofast.transactions.failures import failure_of, refusal

REGISTRY, TARGET = bytes(32), b"\1" * 32
TRAPPED = ("txFAILED", "INVOKE_HOST_FUNCTION_TRAPPED")
NAMES = RegistryWords({3: "InsufficientBalance"}, None)


def event(contract: bytes | None, *topics: stellar_xdr.SCVal, message: str = "") -> str:
    owner = None if contract is None else stellar_xdr.ContractID(stellar_xdr.Hash(contract))
    body = stellar_xdr.ContractEventBody(
        0, stellar_xdr.ContractEventV0(list(topics), scval.to_string(message))
    )
    inner = stellar_xdr.ContractEvent(
        stellar_xdr.ExtensionPoint(0), owner, stellar_xdr.ContractEventType.DIAGNOSTIC, body
    )
    return stellar_xdr.DiagnosticEvent(False, inner).to_xdr()


def contract_error(number: int) -> stellar_xdr.SCVal:
    error = stellar_xdr.SCError(
        stellar_xdr.SCErrorType.SCE_CONTRACT, contract_code=stellar_xdr.Uint32(number)
    )
    return stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_ERROR, error=error)


def host_error(kind: str, code: str) -> stellar_xdr.SCVal:
    error = stellar_xdr.SCError(
        stellar_xdr.SCErrorType[f"SCE_{kind}"], code=stellar_xdr.SCErrorCode[f"SCEC_{code}"]
    )
    return stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_ERROR, error=error)


def raised(contract: bytes, error: stellar_xdr.SCVal, message: str = "") -> str:
    return event(contract, scval.to_symbol("error"), error, message=message)


def called(contract: bytes, function: str, by: bytes | None = REGISTRY) -> str:
    return event(by, scval.to_symbol("fn_call"), scval.to_bytes(contract), scval.to_symbol(function))


EXECUTE = called(REGISTRY, "execute", None)
LOG = event(TARGET, scval.to_symbol("log"))


def test_the_registry_s_own_error_has_its_name() -> None:
    failure = failure_of(TRAPPED, [EXECUTE, raised(REGISTRY, contract_error(3)), LOG], REGISTRY, NAMES)
    assert (failure.kind, failure.error) == (FailureClass.REGISTRY_REFUSED, "InsufficientBalance")
    assert "`sorofast tasks deposit`" in failure.words


def test_the_target_s_error_is_not_taken_for_the_registry_s_of_the_same_number() -> None:
    told = [
        EXECUTE,
        called(TARGET, "run"),
        raised(TARGET, contract_error(3)),
        raised(REGISTRY, contract_error(3), "contract call failed"),
    ]
    failure = failure_of(TRAPPED, told, REGISTRY, NAMES)
    assert (failure.kind, failure.error) == (FailureClass.TARGET_FAILED, "target error 3")
    assert "run()" in failure.words


def test_a_panic_of_the_target_is_the_target_s() -> None:
    error = host_error("WASM_VM", "INVALID_ACTION")
    told = [EXECUTE, called(TARGET, "run"), raised(TARGET, error, "trapped"), LOG, raised(REGISTRY, error)]
    failure = failure_of(TRAPPED, told, REGISTRY, NAMES)
    assert (failure.kind, failure.error) == (FailureClass.TARGET_FAILED, "target wasm_vm invalid_action")


def test_a_token_that_refuses_the_fee_is_told_apart_from_the_target() -> None:
    told = [EXECUTE, called(TARGET, "transfer"), raised(TARGET, contract_error(10))]
    assert failure_of(TRAPPED, told, REGISTRY, NAMES).kind is FailureClass.TOKEN_REFUSED


def test_what_an_asset_s_contract_says_of_its_number_is_told_and_an_empty_phrase_of_the_host_is_not() -> None:
    for message, words in (
        ("resulting balance is not within the allowed range", "error 10: resulting balance is not within"),
        ("failing with contract error", "error 10"),
        ("escalating error to panic", "error 10"),
    ):
        told = [EXECUTE, called(TARGET, "transfer"), raised(TARGET, contract_error(10), message)]
        failure = failure_of(TRAPPED, told, REGISTRY, NAMES)
        assert f"refused: {words}" in failure.words
        assert "error 10: f" not in failure.words
        assert "escalating" not in failure.words


def test_a_call_of_a_function_that_the_called_contract_lacks_is_told_as_that() -> None:
    told = [called(REGISTRY, "init", None), raised(REGISTRY, host_error("WASM_VM", "MISSING_VALUE"))]
    words = failure_of(TRAPPED, told, REGISTRY, None, noun="contract").words
    assert words.startswith("the contract C")
    assert words.endswith(" has no function init")


def test_a_footprint_or_resources_that_no_longer_fit_are_nobody_s_refusal() -> None:
    outside = [EXECUTE, raised(REGISTRY, host_error("STORAGE", "EXCEEDED_LIMIT"))]
    assert failure_of(TRAPPED, outside, REGISTRY, NAMES).kind is FailureClass.STALE_FOOTPRINT
    spent = [EXECUTE, raised(REGISTRY, host_error("BUDGET", "EXCEEDED_LIMIT"))]
    assert failure_of(TRAPPED, spent, REGISTRY, None).kind is FailureClass.STALE_FOOTPRINT
    for code, kind in (
        ("INVOKE_HOST_FUNCTION_RESOURCE_LIMIT_EXCEEDED", FailureClass.STALE_FOOTPRINT),
        ("INVOKE_HOST_FUNCTION_ENTRY_ARCHIVED", FailureClass.STALE_FOOTPRINT),
        ("INVOKE_HOST_FUNCTION_INSUFFICIENT_REFUNDABLE_FEE", FailureClass.REFUNDABLE_FEE),
        ("RESTORE_FOOTPRINT_RESOURCE_LIMIT_EXCEEDED", FailureClass.STALE_FOOTPRINT),
        ("RESTORE_FOOTPRINT_INSUFFICIENT_REFUNDABLE_FEE", FailureClass.REFUNDABLE_FEE),
    ):
        assert failure_of(("txFAILED", code), [], REGISTRY, NAMES).kind is kind


def test_without_events_or_with_odd_ones_the_codes_are_told() -> None:
    for told in ([], ["AAAA"], ["%%%"]):
        failure = failure_of(TRAPPED, told, REGISTRY, NAMES)
        assert failure.kind is FailureClass.UNCLEAR
        assert "INVOKE_HOST_FUNCTION_TRAPPED" in failure.words
    assert failure_of((), [], REGISTRY, NAMES).words == "it failed with no result"


def test_a_refusal_of_the_node_is_named_by_its_innermost_code() -> None:
    failure = refusal("txFAILED/opBAD_AUTH")
    assert (failure.kind, failure.error) == (FailureClass.NODE_REFUSED, "opBAD_AUTH")
