"""The due index at a hundred thousand tasks: what a ledger's work costs when a hundred of them are due."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from sorofast import _core

ROW = struct.Struct("<QQQqQIIIHH")
TASKS = 100_000
DUE = 100
START_S = 1_760_000_000
HOUR_S = 3600
NOT_DUE = next(code for code, name, _ in _core.reason_codes() if name == "not_due")

Compare = Callable[[str, str, int, Callable[[], object]], None]


def table() -> _core.TaskTable:
    chance = random.Random(1)
    made = _core.TaskTable()
    rows = (
        ROW.pack(one, HOUR_S, START_S - chance.randrange(HOUR_S), 100, 1, 2**32 - 1, 1, 1, 9, 0)
        for one in range(TASKS)
    )
    assert made.apply(b"".join(rows), 0, 1) == TASKS
    return made


def test_pop_and_put_back(compare: Compare) -> None:
    """The soonest hundred are popped and put back behind all others, so that the index stays as large as it is."""
    index = table()
    due_s = sorted(ROW.unpack(row)[2] + HOUR_S for row in packed_rows(index.rows()))
    end_s = due_s[-1] + 1
    turns = 0

    def one_ledger() -> list[bytes]:
        nonlocal turns
        turns += 1
        rows = packed_rows(index.pop_due(end_s + turns, DUE))
        for row in rows:
            index.schedule(ROW.unpack(row)[0], end_s + turns, NOT_DUE)
        return rows

    for turn in range(3):
        popped_s = [ROW.unpack(row)[2] + HOUR_S for row in one_ledger()]
        assert popped_s == due_s[turn * DUE : (turn + 1) * DUE]
    compare("pop a due task and put it back", "core", DUE, one_ledger)
    assert len(index) == TASKS


def test_apply_rows(compare: Compare) -> None:
    """Two hundred changed rows, a ledger's worth, into a table of a hundred thousand."""
    index = table()
    rows = [ROW.unpack(row) for row in packed_rows(index.rows())[:200]]
    early, late = (
        b"".join(ROW.pack(*row[:2], row[2] + moved_s, *row[3:]) for row in rows) for moved_s in (60, 120)
    )
    assert index.apply(early, 0, 1) == 200
    assert index.state(rows[0][0]) == ("indexed", rows[0][2] + 60 + HOUR_S)

    def two_ledgers() -> None:
        index.apply(late, 0, 1)
        index.apply(early, 0, 1)

    compare("apply a changed row", "core", 400, two_ledgers)


def test_restore(compare: Compare) -> None:
    """A takeover: a table of a hundred thousand from its snapshot."""
    snapshot = table().snapshot()
    assert len(_core.TaskTable.restore(snapshot)) == TASKS
    compare("restore a task", "core", TASKS, lambda: _core.TaskTable.restore(snapshot))


def packed_rows(data: bytes) -> list[bytes]:
    return [data[at : at + _core.ROW_SIZE] for at in range(0, len(data), _core.ROW_SIZE)]
