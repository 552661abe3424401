"""Writes the golden entries of every TaskConfig generation, encoded by stellar-sdk.

Run from the root of the clone: `python tests/vectors/generate.py`. A test makes sure that the file is what this
writes, and that the core reads it as it says.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

from stellar_sdk import Address, scval

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from helpers import entries as make  # noqa: E402

PATH = Path(__file__).with_name("task_entries.json")

OTHER = Address.from_raw_account(bytes([9]) * 32)

CASES: dict[str, make.Task] = {
    **{f"generation {name}": make.Task(generation=name) for name in make.GENERATIONS},
    "paused": make.Task(is_active=False),
    "resolver": make.Task(resolver=make.TARGET),
    "our keeper on the whitelist": make.Task(whitelist=[OTHER, make.KEEPER]),
    "another keeper on the whitelist": make.Task(whitelist=[OTHER]),
    "blocked": make.Task(blocked_by=[1, 2]),
    "arguments": make.Task(args=[scval.to_uint64(7), scval.to_vec([scval.to_symbol("a"), scval.to_void()])]),
    "more gas than 64 bits hold": make.Task(gas_balance=2**100),
    "debt beyond 64 bits": make.Task(gas_balance=-(2**100)),
    "last run at the end of time": make.Task(last_run=2**64 - 1, interval=2**32 - 1),
    "fields nobody knows": make.Task(extra={"aaa": scval.to_bool(True), "zzz": scval.to_string("later")}),
}


def half(number: int, parts: list[bytes]) -> int:
    """The first 32 bits of a SHA-256 over a number, the parts' lengths and the parts."""
    lengths = struct.pack(f">{len(parts) + 1}Q", number, *map(len, parts))
    return int.from_bytes(hashlib.sha256(lengths + b"".join(parts)).digest()[:4], "big")


def shape(task: make.Task) -> int:
    """What a run of the task touches: 32 bits of what is called, above 32 bits of with what.

    It must never change: footprints and write-ahead records are kept under it. Parts that are missing, void or an
    empty list of dependencies count as empty.
    """
    value = task.to_value()
    assert value.map is not None
    fields = {entry.key.sym.sc_symbol: entry.val for entry in value.map.sc_map if entry.key.sym is not None}
    parts = {}
    for name in ("target", "function", "args", "resolver", "blocked_by", "yield_strategy"):
        part = fields.get(name.encode())
        empty = part is None or part == scval.to_void() or (name == "blocked_by" and not task.blocked_by)
        parts[name] = b"" if part is None or empty else part.to_xdr_bytes()
    types = b"".join(one.type.value.to_bytes(4, "big") for one in task.args)
    presence = bytes([bool(parts["blocked_by"]), bool(parts["yield_strategy"])])
    kind = half(0, [parts["target"], parts["function"], parts["resolver"], types, presence])
    rest = half(len(value.to_xdr_bytes()), [parts["args"], parts["blocked_by"], parts["yield_strategy"]])
    return kind << 32 | rest


def expected(task: make.Task) -> dict[str, Any]:
    """What the core must find in a task."""
    fields = make.fields_of(task.generation)
    whitelist = [Address(one.address) for one in task.whitelist] if "whitelist" in fields else []
    return {
        "interval_s": task.interval,
        "last_run_s": task.last_run,
        "gas": max(-(2**63), min(2**63 - 1, task.gas_balance)),
        "active": task.is_active or "is_active" not in fields,
        "has_resolver": task.resolver is not None and "resolver" in fields,
        "has_whitelist": bool(whitelist),
        "keeper_allowed": not whitelist or make.KEEPER in whitelist,
        "blocked_by": bool(task.blocked_by) and "blocked_by" in fields,
        "shape": shape(task),
    }


def document() -> str:
    """The file's text."""
    cases = []
    for task_id, (name, task) in enumerate(CASES.items(), start=1):
        entry = make.task_entry(task_id, task)
        case = {"name": name, "task_id": task_id, "key": entry["key"], "xdr": entry["xdr"]}
        cases.append({**case, "expected": expected(task)})
    head = {"contract": make.CONTRACT.address, "keeper": make.KEEPER.address}
    return json.dumps({**head, "cases": cases}, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
