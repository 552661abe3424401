"""Request bodies: JSON that says what was asked, keys that stellar-sdk reads back."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import scval, xdr

from helpers import entries as make
from sorofast import _core

U64 = st.integers(0, 2**64 - 1)
KEY = st.binary(min_size=32, max_size=32)


def packed(ids: list[int]) -> bytes:
    return struct.pack(f"<{len(ids)}Q", *ids)


def keys_of(body: bytes) -> list[str]:
    request = json.loads(body)
    assert (request["jsonrpc"], request["method"]) == ("2.0", "getLedgerEntries")
    keys: list[str] = request["params"]["keys"]
    return keys


@given(U64, st.lists(U64, max_size=20, unique=True), st.lists(KEY, max_size=20, unique=True))
def test_keys_are_those_of_stellar_sdk(request_id: int, ids: list[int], accounts: list[bytes]) -> None:
    body = _core.entries_request(request_id, make.CONTRACT_RAW, packed(ids), b"".join(accounts))
    assert json.loads(body)["id"] == request_id
    tasks = [make.data_key(make.task_symbol_key(one)).to_xdr() for one in ids]
    assert keys_of(body) == tasks + [make.account_entry(one, 0, 0)["key"] for one in accounts]


def test_the_registrys_own_keys() -> None:
    counter = make.data_key(scval.to_vec([scval.to_symbol("Counter")]))
    instance = make.data_key(xdr.SCVal(xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE))
    body = _core.registry_request(7, make.CONTRACT_RAW)
    assert keys_of(body) == [counter.to_xdr(), instance.to_xdr()]


def test_two_hundred_keys_are_the_bound() -> None:
    keys = b"".join(bytes([one]) * 32 for one in range(100))
    body = _core.entries_request(1, make.CONTRACT_RAW, packed(list(range(100))), keys)
    assert len(set(keys_of(body))) == 200
    with pytest.raises(ValueError, match="201 keys in one call, at most 200"):
        _core.entries_request(1, make.CONTRACT_RAW, packed(list(range(101))), keys)


@pytest.mark.parametrize(
    ("ids", "accounts", "says"),
    [
        (packed([1, 2, 1]), b"", "a key appears twice"),
        (b"", b"k" * 64, "a key appears twice"),
        (b"1234567", b"", "task_ids has 7 bytes, not a multiple of 8"),
        (b"", b"k" * 33, "accounts has 33 bytes, not a multiple of 32"),
    ],
)
def test_what_a_node_would_refuse_is_refused(ids: bytes, accounts: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _core.entries_request(1, make.CONTRACT_RAW, ids, accounts)


def test_events_from_a_ledger_and_from_a_cursor() -> None:
    def params(**arguments: Any) -> dict[str, Any]:
        request = json.loads(_core.events_request(3, make.CONTRACT_RAW, **arguments))
        assert (request["id"], request["method"]) == (3, "getEvents")
        asked: dict[str, Any] = request["params"]
        assert asked.pop("filters") == [{"type": "contract", "contractIds": [make.CONTRACT.address]}]
        return asked

    assert params(start_ledger=12) == {"startLedger": 12, "pagination": {"limit": 10_000}}
    cursor = "0000000012884905986-0000000001"
    assert params(cursor=cursor, limit=5) == {"pagination": {"cursor": cursor, "limit": 5}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "either start_ledger or cursor"),
        ({"start_ledger": 1, "cursor": "1"}, "either start_ledger or cursor"),
        ({"cursor": 'a","x":"'}, "not one that a node hands out"),
        ({"cursor": ""}, "not one that a node hands out"),
        ({"start_ledger": 1, "limit": 0}, "1 to 10000"),
        ({"start_ledger": 1, "limit": 10_001}, "1 to 10000"),
    ],
)
def test_bad_event_requests_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _core.events_request(3, make.CONTRACT_RAW, **arguments)
