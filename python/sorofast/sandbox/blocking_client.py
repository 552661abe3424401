"""The sandbox's admin interface without an event loop: for commands, scripts and ordinary tests."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from sorofast.sandbox import calls
from sorofast.sandbox.calls import (
    Accounts,
    AppliedTransaction,
    Call,
    ClosedLedger,
    Fate,
    FaultRule,
    Moment,
    Stats,
)
from sorofast.sandbox.files import opened, replacing

_T = TypeVar("_T")


class BlockingAdminClient:
    """The calls of `AdminClient`, each on a connection of its own: safe to use from several threads and after
    a fork. UnreachableError: no answer; SorofastError: refused, and why.
    """

    def __init__(self, admin_url: str, *, timeout_s: float = calls.TIMEOUT_S) -> None:
        self._url = admin_url.rstrip("/")
        self._parts = urlsplit(self._url)
        self._timeout_s = timeout_s

    def advance(self, ledgers: int = 1, seconds: float = 0.0, *, spread: bool = False) -> Moment:
        """Move the sandbox's clock on by `seconds`, then close that many ledgers; they are visible when this
        returns. With `spread` the seconds are spread evenly over the ledgers' close times.
        """
        return self._call(calls.advance(ledgers, seconds, spread))

    def skew(self, seconds: float) -> float:
        """Set the offset of the closing clock against this machine's, in seconds."""
        return self._call(calls.skew(seconds))

    def put_entries(self, entries: Iterable[tuple[bytes, int | None]]) -> int:
        """Put raw ledger entries (XDR, live-until ledger) into the state; returns how many there were."""
        return sum(self._call(call) for call in calls.put_entries(entries))

    def transactions(self, from_ledger: int) -> Iterator[AppliedTransaction]:
        """What was applied since that ledger, itself included, in apply order."""
        begin: int | None = from_ledger
        while begin is not None:
            page = self._call(calls.transactions(begin))
            yield from page.transactions
            begin = calls.following(page, begin)

    def ledgers(self, from_ledger: int) -> list[ClosedLedger]:
        """All closed ledgers since that one, itself included, in order."""
        ledgers: list[ClosedLedger] = []
        while True:
            page = self._call(calls.ledgers(from_ledger))
            ledgers += page.ledgers
            if not page.ledgers or page.ledgers[-1].sequence >= page.latest_ledger:
                return ledgers
            from_ledger = page.ledgers[-1].sequence + 1

    def stats(self) -> Stats:
        """What the sandbox has been asked so far."""
        return self._call(calls.stats())

    def faults(self) -> dict[str, Any]:
        """The fault plan in force, as the sandbox shows it."""
        return self._call(calls.faults())

    def set_fault_plan(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the fault plan; returns it as the sandbox took it."""
        return self._call(calls.set_faults(plan))

    def set_faults(self, rules: Sequence[FaultRule]) -> None:
        """Replace the fault plan by rules for the answers to JSON-RPC calls."""
        self._call(calls.set_faults(calls.rules_plan(rules)))

    def clear_faults(self) -> None:
        """No faults any more."""
        self._call(calls.clear_faults())

    def contract_wasm(self, name: str) -> bytes:
        """The code of a contract that ships in the sandbox."""
        return self._call(calls.contract_wasm(name))

    def accounts(self) -> Accounts:
        """The accounts that the sandbox was started with."""
        return self._call(calls.accounts())

    def fates(self, hashes: Sequence[str]) -> dict[str, Fate]:
        """What became of these transactions (hex hashes)."""
        return self._call(calls.fates(hashes))

    def audit(self) -> dict[str, Any]:
        """All coins counted, against what the ledger header records."""
        return self._call(calls.audit())

    def reset(self) -> Moment:
        """Back to the ledger that the sandbox began with."""
        return self._call(calls.reset())

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

    def _call(self, call: Call[_T]) -> _T:
        headers = {} if call.body is None else {"Content-Type": "application/json"}
        timeout_s = max(call.timeout_s, self._timeout_s)
        with (
            self._request(call.verb, call.path, call.body, headers, timeout_s=timeout_s) as answer,
            _converted(f"{self._url}/{call.path}"),
        ):
            content = answer.read()
        return call.read(content)

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
