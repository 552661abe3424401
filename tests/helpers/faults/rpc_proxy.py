"""A JSON-RPC server that stands before a node and bends what passes.

Every sendTransaction is in the log of bytes sent before the node gets it. Without rules it is a window: the
bytes go through as they came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from helpers.faults import rules
from helpers.faults.rules import Rule, Rules
from helpers.faults.sent_log import Sent, SentLog

HOLD_MAX_S = 120.0
BODY_MAX_BYTES = 64 * 1024 * 1024
_NO_CALL = "?"


@dataclass
class Call:
    """One JSON-RPC request; `answer` is what the node said, None while or where it said nothing. `sent` is the
    envelope of a sendTransaction.
    """

    method: str
    params: Any
    body: bytes
    answer: Any = None
    sent: Sent | None = field(default=None, repr=False)


When = Callable[[Call], bool]
Rewrite = Callable[[Call, Any], Any]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


class RpcProxy:
    """An async context manager around one listening port; `url` is what the engine is given.

    The methods that make rules all take `count` (None: until lifted), `skip` (let so many pass first) and
    `when`, and return the rule, which counts and can be awaited. A method of None means every method.
    """

    def __init__(
        self,
        upstream_url: str,
        log: SentLog,
        latest_ledger: Callable[[], Awaitable[int]],
        *,
        name: str = "rpc",
        others: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.calls: Counter[str] = Counter()
        self.rules: Rules[Call] = Rules()
        self.failures: list[str] = []
        """What went wrong in the proxy itself: a rig that fails must not look like an engine that does."""
        self._upstream_url = upstream_url
        self._others = dict(others or {})
        self._log = log
        self._latest_ledger = latest_ledger
        self._server = web.Server(self._guarded)
        self._runner = web.ServerRunner(self._server, access_log=None, shutdown_timeout=0.2)
        self._session: aiohttp.ClientSession | None = None
        self._cut: asyncio.Event | None = None
        self._closing = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        # The engine's own timeouts are under test, so this client has none of its own worth mentioning.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=HOLD_MAX_S),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=True,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/rpc"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.mend()
        await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    # What happens to calls

    def drop_request(self, method: str | None = None, **how: Any) -> Rule[Call]:
        """The connection closes before the node has heard anything."""
        return self._rule(rules.DROP_REQUEST, method, how)

    def drop_reply(self, method: str | None = None, **how: Any) -> Rule[Call]:
        """The node carries it out, and the connection closes instead of an answer."""
        return self._rule(rules.DROP_REPLY, method, how)

    def black_hole(self, method: str | None = None, *, carried_out: bool = True, **how: Any) -> Rule[Call]:
        """No answer, and the connection stays open."""
        return self._rule(rules.BLACK_HOLE, method, how, carried_out=carried_out)

    def delay(self, method: str | None = None, *, seconds: float, **how: Any) -> Rule[Call]:
        """Carried out so much later."""
        return self._rule(rules.DELAY, method, how, seconds=seconds)

    def repeat(self, method: str | None = None, *, times: int = 2, **how: Any) -> Rule[Call]:
        """Carried out so often; the last answer counts."""
        return self._rule(rules.REPEAT, method, how, times=times)

    def truncate(self, method: str | None = None, *, at: int = 20, **how: Any) -> Rule[Call]:
        """The answer breaks off after so many bytes."""
        return self._rule(rules.TRUNCATE, method, how, at=at)

    def patch(self, method: str | None, patch: Any, **how: Any) -> Rule[Call]:
        """A merge patch (RFC 7386) on the whole answer: `{"result": {"minResourceFee": "9"}}`."""
        return self._rule(rules.PATCH, method, how, patch=patch)

    def rewrite(self, method: str | None, rewrite: Rewrite, **how: Any) -> Rule[Call]:
        """`rewrite(call, answer)` makes the answer from the node's."""
        return self._rule(rules.REWRITE, method, how, rewrite=rewrite)

    def answer(self, method: str | None, *, result: Any = None, error: Any = None, **how: Any) -> Rule[Call]:
        """An answer of ours; the node hears nothing. `result` may be a function of the call; `error` is put in as it
        is, whatever it is.
        """
        return self._rule(rules.ANSWER, method, how, result=result, error=error)

    def status(self, method: str | None = None, *, code: int = 503, **how: Any) -> Rule[Call]:
        """An HTTP status instead of an answer; the node hears nothing."""
        return self._rule(rules.STATUS, method, how, code=code)

    def lag(self, replica: str, method: str | None = None, **how: Any) -> Rule[Call]:
        """Answered by another server on the same ledger, which the sandbox's fault plan keeps behind."""
        if replica not in self._others:
            raise ValueError(f"{replica} is none of {sorted(self._others)}")
        return self._rule(rules.LAG, method, how, replica=replica)

    def cut(self, *, hold: bool = False) -> None:
        """Nothing passes until `mend()`: connections break at once, or with `hold` stay open and silent."""
        self._cut = asyncio.Event()
        if not hold:
            self._cut.set()
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    def mend(self) -> None:
        """Ends `cut()`. What was held breaks."""
        cut, self._cut = self._cut, None
        if cut is not None:
            cut.set()

    # How it is done

    def _rule(self, kind: str, method: str | None, how: dict[str, Any], **options: Any) -> Rule[Call]:
        when: When | None = how.pop("when", None)
        count: int | None = how.pop("count", None)
        skip: int = how.pop("skip", 0)
        if how:
            raise TypeError(f"a rule has no {', '.join(how)}")

        def matches(call: Call) -> bool:
            return (method is None or call.method == method) and (when is None or when(call))

        what = f"{kind} of {method or 'any method'} at {self.name}"
        return self.rules.add(Rule(kind, matches, what, count, skip, options))

    async def _guarded(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._handle(request)
        except Exception as error:
            self.failures.append(f"the proxy {self.name} failed: {error!r}")
            raise

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        call = _call_of(body)
        self.calls[call.method] += 1
        cut = self._cut
        if cut is not None:
            await self._hold(cut)
            return _broken(request)
        if call.method == "sendTransaction" and isinstance(call.params, dict):
            envelope = str(call.params.get("transaction", ""))
            call.sent = self._log.read(envelope, self.name, await self._latest_ledger())
        delay_s, rule = await self.rules.striking(call)
        if delay_s:
            await asyncio.sleep(delay_s)
        kind = None if rule is None else rule.kind
        options = {} if rule is None else rule.options
        kept = kind in (rules.DROP_REQUEST, rules.ANSWER, rules.STATUS) or (
            kind == rules.BLACK_HOLE and not options["carried_out"]
        )
        if call.sent is not None:
            if delay_s:
                call.sent.latest_ledger = await self._latest_ledger()
            self._log.sent(call.sent, forwarded=not kept)
        if kind == rules.DROP_REQUEST:
            return _broken(request)
        if kind == rules.STATUS:
            return web.Response(status=options["code"], text="out of order")
        if kind == rules.ANSWER:
            return _json({"jsonrpc": "2.0", "id": _id_of(body)} | self._own_answer(call, options))
        if kept:
            await self._hold(self._closing)
            return _broken(request)
        try:
            raw, status = await self._forward(call, body, options.get("replica"))
            for _ in range(options.get("times", 1) - 1):
                raw, status = await self._forward(call, body, None)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return _broken(request)
        if self._cut is not None:  # it was cut while the node worked
            await self._hold(self._cut)
            return _broken(request)
        if rule is None:
            return web.Response(body=raw, status=status, content_type="application/json")
        return await self._bent(rule, request, call, raw, status)

    async def _bent(
        self, rule: Rule[Call], request: web.BaseRequest, call: Call, raw: bytes, status: int
    ) -> web.StreamResponse:
        """What becomes of an answer that the node has given."""
        match rule.kind:
            case rules.DROP_REPLY:
                return _broken(request)
            case rules.BLACK_HOLE:
                await self._hold(self._closing)
                return _broken(request)
            case rules.TRUNCATE:
                return await _truncated(request, raw, rule.options["at"])
            case rules.PATCH:
                return _json(merge_patch(call.answer, rule.options["patch"]))
            case rules.REWRITE:
                return _json(rule.options["rewrite"](call, call.answer))
        return web.Response(body=raw, status=status, content_type="application/json")

    def _own_answer(self, call: Call, options: dict[str, Any]) -> dict[str, Any]:
        """What a rule answers in the node's place, noted as what the engine was told."""
        result = options["result"]
        body = {"result": result(call) if callable(result) else result}
        if options["error"] is not None:
            body = {"error": options["error"]}
        if call.sent is not None:
            self._log.answered(call.sent, body)
        return body

    async def _forward(self, call: Call, body: bytes, replica: str | None) -> tuple[bytes, int]:
        assert self._session is not None, "the proxy has not been entered"
        url = self._upstream_url if replica is None else self._others[replica]
        async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            raw = await answer.content.read(-1)
            status = answer.status
        with contextlib.suppress(ValueError):
            call.answer = json.loads(raw)
        if call.sent is not None:
            self._log.answered(call.sent, call.answer)
        return raw, status

    async def _hold(self, until: asyncio.Event) -> None:
        closing = asyncio.ensure_future(self._closing.wait())
        waiting = asyncio.ensure_future(until.wait())
        await asyncio.wait({closing, waiting}, timeout=HOLD_MAX_S, return_when=asyncio.FIRST_COMPLETED)
        for task in (closing, waiting):
            task.cancel()


def _call_of(body: bytes) -> Call:
    try:
        request = json.loads(body)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        return Call(_NO_CALL, None, body)
    return Call(str(request.get("method", _NO_CALL)), request.get("params"), body)


def _id_of(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        request = json.loads(body)
        if isinstance(request, dict):
            return request.get("id")
    return None


def _json(value: Any) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), content_type="application/json")


def _broken(request: web.BaseRequest) -> web.Response:
    """The connection is gone; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _truncated(request: web.BaseRequest, raw: bytes, at: int) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = len(raw)
    answer.content_type = "application/json"
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        await answer.write(raw[:at])
    if request.transport is not None:
        request.transport.close()
    return answer
