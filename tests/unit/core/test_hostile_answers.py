"""Answers that no node should give: each is one typed error, whatever stands where."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import entries as make
from sorofast import _core
from sorofast.errors import BodyError, RpcError

DECODERS: dict[str, Callable[[bytes], object]] = {
    "getLedgerEntries": lambda body: _core.decode_entries(body, make.CONTRACT_RAW, make.KEEPER_RAW),
    "getEvents": lambda body: _core.decode_events(body, make.CONTRACT_RAW),
}
DEEP = "[" * 600 + "]" * 600
DEEP_OBJECT = '{"a":' * 600 + "1" + "}" * 600
RESULT = '"result":{"entries":[],"events":[],"latestLedger":7}'


@pytest.fixture(params=sorted(DECODERS))
def decode(request: pytest.FixtureRequest) -> Callable[[bytes], object]:
    return DECODERS[request.param]


@pytest.mark.parametrize("said", ['"queue full"', "-32603", "3.5e400", "true", '["queue", "full"]'])
def test_an_error_that_is_no_object_is_quoted(decode: Callable[[bytes], object], said: str) -> None:
    for body in (f'{{"error":{said}}}', f'{{{RESULT},"error":{said}}}'):
        with pytest.raises(BodyError) as caught:
            decode(body.encode())
        assert f"the answer's error is no JSON-RPC error: {said}" in str(caught.value)


def test_a_long_error_is_cut(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(BodyError) as caught:
        decode(json.dumps({"error": "x" * 100_000}).encode())
    assert len(str(caught.value)) < 600


def test_an_error_of_null_is_none(decode: Callable[[bytes], object]) -> None:
    decode(f'{{"error":null,{RESULT}}}'.encode())


def test_an_error_whose_message_is_no_text_shows_what_it_is(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(RpcError) as caught:
        decode(b'{"error":{"code":-32603,"message":{"reason":["busy"]}}}')
    assert (caught.value.code, caught.value.message) == (-32603, '{"reason":["busy"]}')


@pytest.mark.parametrize("code", ['"-32603"', "1e3", str(2**63), "null", "{}"])
def test_an_error_whose_code_is_no_number_of_64_bits_is_refused(
    decode: Callable[[bytes], object], code: str
) -> None:
    with pytest.raises(BodyError, match="expected a"):
        decode(f'{{"error":{{"code":{code},"message":"m"}}}}'.encode())


@pytest.mark.parametrize("deep", [DEEP, DEEP_OBJECT], ids=["arrays", "objects"])
@pytest.mark.parametrize(
    "place",
    [
        '{{"error":{deep}}}',
        '{{"error":{{"code":1,"message":{deep}}}}}',
        '{{"error":{{"code":1,"message":"m","data":{deep}}}}}',
        '{{"result":{deep}}}',
        '{{"result":{{"entries":{deep},"events":{deep},"latestLedger":1}}}}',
        '{{"result":{{"unknown":{deep},"latestLedger":1}}}}',
        '{{"extra":{deep},"result":{{"latestLedger":1}}}}',
        "{deep}",
    ],
)
def test_nesting_is_bounded_wherever_it_is(decode: Callable[[bytes], object], place: str, deep: str) -> None:
    with pytest.raises(BodyError):
        decode(place.format(deep=deep).encode())


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = st.sampled_from(
    [
        "id",
        "jsonrpc",
        "result",
        "error",
        "code",
        "message",
        "entries",
        "events",
        "latestLedger",
        "cursor",
        "key",
        "xdr",
    ]
)
ANSWERS = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@settings(max_examples=400)
@given(st.dictionaries(NAMES, ANSWERS, max_size=4), st.sampled_from(sorted(DECODERS)))
def test_any_json_is_an_error_or_an_answer(answer: dict[str, Any], method: str) -> None:
    with contextlib.suppress(BodyError, RpcError):
        DECODERS[method](json.dumps(answer).encode())
