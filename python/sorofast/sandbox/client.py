"""The sandbox's admin interface: time, raw entries, what was applied, faults. JSON over HTTP on the sandbox's
own port.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar

import aiohttp
import msgspec

from sorofast.errors import BodyError, SorofastError, UnreachableError

_T = TypeVar("_T")

_TIMEOUT_S = 30.0
_PAGE = 10_000
_ENTRIES_PER_REQUEST = 5_000  # a few MiB of task entries, far below the body limit of 64 MiB
_ERROR_CHARS_MAX = 300


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
    """Where the chain stands after an advance."""

    latest_ledger: int
    close_time: int


class FaultRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule of the fault panel. `count` None is without end; `drop_reply` carries the request out and
    gives no answer.
    """

    method: str
    kind: Literal["latency", "http_status", "rpc_error", "drop_reply"]
    latency_ms: int | None = None
    status: int | None = None
    code: int | None = None
    message: str | None = None
    count: int | None = None
    probability: float = 1.0


class _TransactionsPage(msgspec.Struct):
    transactions: list[AppliedTransaction]
    latest_ledger: int
    next_from_ledger: int | None = None


class _LedgersPage(msgspec.Struct):
    ledgers: list[ClosedLedger]
    latest_ledger: int


class _Skew(msgspec.Struct):
    skew_seconds: float


class _Count(msgspec.Struct):
    count: int


class AdminClient:
    """An async context manager around one HTTP session. UnreachableError: no answer; SorofastError: refused,
    and why.
    """

    def __init__(self, admin_url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._url = admin_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def advance(self, ledgers: int = 1, seconds: float = 0.0) -> Moment:
        """Move the sandbox's clock on by `seconds`, then close that many ledgers; they are visible when this
        returns.
        """
        body = await self._request("POST", "advance", {"ledgers": ledgers, "seconds": seconds})
        return _decode(body, Moment)

    async def skew(self, seconds: float) -> float:
        """Set the offset of the closing clock against this machine's, in seconds."""
        return _decode(await self._request("POST", "skew", {"seconds": seconds}), _Skew).skew_seconds

    async def put_entries(self, entries: Iterable[tuple[bytes, int | None]]) -> int:
        """Put raw ledger entries (XDR, live-until ledger) into the state at once; returns how many there
        were.
        """
        count = 0
        chunk: list[dict[str, object]] = []
        for xdr, live_until in entries:
            chunk.append({"xdr": base64.b64encode(xdr).decode(), "live_until": live_until})
            if len(chunk) == _ENTRIES_PER_REQUEST:
                count += await self._put(chunk)
                chunk = []
        return count + (await self._put(chunk) if chunk else 0)

    async def transactions(self, from_ledger: int) -> AsyncIterator[list[AppliedTransaction]]:
        """Pages of what was applied since that ledger, itself included, in apply order."""
        following: int | None = from_ledger
        while following is not None:
            body = await self._request("GET", f"transactions?from_ledger={following}&limit={_PAGE}")
            page = _decode(body, _TransactionsPage)
            yield page.transactions
            if page.next_from_ledger is not None and page.next_from_ledger <= following:
                raise BodyError(
                    f"the sandbox's page of transactions after ledger {following} does not lead on"
                )
            following = page.next_from_ledger

    async def ledgers(self, from_ledger: int) -> list[ClosedLedger]:
        """All closed ledgers since that one, itself included, in order."""
        ledgers: list[ClosedLedger] = []
        while True:
            body = await self._request("GET", f"ledgers?from_ledger={from_ledger}&limit={_PAGE}")
            page = _decode(body, _LedgersPage)
            ledgers += page.ledgers
            if not page.ledgers or page.ledgers[-1].sequence >= page.latest_ledger:
                return ledgers
            from_ledger = page.ledgers[-1].sequence + 1

    async def stats(self) -> Stats:
        """What the sandbox has been asked so far."""
        return _decode(await self._request("GET", "stats"), Stats)

    async def set_faults(self, rules: Sequence[FaultRule]) -> None:
        """Replace the fault panel's rules."""
        await self._request("POST", "faults", {"rules": msgspec.to_builtins(list(rules))})

    async def clear_faults(self) -> None:
        """No faults any more."""
        await self._request("DELETE", "faults")

    async def contract_wasm(self, name: str) -> bytes:
        """The code of a contract that ships in the sandbox: `task_registry`, `counter`, `switch_resolver`,
        …
        """
        return await self._request("GET", f"contracts/{name}.wasm")

    async def _put(self, chunk: list[dict[str, object]]) -> int:
        return _decode(await self._request("POST", "entries", {"entries": chunk}), _Count).count

    async def _request(self, method: str, path: str, body: object = None) -> bytes:
        if self._session is None:
            raise SorofastError("the admin client is used outside its `async with` block")
        url = f"{self._url}/{path}"
        # A stream, because aiohttp warns of large plain bytes: it would send them in one piece.
        data = None if body is None else io.BytesIO(msgspec.json.encode(body))
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(method, url, data=data, headers=headers) as answer:
                content = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(
                f"the sandbox's admin interface at {url} gave no answer: {reason}"
            ) from error
        if status >= 400:
            raise SorofastError(
                f"the sandbox refused {method} {url} with status {status}: {_refusal(content)}"
            )
        return content


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BodyError(f"the sandbox's admin answer is not what it should be: {error}") from error


def _refusal(content: bytes) -> str:
    """The message of a refusal, or the beginning of whatever was answered instead."""
    with contextlib.suppress(msgspec.DecodeError):
        match msgspec.json.decode(content):
            case {"error": str(message)}:
                return message
    return content[:_ERROR_CHARS_MAX].decode(errors="replace").strip()
