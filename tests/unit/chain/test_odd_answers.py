"""Whatever an endpoint answers ends in a value or in one error of the families that callers wait out."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sorofast.chain.lookups import ledger_entries, result_meta
from sorofast.chain.rpc import RpcClient
from sorofast.errors import BodyError, DecodeError, EventsLost, RpcError, RpcUnreachable, SorofastError

WAITED_OUT = (RpcUnreachable, RpcError, DecodeError)
KEY = bytes(32)
GOOD: dict[str, dict[str, Any]] = {
    "getHealth": {
        "status": "healthy",
        "latestLedger": 100,
        "latestLedgerCloseTime": "1700000000",
        "oldestLedger": 1,
        "ledgerRetentionWindow": 120,
    },
    "getNetwork": {"passphrase": "p", "protocolVersion": 23},
    "sendTransaction": {"status": "ERROR", "latestLedger": 100, "errorResultXdr": "AAAA"},
    "getTransaction": {
        "status": "SUCCESS", "latestLedger": 100, "oldestLedger": 1, "ledger": 99, "resultXdr": "AAAA",
        "resultMetaXdr": "AAAA",
    },
    "simulateTransaction": {
        "latestLedger": 100, "transactionData": "AAAA", "minResourceFee": "1000",
        "results": [{"auth": [], "xdr": "AAAA"}],
    },
    "getLedgerEntries": {"latestLedger": 100, "entries": [{"key": "AAAA", "xdr": "AAAACAAAABAAABOI"}]},
    "getEvents": {"latestLedger": 100, "events": [], "cursor": "429496729600-0"},
}  # fmt: skip

Ask = Callable[[RpcClient], Awaitable[object]]
CALLS: dict[str, tuple[str, Ask]] = {
    "health": ("getHealth", lambda rpc: rpc.get_health()),
    "network": ("getNetwork", lambda rpc: rpc.get_network()),
    "send": ("sendTransaction", lambda rpc: rpc.send_transaction("AAAA")),
    "transaction": ("getTransaction", lambda rpc: rpc.get_transaction("00" * 32)),
    "meta": ("getTransaction", lambda rpc: result_meta(rpc, "00" * 32)),
    "simulate": ("simulateTransaction", lambda rpc: rpc.simulate("AAAA")),
    "target": ("getLedgerEntries", lambda rpc: rpc.target_close_s()),
    "lookup": ("getLedgerEntries", lambda rpc: ledger_entries(rpc, ["AAAA"])),
    "entries": ("getLedgerEntries", lambda rpc: rpc.entries(KEY, KEY, bytes(8), KEY)),
    "registry": ("getLedgerEntries", lambda rpc: rpc.registry(KEY, KEY)),
    "events": ("getEvents", lambda rpc: rpc.events(KEY, start_ledger=1, cursor=None, ledger_min=0)),
}


class Endpoint:
    """An HTTP server that answers everything with the body it was last given, and a client of it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._body = b""
        self._headers: dict[str, str] = {}
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._rpc = RpcClient(f"http://127.0.0.1:{port}/", timeout_s=10.0)

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=self._body, headers=self._headers)

    def ask(self, call: str, body: bytes, **headers: str) -> object:
        self._body, self._headers = body, headers
        return self._loop.run_until_complete(CALLS[call][1](self._rpc))  # type: ignore[arg-type]

    def close(self) -> None:
        self._loop.run_until_complete(self._rpc.close())
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    served.close()


