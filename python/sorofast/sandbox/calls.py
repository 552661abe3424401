"""The calls of the sandbox's admin interface without a wire: what is sent, and how the answer is read.

`client` sends them from an event loop, `blocking_client` from anywhere else.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from sorofast.errors import BodyError, SorofastError, UnreachableError

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


class AppliedTransaction(msgspec.Struct, frozen=True):
    """One transaction in apply order (`order` counts within its ledger). Addresses are strkeys, `args` base64
    ScVals.

    `source` pays and gives the sequence; `operation_source` is who the operation acts for.
    """

    ledger: int
    order: int
    close_time: int
    close_time_ms: int
    hash: str
    source: str
    operation_source: str
    operation: str
    status: Literal["SUCCESS", "FAILED"]
    result_code: str
    fee_charged: int
    contract: str | None = None
    function: str | None = None
    args: tuple[str, ...] = ()
    operation_result: str | None = None
    max_ledger: int | None = None


class ClosedLedger(msgspec.Struct, frozen=True):
    """One closed ledger: its close time in whole seconds, in milliseconds, and how many transactions it
    applied.
    """

    sequence: int
    close_time: int
    close_time_ms: int
    hash: str
    transactions: int


class Stats(msgspec.Struct, frozen=True):
    """JSON-RPC calls since the start, by method; the latest ledger; transactions waiting for a ledger."""

    rpc_calls: dict[str, int]
    latest_ledger: int
    pending: int


class Moment(msgspec.Struct, frozen=True):
    """Where the chain stands now."""

    latest_ledger: int
    close_time: int
    ledgers_closed: int | None = None


class FundedAccount(msgspec.Struct, frozen=True):
    """An account that the sandbox was started with. Its secret key is public on purpose. The balance is None
    once the account is gone.
    """

    public_key: str
    secret_key: str
    balance_stroops: int | None
    index: int | None = None


class Accounts(msgspec.Struct, frozen=True):
    """The funded accounts in order, and the network's root account, which holds the rest."""

    accounts: tuple[FundedAccount, ...]
    root: FundedAccount | None = None


class Fate(msgspec.Struct, frozen=True):
    """What became of a transaction by the queue's own record."""

    state: Literal["pending", "applied", "dropped", "unknown"]
    ledger: int | None = None
    reason: str | None = None


class FaultRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule for the answers to JSON-RPC calls. `count` None is without end; `drop_reply` carries the
    request out and gives no answer.
    """

    method: str
    kind: Literal["latency", "http_status", "rpc_error", "drop_reply"]
    latency_ms: int | None = None
    status: int | None = None
    code: int | None = None
    message: str | None = None
    count: int | None = None
    probability: float = 1.0


class TransactionsPage(msgspec.Struct):
    transactions: list[AppliedTransaction]
    latest_ledger: int
    next_from_ledger: int | None = None


class LedgersPage(msgspec.Struct):
    ledgers: list[ClosedLedger]
    latest_ledger: int


class _Skew(msgspec.Struct):
    skew_seconds: float


class _Count(msgspec.Struct):
    count: int


class _Fates(msgspec.Struct):
    fates: dict[str, Fate]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: verb, path below /admin, JSON body if any, and what turns the answer's bytes into a
    value.
    """

    verb: str
    path: str
    read: Callable[[bytes], T]
    body: bytes | None = None
    timeout_s: float = TIMEOUT_S


def advance(ledgers: int, seconds: float, spread: bool) -> Call[Moment]:
    body: dict[str, object] = {"ledgers": ledgers, "seconds": seconds}
    if spread:
        body["spread"] = True
    timeout_s = TIMEOUT_S + max(0, ledgers) / _LEDGERS_PER_S
    return Call("POST", "advance", _reader(Moment), _json(body), timeout_s)


def skew(seconds: float) -> Call[float]:
    return Call("POST", "skew", lambda body: _decode(body, _Skew).skew_seconds, _json({"seconds": seconds}))


def put_entries(entries: Iterable[tuple[bytes, int | None]]) -> Iterator[Call[int]]:
    """As many calls as their number takes."""
    chunk: list[dict[str, object]] = []
    for xdr, live_until in entries:
        chunk.append({"xdr": base64.b64encode(xdr).decode(), "live_until": live_until})
        if len(chunk) == _ENTRIES_PER_REQUEST:
            yield _put(chunk)
            chunk = []
    if chunk:
        yield _put(chunk)


def _put(chunk: list[dict[str, object]]) -> Call[int]:
    return Call("POST", "entries", lambda body: _decode(body, _Count).count, _json({"entries": chunk}))


def transactions(from_ledger: int) -> Call[TransactionsPage]:
    return Call("GET", f"transactions?from_ledger={from_ledger}&limit={PAGE}", _reader(TransactionsPage))


def following(page: TransactionsPage, asked_from: int) -> int | None:
    """The ledger that the next page begins with; BodyError for a page that would be asked for again."""
    if page.next_from_ledger is not None and page.next_from_ledger <= asked_from:
        raise BodyError(f"the sandbox's page of transactions after ledger {asked_from} does not lead on")
    return page.next_from_ledger


def ledgers(from_ledger: int) -> Call[LedgersPage]:
    return Call("GET", f"ledgers?from_ledger={from_ledger}&limit={PAGE}", _reader(LedgersPage))


def stats() -> Call[Stats]:
    return Call("GET", "stats", _reader(Stats))


def faults() -> Call[dict[str, Any]]:
    return Call("GET", "faults", _reader(dict[str, Any]))


def set_faults(plan: Mapping[str, Any]) -> Call[dict[str, Any]]:
    return Call("POST", "faults", _reader(dict[str, Any]), _json(plan))


def rules_plan(rules: Sequence[FaultRule]) -> dict[str, Any]:
    return {"rules": msgspec.to_builtins(list(rules))}


def clear_faults() -> Call[None]:
    return Call("DELETE", "faults", _ignore)


def contract_wasm(name: str) -> Call[bytes]:
    return Call("GET", f"contracts/{name}.wasm", bytes)


def accounts() -> Call[Accounts]:
    return Call("GET", "accounts", _reader(Accounts))


def fates(hashes: Sequence[str]) -> Call[dict[str, Fate]]:
    body = _json({"hashes": list(hashes)})
    return Call("POST", "fates", lambda answer: _decode(answer, _Fates).fates, body)


def audit() -> Call[dict[str, Any]]:
    return Call("GET", "audit", _reader(dict[str, Any]))


def reset() -> Call[Moment]:
    # A genesis with a million tasks is made anew.
    return Call("POST", "reset", _reader(Moment), b"{}", STATE_PIECE_TIMEOUT_S)


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
