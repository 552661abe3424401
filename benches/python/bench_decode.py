"""Reading a getLedgerEntries answer of 200 tasks, beside stellar-sdk on the same bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from stellar_sdk import scval, xdr

from helpers import entries as make
from sorofast import _core

TASKS = 200
GROUP = "decode a task entry"
ROW = struct.Struct("<QQQqQIIIHH")
BODY = make.entries_body(
    [
        make.task_entry(
            one,
            make.Task(last_run=1_760_000_000 + one, gas_balance=one * 100, args=[scval.to_uint64(one)]),
            live_until=5_000 + one,
            modified=one,
        )
        for one in range(1, TASKS + 1)
    ],
    latest_ledger=4_321,
)

Hot = tuple[int, int, int, int, int, int, int]


def by_core() -> _core.EntriesBatch:
    return _core.decode_entries(BODY, make.CONTRACT_RAW, make.KEEPER_RAW)


def by_stellar_sdk() -> list[Hot]:
    """The same fields by the library's own means: parse, decode the entry, turn the value native, pick."""
    result = json.loads(BODY)["result"]
    rows = []
    for entry in result["entries"]:
        data = xdr.LedgerEntryData.from_xdr(entry["xdr"]).contract_data
        assert data is not None
        assert data.key.vec is not None
        task: Any = scval.to_native(data.val)
        task_id = data.key.vec.sc_vec[1].u64
        assert task_id is not None
        rows.append(
            (
                task_id.uint64,
                task["interval"],
                task["last_run"],
                task["gas_balance"],
                entry["liveUntilLedgerSeq"],
                entry["lastModifiedLedgerSeq"],
                result["latestLedger"],
            )
        )
    return rows


def hot(batch: _core.EntriesBatch) -> list[Hot]:
    return [(*row[:4], *row[5:8]) for row in ROW.iter_unpack(batch.rows)]


@pytest.mark.parametrize("who", ["stellar-sdk", "core"])
def test_decode_entries(who: str, compare: Callable[[str, str, int, Callable[[], object]], None]) -> None:
    assert hot(by_core()) == by_stellar_sdk()
    assert by_core().problems == []
    compare(GROUP, who, TASKS, by_core if who == "core" else by_stellar_sdk)
