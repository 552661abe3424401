"""The public SDK over this package's own HTTP library.

The SDK's async client of its own wants libraries for server-sent events and retries, which nothing here
needs; a retry in particular would hide what a test of faults is about.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from stellar_sdk.client.base_async_client import BaseAsyncClient
from stellar_sdk.client.response import Response
from stellar_sdk.exceptions import ConnectionError as SdkConnectionError
from stellar_sdk.soroban_server_async import SorobanServerAsync

_TIMEOUT_S = 30.0


class AiohttpTransport(BaseAsyncClient):
    """JSON-RPC's one verb. Raises the SDK's ConnectionError when there is no answer."""

    def __init__(self, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, data: dict[str, str] | None = None, json_data: dict[str, Any] | None = None
    ) -> Response:
        if self._session is None:
            # Made on first use: a session wants a running loop.
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.post(url, data=data, json=json_data) as answer:
                return Response(answer.status, await answer.text(), dict(answer.headers), str(answer.url))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SdkConnectionError(str(error) or type(error).__name__) from error

    async def get(
        self, url: str, params: dict[str, str] | None = None, max_content_size: int | None = None
    ) -> Response:
        raise NotImplementedError("JSON-RPC only posts")

    def stream(self, url: str, params: dict[str, str] | None = None) -> AsyncGenerator[dict[str, Any], None]:
        raise NotImplementedError("JSON-RPC only posts")

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def soroban_server(rpc_url: str) -> SorobanServerAsync:
    """The SDK's async client of a network; an async context manager."""
    return SorobanServerAsync(rpc_url, AiohttpTransport())
