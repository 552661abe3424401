"""One HTTP connection pool to one RPC endpoint, with bounds on everything: time, size, requests in flight.

The hot calls are built and read by the Rust core, so this layer moves bytes and counts; it never builds a
JSON tree.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import aiohttp

from sorofast.errors import RpcUnreachable
from sorofast.network_errors import why_not_connected

__all__ = ["BODY_MAX_BYTES", "HttpTransport"]

# A getLedgerEntries answer of 200 entries at the network's 64 KiB each, in base64, with room for the JSON
# around it.
BODY_MAX_BYTES = 32 * 1024 * 1024


class HttpTransport:
    """Posts JSON-RPC bodies to `url`. At most `inflight_max` at once; each ends within `timeout_s`, one way
    or the other.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, inflight_max: int = 64) -> None:
        self.url = url
        self.name = _name_of(url)
        self.calls: Counter[str] = Counter()
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._slots = asyncio.Semaphore(inflight_max)
        self._inflight_max = inflight_max
        self._session: aiohttp.ClientSession | None = None

    async def post(self, method: str, body: bytes) -> bytes:
        """Sends `body` and returns the answer's bytes; `method` is only counted.

        Raises RpcUnreachable for anything that is not a 200 answer of bounded size. Whether the request was
        carried out is then unknown.
        """
        async with self._slots:
            self.calls[method] += 1
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            try:
                async with self._open().post(
                    self.url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
                ) as answer:
                    if answer.status != 200:
                        raise RpcUnreachable(
                            f"{self.name} answered {method} with HTTP {answer.status}; check network.rpc_url",
                            status=answer.status,
                        )
                    return await self._read_bounded(answer, method)
            except TimeoutError as error:
                raise RpcUnreachable(
                    f"{self.name} did not answer {method} within {self._timeout.total:g} s",
                    timed_out=True,
                    took_s=loop.time() - began_s,
                ) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise RpcUnreachable(
                    f"{self._why(error)} ({method})", took_s=loop.time() - began_s
                ) from error

    def _why(self, error: Exception) -> str:
        """What happened to a request that was not answered, in words."""
        words = why_not_connected(error)
        if words is not None:
            return f"{_address_of(self.url)} {words}"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return f"{self.name} closed the connection without an answer"
        if isinstance(error, aiohttp.ClientPayloadError):
            return f"{self.name} broke off its answer"
        if isinstance(error, aiohttp.InvalidURL):
            return f"{self.name} is no address that can be asked; check network.rpc_url"
        if isinstance(error, aiohttp.ClientResponseError):
            return f"{self.name} answered with something that is no HTTP; check network.rpc_url"
        reason = (str(error) or type(error).__name__).replace(self.url, self.name)
        return f"{self.name} could not be asked: {reason}"

    async def close(self) -> None:
        """Closes the pool; may be called twice, or before the first request."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._inflight_max)
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=connector, auto_decompress=True, trust_env=False
            )
        return self._session

    async def _read_bounded(self, answer: aiohttp.ClientResponse, method: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > BODY_MAX_BYTES:
                raise RpcUnreachable(
                    f"{self.name} answered {method} with more than {BODY_MAX_BYTES} bytes; the answer was dropped"
                )
            chunks.append(chunk)
        return b"".join(chunks)


def _address_of(url: str) -> str:
    """Host and port, as what a connection goes to."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _name_of(url: str) -> str:
    """Scheme, host and port of a URL, without what may be secret in it."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    return f"{parts.scheme}://{host}" if parts.port is None else f"{parts.scheme}://{host}:{parts.port}"
