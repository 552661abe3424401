"""Why an included transaction failed, and what has to change before another attempt makes sense."""

from __future__ import annotations

from collections.abc import Sequence

from sorofast.executions.outcome import Failure, FailureClass
from sorofast.registry.words import RegistryWords
from sorofast.transactions.diagnostics import innermost, name

__all__ = ["failure_of", "refusal"]

_FUNCTION_CODE = "INVOKE_HOST_FUNCTION_"
_RESTORE_CODE = "RESTORE_FOOTPRINT_"
_TRAPPED = f"{_FUNCTION_CODE}TRAPPED"
_BY_CODE = {
    f"{_FUNCTION_CODE}RESOURCE_LIMIT_EXCEEDED": (
        FailureClass.STALE_FOOTPRINT,
        "the run needs more resources than the last simulation said",
    ),
    f"{_FUNCTION_CODE}ENTRY_ARCHIVED": (
        FailureClass.STALE_FOOTPRINT,
        "an entry that the run needs is archived",
    ),
    f"{_FUNCTION_CODE}INSUFFICIENT_REFUNDABLE_FEE": (
        FailureClass.REFUNDABLE_FEE,
        "the run's rent or events cost more than the last simulation said",
    ),
    f"{_RESTORE_CODE}RESOURCE_LIMIT_EXCEEDED": (
        FailureClass.STALE_FOOTPRINT,
        "restoring the entries takes more resources than the last simulation said",
    ),
    f"{_RESTORE_CODE}INSUFFICIENT_REFUNDABLE_FEE": (
        FailureClass.REFUNDABLE_FEE,
        "restoring the entries costs more rent than the last simulation said",
    ),
}
# By the reasons that a diagnosis gives; what is not here the registry refused.
_BY_REASON = {
    "footprint_varies": FailureClass.STALE_FOOTPRINT,
    "token_refused": FailureClass.TOKEN_REFUSED,
    "function_missing": FailureClass.TARGET_FAILED,
    "target_panics": FailureClass.TARGET_FAILED,
}


def failure_of(
    codes: Sequence[str],
    events: Sequence[str],
    registry: bytes,
    words: RegistryWords | None,
    *,
    noun: str = "registry",
) -> Failure:
    """The failure of a transaction with these result codes (transaction, operation) and diagnostic events (base64).

    `registry` are the called contract's 32 bytes, and `noun` what it is called; `words` is None until somebody has
    read them.
    """
    last = codes[-1] if codes else ""
    if last in _BY_CODE:
        kind, text = _BY_CODE[last]
        return Failure(kind, _short(last), text)
    raised = innermost(events) if last == _TRAPPED else None
    if raised is None:
        shown = "/".join(codes) or "no result"
        return Failure(FailureClass.UNCLEAR, _short(last) or "no result", f"it failed with {shown}")
    if (raised.kind, raised.code) == ("budget", "exceeded_limit"):
        text = "the run needs more resources than the last simulation said"
        return Failure(FailureClass.STALE_FOOTPRINT, "budget", text)
    said = name(raised, registry, words or RegistryWords(), noun=noun)
    return Failure(_BY_REASON.get(said.reason, FailureClass.REGISTRY_REFUSED), said.error, said.text)


def refusal(codes: str) -> Failure:
    """What a node refused at the door, with the codes it gave (`transaction code/operation code`)."""
    code = codes.partition("/")[2] or codes
    return Failure(FailureClass.NODE_REFUSED, code, f"the node refused the transaction: {codes}")


def _short(code: str) -> str:
    """`INVOKE_HOST_FUNCTION_ENTRY_ARCHIVED` → `entry archived`; a code of another kind stays as it is."""
    if not code.startswith(_FUNCTION_CODE):
        return code
    return code.removeprefix(_FUNCTION_CODE).lower().replace("_", " ")
