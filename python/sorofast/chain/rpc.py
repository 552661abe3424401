"""The JSON-RPC methods the engine uses, typed. Only this package knows their names and fields."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from itertools import count
from typing import Any

import orjson

from sorofast import _core
from sorofast.chain.fields import TIME_MAX_S, Fields, clipped
from sorofast.chain.headers import close_time_ms
from sorofast.chain.models import Health, Lookup, SendAnswer, Simulation
from sorofast.chain.transport import HttpTransport
from sorofast.errors import BodyError, EventsLost, RpcError, RpcOutOfStep, RpcUnreachable

__all__ = ["KEYS_PER_CALL_MAX", "Event", "RpcClient"]

# (ledger, kind, task id, transaction hash, keeper key, amount in stroops)
Event = tuple[int, str, int, bytes, bytes | None, int | None]

Decoding = Callable[[], AbstractContextManager[None]]

KEYS_PER_CALL_MAX = 200  # getLedgerEntries refuses more keys
EVENTS_PER_CALL_MAX = 10_000
EVENT_PAGES_MAX = 200
OUT_OF_RANGE_CODES = frozenset({-32600, -32602})
STALE_ANSWERS_MAX = 40
STALE_PAUSE_S = 0.05
TARGET_MAX_MS = 3_600_000


# LedgerKey and LedgerEntryData of CONFIG_SETTING (8), CONFIG_SETTING_SCP_TIMING (16); the target in ms comes first.
_TIMING_KINDS = (8, 16)
_TIMING_KEY = struct.pack(">II", *_TIMING_KINDS)
_TIMING_ENTRY = struct.Struct(">III")


class RpcClient:
    """One endpoint. Every method raises RpcUnreachable, RpcError or a DecodeError, and nothing else."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, inflight_max: int = 64) -> None:
        self.transport = HttpTransport(url, timeout_s=timeout_s, inflight_max=inflight_max)
        self._ids = count(1)

    @property
    def name(self) -> str:
        """Scheme, host and port: what logs and errors call the endpoint, whose path may hold an access key."""
        return self.transport.name

    async def close(self) -> None:
        await self.transport.close()

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Calls made in the block end after so long, all together, with RpcUnreachable."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise RpcUnreachable(
                f"{self.name} did not answer within {seconds:g} s", timed_out=True, took_s=seconds
            ) from error

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call by name, its result as a dictionary. For what is not hot."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params or {}}
        body = await self.transport.post(method, orjson.dumps(request))
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BodyError(f"{method} was not answered with JSON: {error}") from error
        if not isinstance(answer, dict):
            raise BodyError(f"{method} was answered with a JSON {type(answer).__name__}, not an object")
        if answer.get("error") is not None:
            raise _rpc_error(method, answer["error"])
        result = answer.get("result")
        if not isinstance(result, dict):
            raise BodyError(f"{method} was answered without a result")
        return result

    async def _ask(self, method: str, params: dict[str, Any] | None = None) -> Fields:
        return Fields(method, await self.call(method, params))

    async def get_health(self) -> Health:
        answer = await self._ask("getHealth")
        return Health(
            latest_ledger=answer.integer("latestLedger"),
            close_time_s=answer.integer("latestLedgerCloseTime", high=TIME_MAX_S),
            oldest_ledger=answer.integer("oldestLedger"),
            retention_ledgers=answer.integer("ledgerRetentionWindow"),
        )

    async def close_times_ms(self, first_ledger: int, count: int) -> list[tuple[int, int]]:
        """(ledger, close time in Unix milliseconds) of so many ledgers from `first_ledger` on, oldest first.

        The answer carries each ledger's whole meta besides, so ask seldom and for few at a time.
        """
        page = {"startLedger": first_ledger, "pagination": {"limit": count}}
        answer = await self._ask("getLedgers", page)
        return [
            (one.integer("sequence"), close_time_ms(one.text("headerXdr")))
            for one in answer.objects("ledgers")
        ]

    async def get_network(self) -> dict[str, Any]:
        """`passphrase`, which is text, `protocolVersion` and, on test networks, `friendbotUrl`."""
        network = await self.call("getNetwork")
        Fields("getNetwork", network).text("passphrase")
        return network

    async def send_transaction(self, envelope: str) -> SendAnswer:
        answer = await self._ask("sendTransaction", {"transaction": envelope})
        return SendAnswer(
            status=answer.text("status"),
            latest_ledger=answer.integer("latestLedger"),
            result_xdr=answer.maybe_text("errorResultXdr"),
        )

    async def get_transaction(self, tx_hash: str) -> Lookup:
        """`tx_hash` in hex."""
        answer = await self._ask("getTransaction", {"hash": tx_hash})
        return Lookup(
            status=answer.text("status"),
            latest_ledger=answer.integer("latestLedger"),
            oldest_ledger=answer.integer("oldestLedger"),
            ledger=answer.maybe_integer("ledger"),
            result_xdr=answer.maybe_text("resultXdr"),
            close_time_s=answer.maybe_integer("createdAt", high=TIME_MAX_S),
            meta_xdr=answer.maybe_text("resultMetaXdr"),
            diagnostics=answer.texts("diagnosticEventsXdr"),
        )

    async def simulate(self, envelope: str) -> Simulation:
        """Simulates on the newest closed ledger, at that ledger's close time.

        Raises BodyError also for a resource fee that no transaction can carry, and for an answer that neither
        failed nor says what the call would touch.
        """
        answer = await self._ask("simulateTransaction", {"transaction": envelope})
        results, preamble = answer.objects("results"), answer.maybe_object("restorePreamble")
        simulation = Simulation(
            latest_ledger=answer.integer("latestLedger"),
            transaction_data=answer.maybe_text("transactionData") or "",
            auth=results[0].texts("auth") if results else (),
            min_resource_fee_stroops=answer.integer("minResourceFee", default=0),
            error=answer.maybe_text("error"),
            events=answer.texts("events"),
            restore_first="" if preamble is None else preamble.maybe_text("transactionData") or "",
        )
        if simulation.error is None and not simulation.transaction_data:
            raise BodyError("simulateTransaction was answered with neither an error nor transactionData")
        return simulation

    async def ledger_entries_raw(self, body: bytes) -> bytes:
        """Posts a getLedgerEntries body made by the core and returns the answer for the core to read."""
        return await self.transport.post("getLedgerEntries", body)

    async def entries(
        self,
        contract: bytes,
        keeper: bytes,
        task_ids: bytes,
        accounts: bytes,
        *,
        ledger_min: int = 0,
        decoding: Decoding = nullcontext,
    ) -> _core.EntriesBatch:
        """Task entries (packed u64 ids) and accounts (packed 32-byte keys), at most 200 keys together. Each answer is
        decoded within what `decoding` makes.
        """
        body = _core.entries_request(next(self._ids), contract, task_ids, accounts)
        return await self._fresh_entries(body, contract, keeper, ledger_min, decoding)

    async def registry(self, contract: bytes, keeper: bytes, *, ledger_min: int = 0) -> _core.EntriesBatch:
        """The registry's own instance and its task counter."""
        body = _core.registry_request(next(self._ids), contract)
        return await self._fresh_entries(body, contract, keeper, ledger_min)

    async def _fresh_entries(
        self, body: bytes, contract: bytes, keeper: bytes, ledger_min: int, decoding: Decoding = nullcontext
    ) -> _core.EntriesBatch:
        """Asks again, a bounded number of times, while the answer is from before `ledger_min`.

        A node may lag behind the one that told us of the ledger.
        """
        seen = 0
        for _ in range(STALE_ANSWERS_MAX):
            answer = await self.ledger_entries_raw(body)
            with decoding(), _clear_errors():
                batch = _core.decode_entries(answer, contract, keeper)
            if batch.latest_ledger >= ledger_min:
                return batch
            seen = batch.latest_ledger
            await asyncio.sleep(STALE_PAUSE_S)
        raise RpcOutOfStep.behind(self.name, seen, ledger_min)

    async def events(
        self,
        contract: bytes,
        *,
        start_ledger: int | None,
        cursor: str | None,
        ledger_min: int,
        oldest_ledger: int | None = None,
    ) -> tuple[list[Event], str | None, int]:
        """The contract's events from `cursor` (or `start_ledger`) on, to the node's newest ledger.

        Returns (events, cursor to go on from, ledger through which they are complete), the last at least
        `ledger_min`. A call scans a bounded number of ledgers, so it is asked on until the cursor reaches the newest.
        Raises EventsLost if the cursor is below what the node keeps, or the backlog above what is worth reading.

        A node that lags behind a cursor refuses it in the same words as one that has forgotten it. A cursor that is not
        below `oldest_ledger`, what the endpoint said it keeps, is asked for on, as after a stale answer.
        """
        found: list[Event] = []
        stale = 0
        for _ in range(EVENT_PAGES_MAX):
            body = _core.events_request(
                next(self._ids),
                contract,
                start_ledger=None if cursor else start_ledger,
                cursor=cursor,
                limit=EVENTS_PER_CALL_MAX,
            )
            answer = await self.transport.post("getEvents", body)
            try:
                with _clear_errors():
                    page = _core.decode_events(answer, contract)
            except RpcError as error:
                if error.code not in OUT_OF_RANGE_CODES:
                    raise
                kept = oldest_ledger is not None and (not cursor or _ledger_of(cursor) >= oldest_ledger)
                if kept and stale < STALE_ANSWERS_MAX:
                    stale += 1
                    await asyncio.sleep(STALE_PAUSE_S)
                    continue
                if not cursor:
                    raise
                raise EventsLost(
                    f"{self.name} no longer has the events after {cursor}: {error.message}"
                ) from error
            found.extend(page.events)
            moved = page.cursor is not None and page.cursor != cursor
            cursor = page.cursor or cursor
            if page.returned >= EVENTS_PER_CALL_MAX or (moved and _ledger_of(cursor) < page.latest_ledger):
                continue
            if page.latest_ledger >= ledger_min:
                return found, cursor, page.latest_ledger
            stale += 1
            if stale > STALE_ANSWERS_MAX:
                raise RpcOutOfStep.behind(self.name, page.latest_ledger, ledger_min)
            await asyncio.sleep(STALE_PAUSE_S)
        raise EventsLost(
            f"more than {EVENT_PAGES_MAX} pages of events lie between the cursor and ledger {ledger_min}"
        )

    async def target_close_s(self) -> float | None:
        """The network's target time between closes (ConfigSetting 16), or None where the node does not tell."""
        key = base64.b64encode(_TIMING_KEY).decode()
        result = await self.call("getLedgerEntries", {"keys": [key]})
        entries = Fields("getLedgerEntries", result).objects("entries")
        if not entries:
            return None
        try:
            kind, setting, target_ms = _TIMING_ENTRY.unpack_from(base64.b64decode(entries[0].text("xdr")))
        except (ValueError, struct.error) as error:
            raise BodyError(f"getLedgerEntries was answered with an entry that is none: {error}") from error
        if (kind, setting) != _TIMING_KINDS:
            raise BodyError(
                "getLedgerEntries was answered with another entry than the timing setting asked for"
            )
        if not 0 < target_ms <= TARGET_MAX_MS:
            raise BodyError(f"getLedgerEntries was answered with a target of {target_ms} ms between closes")
        return int(target_ms) / 1000


def _ledger_of(cursor: str | None) -> int:
    """The ledger in an event cursor, whose first number is a total order id: ledger, transaction, operation."""
    try:
        return int((cursor or "").partition("-")[0]) >> 32
    except ValueError:
        shown = clipped(cursor or "")
        raise BodyError(f"getEvents was answered with the cursor {shown!r}, which is none") from None


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Gives the errors that the core finds in an answer the same one line as those found here."""
    try:
        yield
    except RpcError as error:
        raise RpcError(error.code, clipped(error.message), error.method) from error


def _rpc_error(method: str, problem: object) -> RpcError:
    """The JSON-RPC error of an answer, of whatever kind the value in its place is."""
    code: object = 0
    message = problem
    if isinstance(problem, dict):
        code, message = problem.get("code"), problem.get("message", "")
    number = code if isinstance(code, int) and not isinstance(code, bool) else 0
    return RpcError(number, clipped(message) if isinstance(message, str) else "no message", method)
