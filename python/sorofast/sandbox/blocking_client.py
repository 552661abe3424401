"""The sandbox's admin interface without an event loop: for commands, scripts and ordinary tests."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from sorofast.sandbox import calls
from sorofast.sandbox.answers import AppliedTransaction, Moment
from sorofast.sandbox.calls import Request
from sorofast.sandbox.files import opened, replacing
from sorofast.sandbox.methods import BlockingCalls

_T = TypeVar("_T")


class BlockingAdminClient(BlockingCalls):
    """The calls of `AdminClient`, each on a connection of its own: safe to use from several threads and after
    a fork. UnreachableError: no answer; SorofastError: refused, and why.
    """

    def __init__(self, admin_url: str, *, timeout_s: float = calls.TIMEOUT_S) -> None:
        self._url = admin_url.rstrip("/")
        self._parts = urlsplit(self._url)
        self._timeout_s = timeout_s

    def transactions(self, from_ledger: int) -> Iterator[AppliedTransaction]:
        """What was applied since that ledger, itself included, in apply order."""
        begin: int | None = from_ledger
        while begin is not None:
            page = self.run(calls.transactions_page(begin))
            yield from page.transactions
            begin = page.next_from_ledger

    def save(self, path: Path) -> int:
        """Write the whole state to a file, which appears only when it is complete; returns its bytes."""
        count = 0
        with replacing(path) as file:
            for piece in self._read_state():
                count += len(piece)
                file.write(piece)
        return count

    def load(self, path: Path) -> Moment:
        """Replace everything by the state in that file."""
        with opened(path) as (file, size):
            return self._write_state(file, size)

    def state(self) -> bytes:
        """The whole state as bytes."""
        return b"".join(self._read_state())

    def set_state(self, state: bytes) -> Moment:
        """Replace everything by a state that `state()` gave."""
        return self._write_state(state, len(state))

    def _read_state(self) -> Iterator[bytes]:
        url = f"{self._url}/state"
        with self._request("GET", "state", timeout_s=calls.STATE_PIECE_TIMEOUT_S) as answer:
            while True:
                with _converted(url):
                    piece = answer.read(calls.STATE_PIECE_BYTES)
                if not piece:
                    break
                yield piece
            if answer.length:
                raise calls.no_answer(url, f"{answer.length} bytes of it are missing")

    def _write_state(self, state: BinaryIO | bytes, size: int) -> Moment:
        headers = {"Content-Type": calls.STATE_TYPE, "Content-Length": str(size)}
        with (
            self._request("POST", "state", state, headers, timeout_s=calls.STATE_PIECE_TIMEOUT_S) as answer,
            _converted(f"{self._url}/state"),
        ):
            content = answer.read()
        return calls.state_loaded(content)

    def send(self, request: Request[_T]) -> _T:
        headers = {} if request.body is None else {"Content-Type": "application/json"}
        timeout_s = max(request.timeout_s, self._timeout_s)
        with (
            self._request(request.verb, request.path, request.body, headers, timeout_s=timeout_s) as answer,
            _converted(f"{self._url}/{request.path}"),
        ):
            content = answer.read()
        return request.read(content)

    @contextlib.contextmanager
    def _request(
        self,
        verb: str,
        path: str,
        body: BinaryIO | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float,
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer whose status is below 400, its body still to be read."""
        url = f"{self._url}/{path}"
        connection = self._connection(timeout_s)
        try:
            with _converted(url):
                connection.request(verb, f"{self._parts.path}/{path}", body=body, headers=dict(headers or {}))
                answer = connection.getresponse()
                content = answer.read() if answer.status >= 400 else b""
            if answer.status >= 400:
                raise calls.refusal(verb, url, answer.status, content)
            yield answer
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout_s)
        return http.client.HTTPConnection(host, port, timeout=timeout_s)


@contextlib.contextmanager
def _converted(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise calls.no_answer(url, reason) from error
