"""The packed row of the core and ours are the same."""

from __future__ import annotations

import struct

import pytest

from sorofast import _core
from sorofast.registry.task import TaskFlag, TaskRow, unpack_rows

ROWS = [
    TaskRow(1, 60, 1_000, 50, 7, 900, 10, 20, TaskFlag.ACTIVE | TaskFlag.KEEPER_ALLOWED, 0),
    TaskRow(2**64 - 1, 2**64 - 1, 1, -(2**63), 2**64 - 1, 2**32 - 1, 0, 20, TaskFlag.ACTIVE, 3),
    TaskRow(3, 0, 0, 0, 0, 0, 0, 20, TaskFlag.UNDECODABLE, 0),
]


def pack(row: TaskRow) -> bytes:
    return struct.pack(
        "<QQQqQIIIHH",
        row.task_id,
        row.interval_s,
        row.last_run_s,
        row.gas_stroops,
        row.shape,
        row.live_until_ledger,
        row.last_modified_ledger,
        row.snapshot_ledger,
        row.flags,
        row.reason,
    )


def test_rows_come_back_as_they_were_packed() -> None:
    packed = b"".join(pack(row) for row in ROWS)
    assert list(unpack_rows(packed)) == ROWS
    with pytest.raises(ValueError, match="whole task rows"):
        list(unpack_rows(packed[:-1]))


def test_the_cores_table_gives_rows_we_read() -> None:
    table = _core.TaskTable()
    assert table.apply(b"".join(pack(row) for row in ROWS), 0, 1) == 3
    rows = {row.task_id: row for row in unpack_rows(table.rows())}
    assert rows[1].due_s == 1_060
    assert (rows[1].gas_stroops, rows[1].flags) == (50, ROWS[0].flags)
    names = {code: name for code, name, _ in _core.reason_codes()}
    assert names[rows[3].reason] == "undecodable"


def test_a_due_time_that_does_not_exist_is_none() -> None:
    assert [row.due_s for row in ROWS] == [1_060, None, None]
