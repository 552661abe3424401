"""The calls of the sandbox's admin interface without a wire: what is sent, and how the answer is read.

Each is a generator that yields the requests it takes and returns its value, so that it stands here once and works both
ways: `client` sends the requests from an event loop, `blocking_client` from anywhere else; `methods` gives the calls to
both.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from sorofast.errors import BodyError, SorofastError, UnreachableError
from sorofast.sandbox.answers import Accounts, ClosedLedger, Fate, FaultRule, Moment, Stats, TransactionsPage

T = TypeVar("T")

TIMEOUT_S = 30.0
# A state may be gigabytes: it has no time as a whole, but each piece of it has.
STATE_PIECE_TIMEOUT_S = 120.0
STATE_PIECE_BYTES = 1024 * 1024
STATE_TYPE = "application/octet-stream"
PAGE = 10_000
_ENTRIES_PER_REQUEST = 5_000  # a few MiB of task entries, far below the body limit of 64 MiB
_ERROR_CHARS_MAX = 300
# What the slowest machine closes in a second when it is told to advance; the wait grows with the ledgers.
_LEDGERS_PER_S = 1_000


class _LedgersPage(msgspec.Struct):
    ledgers: list[ClosedLedger]
    latest_ledger: int


class _Skew(msgspec.Struct):
    skew_seconds: float


class _Count(msgspec.Struct):
    count: int


class _Fates(msgspec.Struct):
    fates: dict[str, Fate]


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """Verb, path below /admin, JSON body if any, and what turns the answer's bytes into a value."""

    verb: str
    path: str
    read: Callable[[bytes], T]
    body: bytes | None = None
    timeout_s: float = TIMEOUT_S


Call: TypeAlias = Generator[Request[Any], Any, T]
"""Yields requests, is sent each one's value, and returns the value of the whole."""


def advance(ledgers: int = 1, seconds: float = 0.0, *, spread: bool = False) -> Call[Moment]:
    """Move the sandbox's clock on by `seconds`, then close that many ledgers; they are visible when this returns. With
    `spread` the seconds are spread evenly over the ledgers' close times.
    """
    body: dict[str, object] = {"ledgers": ledgers, "seconds": seconds}
    if spread:
        body["spread"] = True
    timeout_s = TIMEOUT_S + max(0, ledgers) / _LEDGERS_PER_S
    return (yield from _one(Request("POST", "advance", _reader(Moment), _json(body), timeout_s)))


def skew(seconds: float) -> Call[float]:
    """Set the offset of the closing clock against this machine's, in seconds."""
    answer = yield from _one(Request("POST", "skew", _reader(_Skew), _json({"seconds": seconds})))
    return answer.skew_seconds


def put_entries(entries: Iterable[tuple[bytes, int | None]]) -> Call[int]:
    """Put raw ledger entries (XDR, live-until ledger) into the state; returns how many there were."""
    count = 0
    every = iter(entries)
    while chunk := list(islice(every, _ENTRIES_PER_REQUEST)):
        body = [{"xdr": base64.b64encode(xdr).decode(), "live_until": until} for xdr, until in chunk]
        answer = yield from _one(Request("POST", "entries", _reader(_Count), _json({"entries": body})))
        count += answer.count
    return count


def transactions_page(from_ledger: int) -> Call[TransactionsPage]:
    """What was applied since that ledger, itself included, in apply order, as far as one page holds it.

    BodyError for a page after which the same would be asked for again.
    """
    path = f"transactions?from_ledger={from_ledger}&limit={PAGE}"
    page = yield from _one(Request("GET", path, _reader(TransactionsPage)))
    if page.next_from_ledger is not None and page.next_from_ledger <= from_ledger:
        raise BodyError(f"the sandbox's page of transactions after ledger {from_ledger} does not lead on")
    return page


def ledgers(from_ledger: int) -> Call[list[ClosedLedger]]:
    """All closed ledgers since that one, itself included, in order."""
    closed: list[ClosedLedger] = []
    while True:
        path = f"ledgers?from_ledger={from_ledger}&limit={PAGE}"
        page = yield from _one(Request("GET", path, _reader(_LedgersPage)))
        closed += page.ledgers
        if not page.ledgers or page.ledgers[-1].sequence >= page.latest_ledger:
            return closed
        from_ledger = page.ledgers[-1].sequence + 1


def stats() -> Call[Stats]:
    """What the sandbox has been asked so far."""
    return (yield from _one(Request("GET", "stats", _reader(Stats))))


def faults() -> Call[dict[str, Any]]:
    """The fault plan in force, as the sandbox shows it."""
    return (yield from _one(Request("GET", "faults", _reader(dict[str, Any]))))


def set_fault_plan(plan: Mapping[str, Any]) -> Call[dict[str, Any]]:
    """Replace the fault plan; returns it as the sandbox took it."""
    return (yield from _one(Request("POST", "faults", _reader(dict[str, Any]), _json(plan))))


def set_faults(rules: Sequence[FaultRule]) -> Call[None]:
    """Replace the fault plan by rules for the answers to JSON-RPC calls."""
    yield from set_fault_plan({"rules": msgspec.to_builtins(list(rules))})


def clear_faults() -> Call[None]:
    """No faults any more."""
    yield from _one(Request("DELETE", "faults", _ignore))


def contract_wasm(name: str) -> Call[bytes]:
    """The code of a contract that ships in the sandbox: `task_registry`, `counter`, `switch_resolver`, …"""
    return (yield from _one(Request("GET", f"contracts/{name}.wasm", bytes)))


def accounts() -> Call[Accounts]:
    """The accounts that the sandbox was started with."""
    return (yield from _one(Request("GET", "accounts", _reader(Accounts))))


def fates(hashes: Sequence[str]) -> Call[dict[str, Fate]]:
    """What became of these transactions (hex hashes)."""
    answer = yield from _one(Request("POST", "fates", _reader(_Fates), _json({"hashes": list(hashes)})))
    return answer.fates


def audit() -> Call[dict[str, Any]]:
    """All coins counted, against what the ledger header records."""
    return (yield from _one(Request("GET", "audit", _reader(dict[str, Any]))))


def reset() -> Call[Moment]:
    """Back to the ledger that the sandbox began with."""
    # A genesis with a million tasks is made anew.
    return (yield from _one(Request("POST", "reset", _reader(Moment), b"{}", STATE_PIECE_TIMEOUT_S)))


def _one(request: Request[T]) -> Call[T]:
    """The call that is a single request."""
    value: T = yield request
    return value


def state_loaded(answer: bytes) -> Moment:
    return _decode(answer, Moment)


def refusal(verb: str, url: str, status: int, content: bytes) -> SorofastError:
    """The error for an answer of 400 or more."""
    with contextlib.suppress(msgspec.DecodeError):
        match msgspec.json.decode(content):
            case {"error": str(message)}:
                return SorofastError(f"the sandbox refused {verb} {url} with status {status}: {message}")
    said = " ".join(content[:_ERROR_CHARS_MAX].decode(errors="replace").split())
    return SorofastError(
        f"{verb} {url} was answered with status {status}, not as a sandbox answers: {said or 'nothing'}"
    )


def no_answer(url: str, reason: str) -> UnreachableError:
    """The error for a call that got no answer."""
    return UnreachableError(f"the sandbox's admin interface at {url} gave no answer: {reason}")


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _reader(kind: type[T]) -> Callable[[bytes], T]:
    return lambda body: _decode(body, kind)


def _ignore(body: bytes) -> None:
    del body


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BodyError(f"the sandbox's admin answer is not what it should be: {error}") from error
