"""The golden entries: kept as files, so that a change of decoder or encoder shows."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from sorofast import _core
from vectors import generate

DOCUMENT = json.loads(generate.PATH.read_text(encoding="utf-8"))


def test_the_file_is_what_the_generator_writes() -> None:
    assert generate.PATH.read_text(encoding="utf-8") == generate.document(), "run tests/vectors/generate.py"


def decode(case: dict[str, Any]) -> tuple[Any, ...]:
    entry = {"key": case["key"], "xdr": case["xdr"], "lastModifiedLedgerSeq": 1, "liveUntilLedgerSeq": 2}
    body = json.dumps({"result": {"entries": [entry], "latestLedger": 3}}).encode()
    contract, keeper = (
        _core.contract_to_bytes(DOCUMENT["contract"]),
        _core.account_to_bytes(DOCUMENT["keeper"]),
    )
    batch = _core.decode_entries(body, contract, keeper)
    assert batch.problems == []
    return struct.unpack("<QQQqQIIIHH", batch.rows)


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_a_golden_entry_is_read(case: dict[str, Any]) -> None:
    task_id, interval_s, last_run_s, gas, shape, _, _, _, flags, _ = decode(case)
    assert task_id == case["task_id"]
    names = ("active", "has_resolver", "has_whitelist", "keeper_allowed", "blocked_by")
    found: dict[str, Any] = {name: bool(flags >> bit & 1) for bit, name in enumerate(names)}
    found |= {"interval_s": interval_s, "last_run_s": last_run_s, "gas": gas, "shape": shape}
    assert found == case["expected"]
