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
    """The hundred that are due are popped and put back a day later, so that every round finds the index as large."""
    index = table()
    seconds = sorted(ROW.unpack(row)[2] + HOUR_S for row in map(bytes, batched(index.rows())))
    popped = list(batched(index.pop_due(seconds[DUE - 1], DUE)))
    assert [ROW.unpack(row)[2] + HOUR_S for row in popped] == seconds[:DUE]
    for row in popped:
        assert index.schedule(ROW.unpack(row)[0], seconds[0], NOT_DUE)

    def one_ledger() -> int:
        rows = index.pop_due(seconds[-1], DUE)
        for task_id, *_ in ROW.iter_unpack(rows):
            index.schedule(task_id, seconds[-1] + 1, NOT_DUE)
        return len(rows)

    def refill() -> int:
        done = one_ledger()
        if done < DUE * _core.ROW_SIZE:
            for task_id, _, last_run_s, *_ in ROW.iter_unpack(index.rows()):
                index.schedule(task_id, last_run_s + HOUR_S, NOT_DUE)
        return done

    assert refill() == DUE * _core.ROW_SIZE
    compare("pop a due task and put it back", "core", DUE, refill)


def test_apply_rows(compare: Compare) -> None:
    """Two hundred changed rows, a ledger's worth, into a table of a hundred thousand."""
    index = table()
    rows = [ROW.unpack(row) for row in list(batched(index.rows()))[:200]]
    ledger = 2
    changed = [
        b"".join(ROW.pack(*row[:2], row[2] + shift, *row[3:7], ledger, *row[8:]) for row in rows)
        for shift in (60, 120)
    ]
    assert index.apply(changed[0], 0, 1) == 200
    turn = iter(lambda: 0, 1)
    compare(
        "apply a changed row", "core", 400, lambda: [index.apply(one, 0, 1) for one in changed] and next(turn)
    )


def test_restore(compare: Compare) -> None:
    """A takeover: a table of a hundred thousand from its snapshot."""
    snapshot = table().snapshot()
    assert len(_core.TaskTable.restore(snapshot)) == TASKS
    compare("restore a task", "core", TASKS, lambda: _core.TaskTable.restore(snapshot))


def batched(data: bytes) -> list[bytes]:
    return [data[at : at + _core.ROW_SIZE] for at in range(0, len(data), _core.ROW_SIZE)]