def answer(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def refused(endpoint: Endpoint, call: str, body: bytes) -> SorofastError:
    with pytest.raises(WAITED_OUT) as caught:
        endpoint.ask(call, body)
    line = str(caught.value)
    assert "\n" not in line
    assert 10 < len(line) < 700, line
    return caught.value


@pytest.mark.parametrize("call", CALLS)
def test_a_good_answer_is_taken(endpoint: Endpoint, call: str) -> None:
    if call in ("lookup", "entries", "registry"):
        return  # their good answers are entries of a ledger, read elsewhere
    endpoint.ask(call, answer(GOOD[CALLS[call][0]]))


@pytest.mark.parametrize(
    ("call", "changes", "said"),
    [
        ("simulate", {"error": {"code": 1}}, "error that is an object"),
        ("simulate", {"error": ["x"]}, "error that is a list"),
        ("simulate", {"minResourceFee": str(2**63)}, f"minResourceFee {2**63}"),
        ("simulate", {"minResourceFee": str(2**32)}, "not from 0 to 4294967295"),
        ("simulate", {"minResourceFee": 10**30}, "minResourceFee"),
        ("simulate", {"minResourceFee": "9" * 5_000}, "minResourceFee"),
        ("simulate", {"minResourceFee": "-1"}, "minResourceFee"),
        ("simulate", {"minResourceFee": "free"}, "minResourceFee 'free'"),
        ("simulate", {"minResourceFee": [1]}, "minResourceFee that is a list"),
        ("simulate", {"minResourceFee": True}, "minResourceFee"),
        ("simulate", {"results": {}}, "results that is an object"),
        ("simulate", {"results": ["x"]}, "member of results that is text"),
        ("simulate", {"results": [{"auth": "x"}]}, "auth 'x' that is text"),
        ("simulate", {"results": [{"auth": [{"a": 1}]}]}, "auth that is an object"),
        ("simulate", {"transactionData": {}}, "transactionData that is an object"),
        ("simulate", {"transactionData": None}, "neither an error nor transactionData"),
        ("health", {"latestLedger": "a hundred"}, "latestLedger 'a hundred' that is text"),
        ("health", {"latestLedger": None}, "without latestLedger"),
        ("health", {"latestLedger": -1}, "latestLedger -1"),
        ("health", {"latestLedger": 2**32}, "latestLedger 4294967296"),
        ("health", {"latestLedger": 1e300}, "latestLedger that is a number with a fraction"),
        ("health", {"latestLedgerCloseTime": "9" * 20}, "latestLedgerCloseTime"),
        ("network", {"passphrase": {}}, "passphrase that is an object"),
        ("send", {"errorResultXdr": 5}, "errorResultXdr that is a number"),
        ("send", {"status": None}, "without status"),
        ("transaction", {"resultXdr": {}}, "resultXdr that is an object"),
        ("transaction", {"ledger": "x"}, "ledger 'x'"),
        ("meta", {"resultMetaXdr": [1]}, "no result"),
        ("target", {"entries": "x"}, "entries 'x'"),
        ("target", {"entries": [{"xdr": "AAAACAAAABAAAAAA"}]}, "target of 0 ms"),
        ("lookup", {"entries": [{"key": 1, "xdr": "AAAA"}]}, "key that is a number"),
    ],
)
def test_a_field_of_another_kind_is_named(
    endpoint: Endpoint, call: str, changes: dict[str, Any], said: str
) -> None:
    error = refused(endpoint, call, answer(GOOD[CALLS[call][0]] | changes))
    assert isinstance(error, BodyError)
    assert said in str(error)
    assert CALLS[call][0] in str(error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>busy</html>",
        b'{"result": []}',
        b'{"result": null}',
        b'{"error": "queue full"}',
        b'{"error": ["queue full"]}',
        b'{"error": 5, "result": {}}',
        b'{"error": {"code": "x", "message": {"a": 1}}}',
        b'{"error": {"code": 1e300}}',
        b'{"error": {"code": true, "message": null}}',
        b'{"error": {"code": -32000, "message": "' + b"long\\n" * 100_000 + b'"}}',
        json.dumps({"error": nested(600)}).encode(),
        json.dumps({"error": {"code": 1, "message": nested(900)}}).encode(),
        json.dumps({"result": nested(600)}).encode(),
        json.dumps({"result": {"entries": nested(900), "latestLedger": nested(900)}}).encode(),
        b'{"result":' + b"[" * 100_000,
        b'{"result": {"latestLedger": ' + b"9" * 100_000 + b"}}",
        b'\xff\xfe{"result": {}}',
    ],
    ids=range(21),
)
def test_an_answer_that_is_none_ends_in_one_line(endpoint: Endpoint, call: str, body: bytes) -> None:
    refused(endpoint, call, body)


def test_a_body_that_cannot_be_unpacked_is_no_answer(endpoint: Endpoint) -> None:
    with pytest.raises(RpcUnreachable):
        endpoint.ask("health", b"not gzip", **{"Content-Encoding": "gzip"})


def test_an_error_in_words_alone_is_the_rpcs(endpoint: Endpoint) -> None:
    error = refused(endpoint, "simulate", b'{"error": "preflight queue full"}')
    assert isinstance(error, RpcError)
    assert "preflight queue full" in str(error)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["AAAA", "SUCCESS", "ERROR", "0", "-1", "9" * 30, "1e3", base64.b64encode(bytes(64)).decode()]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({name for result in GOOD.values() for name in result} | {"error", "auth", "xdr", "key"})


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    error=st.none() | VALUES,
    dropped=st.none() | st.sampled_from(FIELDS),
)
@example(changes={"results": [{"auth": [1, "x"]}]}, error=None, dropped=None)
def test_any_mutation_of_a_good_answer_ends_in_a_value_or_in_a_known_error(
    endpoint: Endpoint, call: str, changes: dict[str, Any], error: Any, dropped: str | None
) -> None:
    result = GOOD[CALLS[call][0]] | changes
    result.pop(dropped or "", None)
    body = {"jsonrpc": "2.0", "id": 1, "result": result}
    if error is not None:
        body["error"] = error
    try:
        value = endpoint.ask(call, json.dumps(body).encode())
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.asdict(value)
            msgspec.convert(fields, type(value), strict=True)  # each field is what its annotation says
            assert all(0 <= number < 2**40 for number in fields.values() if isinstance(number, int))
    except EventsLost:
        assert call == "events"
    except WAITED_OUT as caught:
        assert "\n" not in str(caught)  # noqa: PT017 - which of the families it is differs from answer to answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    call=st.sampled_from(sorted(CALLS)),
    body=st.binary(max_size=200) | VALUES.map(lambda v: json.dumps(v).encode()),
)
def test_any_bytes_at_all_end_in_a_known_error(endpoint: Endpoint, call: str, body: bytes) -> None:
    with pytest.raises(WAITED_OUT):
        endpoint.ask(call, body)
