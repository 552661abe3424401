"""The sandbox's admin interface from an event loop: time, raw entries, what was applied, faults, state."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import aiohttp

from sorofast.errors import SorofastError
from sorofast.sandbox import calls
from sorofast.sandbox.answers import (
    Accounts,
    AppliedTransaction,
    ClosedLedger,
    Fate,
    FaultRule,
    FundedAccount,
    Moment,
    Stats,
)
from sorofast.sandbox.calls import Request
from sorofast.sandbox.files import opened, replacing
from sorofast.sandbox.methods import AsyncCalls

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


class AdminClient(AsyncCalls):
    """An async context manager around one HTTP session; its calls are those of `calls`, awaited. UnreachableError: no
    answer; SorofastError: refused, and why. `BlockingAdminClient` is the same without an event loop.
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

    async def transactions(self, from_ledger: int) -> AsyncIterator[list[AppliedTransaction]]:
        """Pages of what was applied since that ledger, itself included, in apply order."""
        begin: int | None = from_ledger
        while begin is not None:
            page = await self.run(calls.transactions_page(begin))
            yield page.transactions
            begin = page.next_from_ledger

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

    async def send(self, request: Request[_T]) -> _T:
        # A stream, because aiohttp warns of large plain bytes: it would send them in one piece.
        data = None if request.body is None else io.BytesIO(request.body)
        headers = {} if request.body is None else {"Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=max(request.timeout_s, self._timeout_s))
        async with self._open(request.verb, request.path, data, headers, timeout=timeout) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise calls.refusal(request.verb, str(answer.url), answer.status, content)
        return request.read(content)

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
