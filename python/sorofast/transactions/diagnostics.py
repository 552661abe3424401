"""Why a call failed: who raised the error that the others followed from, and what it is called.

A simulation's text begins with the outermost error, which for a registry is always "the call to the target failed". The
diagnostic events beside it tell the calls apart: what the registry refuses, what the token refuses and what the target
does are three causes with three cures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sorofast import _core
from sorofast.chain.xdr import DiagnosticEvent, HostError, read_event
from sorofast.errors import DecodeError
from sorofast.registry.words import RegistryWords
from sorofast.transactions.causes import Blame, classify

__all__ = ["Diagnosis", "Raised", "diagnose", "innermost", "keeper_fee", "name", "resolver_failure"]

MESSAGE_MAX = 200
EVENTS_MAX = 2_000
# A task's gas is kept in 64 bits. A contract's amount has 128, and what no gas can pay is nobody's fee.
FEE_MAX_STROOPS = 2**63 - 1
_CAUGHT = "contract try_call failed"
_CALL_FAILED = "contract call failed"
# What the host says where a contract gave nothing but a number. The contracts of assets say more.
_WORDLESS = ("failing with contract error", "escalating error", _CALL_FAILED, _CAUGHT)
_OUT_OF_BUDGET = "Error(Budget, ExceededLimit)"
_TOO_MUCH = "more instructions or memory than the network allows a transaction"
_PANIC = "UnreachableCodeReached"
_RESOLVER_FUNCTION = "check_condition"
_TOKEN_FUNCTIONS = frozenset({"transfer", "transfer_from"})
# What the registry itself refuses has reasons of its own, by the names that the contract family gives its errors.
_REFUSALS = {
    "InsufficientBalance": "gas_below_fee",
    "DependencyBlocked": "blocked",
    "TaskPaused": "inactive",
    "Unauthorized": "not_whitelisted",
}


@dataclass(frozen=True, slots=True)
class Raised:
    """The innermost error: the contract in whose call it arose (empty for none), that call's function, the error."""

    contract: bytes
    function: str
    kind: str
    code: str
    number: int | None
    message: str

    @property
    def missing_contract(self) -> bool:
        return (self.kind, self.code) == ("storage", "missing_value") and "contract instance" in self.message

    @property
    def missing_function(self) -> bool:
        return (self.kind, self.code) == ("wasm_vm", "missing_value")

    @property
    def outside_footprint(self) -> bool:
        """It touched an entry that its transaction had not named."""
        return (self.kind, self.code) == ("storage", "exceeded_limit")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`reason` is a name of `sorofast.reasons`, `error` the short name to group by, `text` a clause for people."""

    reason: str
    error: str
    text: str


def diagnose(
    error: str,
    events: Sequence[str],
    registry: bytes,
    words: RegistryWords | None = None,
    *,
    noun: str = "registry",
) -> Diagnosis | None:
    """What a simulation's error and its events (base64) mean. None where the RPC server told of itself: nobody said
    anything about the call.

    `registry` are the called contract's 32 bytes, and `noun` what it is called in the text. `words` is None until
    somebody has read them; its errors are then called by their numbers.
    """
    if classify(error) is not Blame.THIS_TASK:
        return None
    raised = innermost(events)
    if raised is None:
        first = " ".join(error.partition("\n")[0].split())[:MESSAGE_MAX]
        if _OUT_OF_BUDGET in first:
            return Diagnosis(
                "target_panics", "more than a transaction may use", f"the call needs {_TOO_MUCH}"
            )
        return Diagnosis("simulation_failed", first.removeprefix("HostError: "), f"the call failed: {first}")
    return name(raised, registry, words or RegistryWords(), noun=noun)


def name(raised: Raised, registry: bytes, words: RegistryWords, *, noun: str = "registry") -> Diagnosis:
    """Who raised the error, in words."""
    has_words = raised.number is None or not raised.message.startswith(_WORDLESS)
    said = f": {raised.message}" if raised.message and has_words else ""
    if raised.outside_footprint:
        return Diagnosis(
            "footprint_varies", "footprint", "the run touches other entries than the last simulation said"
        )
    if raised.contract == registry and (raised.missing_contract or raised.missing_function):
        address = _core.contract_from_bytes(registry)
        lacks = (
            f"there is no contract at {address}"
            if raised.missing_contract
            else f"the {noun} {address} has no function {raised.function}"
        )
        return Diagnosis("registry_refused", _error(raised), lacks)
    if raised.contract in (b"", registry):
        called = words.errors.get(raised.number or -1) or _error(raised)
        reason = _REFUSALS.get(called, "registry_refused")
        who = noun if registry else "network"
        cure = (
            "; gas is below the fee, add to it with `sorofast tasks deposit`"
            if reason == "gas_below_fee"
            else ""
        )
        return Diagnosis(reason, called, f"the {who} refused: {called}{said}{cure}")
    address, called = _core.contract_from_bytes(raised.contract), _error(raised)
    if raised.contract == words.token or (words.token is None and raised.function in _TOKEN_FUNCTIONS):
        return Diagnosis("token_refused", f"token {called}", f"the token {address} refused: {called}{said}")
    if raised.missing_contract:
        return Diagnosis("function_missing", "no contract", f"there is no contract at the target {address}")
    if raised.missing_function:
        return Diagnosis(
            "function_missing",
            f"no function {raised.function}",
            f"the target {address} has no function {raised.function}",
        )
    if (raised.kind, raised.code) == ("budget", "exceeded_limit"):
        text = f"the target {address} needs {_TOO_MUCH}, in {raised.function}()"
        return Diagnosis("target_panics", "more than a transaction may use", text)
    panicked = " (it panicked)" if _PANIC in raised.message else ""
    return Diagnosis(
        "target_panics",
        f"target {called}",
        f"the target {address} failed in {raised.function}(){panicked}: {called}{said}",
    )


def innermost(events: Sequence[str]) -> Raised | None:
    """The error that the call failed of. One that was caught, as a resolver's is, is not it: the calls went on after
    it. None where the events, bounded in number, do not tell.
    """
    found: Raised | None = None
    calls: list[tuple[bytes, str]] = []
    for event in _events(events):
        match event.topics:
            case ["fn_call", bytes(contract), str(function), *_]:
                calls.append((contract, function))
                found = None
            case ["fn_return", *_]:
                if calls:
                    calls.pop()
                found = None
            case ["error", HostError() as error, *_]:
                message = _message(event.data)
                if found is None:
                    contract, function = calls[-1] if calls else (event.contract or b"", "")
                    found = Raised(contract, function, *error, message)
                if message in (_CAUGHT, _CALL_FAILED) and calls:
                    calls.pop()
                if message == _CAUGHT:
                    found = None
    return found


def keeper_fee(events: Sequence[str], registry: bytes, task_id: int) -> int | None:
    """What the registry took from the task's gas for the run in these events (stroops, or the token's smallest unit);
    None where no KeeperPaid of the task tells, or names an amount that no task can have.
    """
    for event in _events(events):
        if event.contract != registry or not event.topics or event.topics[0] != "KeeperPaid":
            continue
        if task_id not in event.topics:
            continue
        # Booleans are whole numbers to Python.
        numbers = [
            value for value in _flat(event.data) if isinstance(value, int) and not isinstance(value, bool)
        ]
        return numbers[0] if numbers and 0 <= numbers[0] <= FEE_MAX_STROOPS else None
    return None


def resolver_failure(events: Sequence[str]) -> str | None:
    """What went wrong in a resolver whose answer counted as no; None where it answered."""
    calls: list[tuple[bytes, str]] = []
    message: str | None = None
    for event in _events(events):
        match event.topics:
            case ["fn_call", bytes(contract), str(function), *_]:
                calls.append((contract, function))
            case ["fn_return", *_] if calls:
                calls.pop()
            case ["error", HostError(), *_] if calls and calls[-1][1] == _RESOLVER_FUNCTION:
                message = message or _message(event.data)
    return message


def _events(events: Sequence[str]) -> list[DiagnosticEvent]:
    """Those that can be read: a node may be newer than we are, and its events are words, not money."""
    found = []
    for text in events[:EVENTS_MAX]:
        try:
            found.append(read_event(text))
        except DecodeError:
            continue
    return found


def _flat(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [data]


def _message(data: Any) -> str:
    """The host's words in an error event: a string, or a list that begins with one."""
    first = data[0] if isinstance(data, list) and data else data
    return " ".join(first.split())[:MESSAGE_MAX] if isinstance(first, str) else ""


def _error(raised: Raised) -> str:
    """`error 7` for a contract's own number, else the host's `wasm_vm invalid_action`."""
    return f"error {raised.number}" if raised.number is not None else f"{raised.kind} {raised.code}"
