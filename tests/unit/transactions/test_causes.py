"""Whose fault a failure is."""

from __future__ import annotations

import pytest

from sorofast.errors import BodyError, ConfigError, RpcError, RpcUnreachable
from sorofast.transactions.causes import Blame, FleetCause, classify, fleet_cause, what_to_do


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        ("preflight queue full", Blame.WAIT),
        ("context deadline exceeded", Blame.WAIT),
        ("could not obtain ledger 7: database is locked", Blame.WAIT),
        ("HostError: Error(Contract, #5)\n\nEvent log (newest first):", Blame.THIS_TASK),
        (
            "host invocation failed\n\nCaused by:\n    HostError: Error(WasmVm, InvalidAction)",
            Blame.THIS_TASK,
        ),
        (RpcError(-32603, "preflight queue full", "simulateTransaction"), Blame.WAIT),
        (RpcError(0, "busy", "sendTransaction"), Blame.WAIT),
        (RpcError(-32602, "cannot unmarshal transaction", "simulateTransaction"), Blame.THIS_TASK),
        (RpcError(-32601, "method not found", "simulateTransaction"), Blame.CONFIGURATION),
        (RpcUnreachable("answered with HTTP 429", status=429), Blame.WAIT),
        (RpcUnreachable("answered with HTTP 503", status=503), Blame.WAIT),
        (RpcUnreachable("answered with HTTP 403", status=403), Blame.CONFIGURATION),
        (RpcUnreachable("did not answer within 10 s", timed_out=True), Blame.WAIT),
        (RpcUnreachable("connection refused"), Blame.OTHER_ENDPOINT),
        (BodyError("not answered with JSON"), Blame.OTHER_ENDPOINT),
        (ConfigError("no such file"), Blame.CONFIGURATION),
        (TimeoutError(), Blame.WAIT),
    ],
    ids=str,
)
def test_a_failed_call_is_blamed_on_who_can_end_it(error: Exception | str, blame: Blame) -> None:
    assert classify(error) is blame


@pytest.mark.parametrize(
    ("detail", "cause"),
    [
        ("txFAILED/opNO_ACCOUNT", FleetCause.KEEPER_MISSING),
        ("txFAILED/opBAD_AUTH", FleetCause.KEEPER_CANNOT_SIGN),
        ("txINSUFFICIENT_FEE", FleetCause.FEE_BELOW_MARKET),
        ("txNO_ACCOUNT", None),
        ("txBAD_AUTH", None),
        ("txINSUFFICIENT_BALANCE", None),
        ("txFAILED/INVOKE_HOST_FUNCTION_TRAPPED", None),
        ("", None),
    ],
)
def test_what_the_operation_lacks_is_the_keeper_s_and_what_the_transaction_lacks_its_channel_s(
    detail: str, cause: FleetCause | None
) -> None:
    assert fleet_cause(detail) is cause


@pytest.mark.parametrize("cause", FleetCause)
def test_every_cause_says_what_to_do_and_that_runs_go_on_by_themselves(cause: FleetCause) -> None:
    text = what_to_do(cause, "GKEEPER", asked_stroops=17_300, bid_stroops=1_000)
    assert "runs go on by themselves" in text
    assert "\n" not in text
    if cause is FleetCause.FEE_BELOW_MARKET:
        assert "17300 stroops" in text
        assert "1000" in text
    if cause.value.startswith("keeper"):
        assert "GKEEPER" in text
