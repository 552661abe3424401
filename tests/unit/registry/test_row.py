"""The packed row of the core and ours are the same."""

from __future__ import annotations

import pytest

from sorofast import _core, reasons
from sorofast.registry.row import ROW_STRUCT, Flag, Row, rows_of

ROWS = [
    Row(1, 60, 1_000, 50, 7, 900, 10, 20, Flag.ACTIVE | Flag.KEEPER_ALLOWED, 0),
    Row(2**64 - 1, 2**64 - 1, 1, -(2**63), 2**64 - 1, 2**32 - 1, 0, 20, Flag.ACTIVE, 3),
    Row(3, 0, 0, 0, 0, 0, 0, 20, Flag.UNDECODABLE, 0),
]


def test_a_row_has_the_cores_size() -> None:
    assert ROW_STRUCT.size == _core.ROW_SIZE


def test_rows_come_back_as_they_were_packed() -> None:
    packed = b"".join(row.pack() for row in ROWS)
    assert list(rows_of(packed)) == ROWS
    with pytest.raises(ValueError, match="whole task rows"):
        list(rows_of(packed[:-1]))


def test_the_cores_table_gives_rows_we_read() -> None:
    table = _core.TaskTable()
    assert table.apply(b"".join(row.pack() for row in ROWS), 0, 1) == 3
    rows = {row.task_id: row for row in rows_of(table.rows())}
    assert rows[1].next_due_s == rows[1].due_s == 1_060
    assert (rows[1].gas_stroops, rows[1].flags) == (50, ROWS[0].flags)
    assert reasons.name_of(rows[3].reason) == "undecodable"


def test_a_due_time_that_does_not_exist_is_none() -> None:
    assert [row.next_due_s for row in ROWS] == [1_060, None, None]
