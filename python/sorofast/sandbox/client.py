"""The sandbox's admin interface from an event loop: time, raw entries, what was applied, faults, state."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import aiohttp

from sorofast.errors import SorofastError
from sorofast.sandbox import calls
from sorofast.sandbox.calls import (
    Accounts,
    AppliedTransaction,
    Call,
    ClosedLedger,
    Fate,
    FaultRule,
    FundedAccount,
    Moment,
    Stats,
)
from sorofast.sandbox.files import opened, replacing

__all__ = [
    "Accounts",
    "AdminClient",
    "AppliedTransaction",
    "ClosedLedger",
    "Fate",
    "FaultRule",
    "FundedAccount",
    "Moment",
    "Stats",
]

_T = TypeVar("_T")
_STATE_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=calls.STATE_PIECE_TIMEOUT_S)
_FAILURES = (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError)


class AdminClient:
    """An async context manager around one HTTP session. UnreachableError: no answer; SorofastError: refused,
    and why. `BlockingAdminClient` is the same without an event loop.
    """

    def __init__(self, admin_url: str, *, timeout_s: float = calls.TIMEOUT_S) -> None:
        self._url = admin_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def advance(self, ledgers: int = 1, seconds: float = 0.0, *, spread: bool = False) -> Moment:
        """Move the sandbox's clock on by `seconds`, then close that many ledgers; they are visible when this
        returns. With `spread` the seconds are spread evenly over the ledgers' close times.
        """
        return await self._call(calls.advance(ledgers, seconds, spread))

    async def skew(self, seconds: float) -> float:
        """Set the offset of the closing clock against this machine's, in seconds."""
        return await self._call(calls.skew(seconds))

    async def put_entries(self, entries: Iterable[tuple[bytes, int | None]]) -> int:
        """Put raw ledger entries (XDR, live-until ledger) into the state at once; returns how many there
        were.
        """
        count = 0
        for call in calls.put_entries(entries):
            count += await self._call(call)
        return count

    async def transactions(self, from_ledger: int) -> AsyncIterator[list[AppliedTransaction]]:
        """Pages of what was applied since that ledger, itself included, in apply order."""
        begin: int | None = from_ledger
        while begin is not None:
            page = await self._call(calls.transactions(begin))
            yield page.transactions
            begin = calls.following(page, begin)

    async def ledgers(self, from_ledger: int) -> list[ClosedLedger]:
        """All closed ledgers since that one, itself included, in order."""
        ledgers: list[ClosedLedger] = []
        while True:
            page = await self._call(calls.ledgers(from_ledger))
            ledgers += page.ledgers
            if not page.ledgers or page.ledgers[-1].sequence >= page.latest_ledger:
                return ledgers
            from_ledger = page.ledgers[-1].sequence + 1

    async def stats(self) -> Stats:
        """What the sandbox has been asked so far."""
        return await self._call(calls.stats())

    async def faults(self) -> dict[str, Any]:
        """The fault plan in force, as the sandbox shows it."""
        return await self._call(calls.faults())

    async def set_fault_plan(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the fault plan; returns it as the sandbox took it."""
        return await self._call(calls.set_faults(plan))

    async def set_faults(self, rules: Sequence[FaultRule]) -> None:
        """Replace the fault plan by rules for the answers to JSON-RPC calls."""
        await self._call(calls.set_faults(calls.rules_plan(rules)))

    async def clear_faults(self) -> None:
        """No faults any more."""
        await self._call(calls.clear_faults())

    async def contract_wasm(self, name: str) -> bytes:
        """The code of a contract that ships in the sandbox: `task_registry`, `counter`, `switch_resolver`,
        …
        """
        return await self._call(calls.contract_wasm(name))

    async def accounts(self) -> Accounts:
        """The accounts that the sandbox was started with."""
        return await self._call(calls.accounts())

    async def fates(self, hashes: Sequence[str]) -> dict[str, Fate]:
        """What became of these transactions (hex hashes)."""
        return await self._call(calls.fates(hashes))

    async def audit(self) -> dict[str, Any]:
        """All coins counted, against what the ledger header records."""
        return await self._call(calls.audit())

    async def reset(self) -> Moment:
        """Back to the ledger that the sandbox began with."""
        return await self._call(calls.reset())

    async def save(self, path: Path) -> int:
        """Write the whole state to a file, which appears only when it is complete; returns its bytes."""
        with replacing(path) as file:
            async with self._open("GET", "state", timeout=_STATE_TIMEOUT) as answer:
                if answer.status >= 400:
                    raise calls.refusal("GET", str(answer.url), answer.status, await answer.read())
                count = 0
                async for piece in answer.content.iter_chunked(calls.STATE_PIECE_BYTES):
                    count += len(piece)
                    file.write(piece)
        return count

    async def load(self, path: Path) -> Moment:
        """Replace everything by the state in that file."""
        with opened(path) as (file, _):
            headers = {"Content-Type": calls.STATE_TYPE}
            async with self._open("POST", "state", file, headers, timeout=_STATE_TIMEOUT) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    raise calls.refusal("POST", str(answer.url), answer.status, content)
        return calls.state_loaded(content)

    async def _call(self, call: Call[_T]) -> _T:
        # A stream, because aiohttp warns of large plain bytes: it would send them in one piece.
        data = None if call.body is None else io.BytesIO(call.body)
        headers = {} if call.body is None else {"Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=max(call.timeout_s, self._timeout_s))
        async with self._open(call.verb, call.path, data, headers, timeout=timeout) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise calls.refusal(call.verb, str(answer.url), answer.status, content)
        return call.read(content)

    @contextlib.asynccontextmanager
    async def _open(
        self,
        verb: str,
        path: str,
        data: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise SorofastError("the admin client is used outside its `async with` block")
        url = f"{self._url}/{path}"
        try:
            async with self._session.request(
                verb, url, data=data, headers=headers, timeout=timeout
            ) as answer:
                yield answer
        except _FAILURES as error:
            raise calls.no_answer(url, str(error) or type(error).__name__) from error
