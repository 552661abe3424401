"""The task table beside a model: a dictionary, and a sort for every pop."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sorofast import _core
from sorofast.errors import SnapshotError

ROW = struct.Struct("<QQQqQIIIHH")
REASONS = {name: code for code, name, _ in _core.reason_codes()}
ALIVE = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Row:
    id: int
    interval_s: int = 60
    last_run_s: int = 1_760_000_000
    gas: int = 100
    shape: int = 1
    live_until: int = ALIVE
    last_modified: int = 1
    snapshot_ledger: int = 1
    flags: int = 1 | 8
    reason: int = 0

    def pack(self) -> bytes:
        return ROW.pack(*(getattr(self, name) for name in self.__dataclass_fields__))

    @classmethod
    def unpack(cls, data: bytes) -> Row:
        return cls(**dict(zip(cls.__dataclass_fields__, ROW.unpack(data), strict=True)))

    @property
    def due_s(self) -> int:
        return self.last_run_s + self.interval_s

    def obstacle(self, *, unblocked: bool = False, fee: int = 0) -> str | None:
        """Why this task cannot run at all, in the order in which reasons are given."""
        obstacles = {
            "undecodable": bool(self.flags & 32),
            "archived": self.live_until < self.snapshot_ledger,
            "inactive": not self.flags & 1,
            "not_whitelisted": not self.flags & 8,
            "interval_zero": self.interval_s == 0,
            "due_overflow": self.due_s >= 2**64,
            "blocked": bool(self.flags & 16) and not unblocked,
            "out_of_gas": self.gas < 1,
            "gas_below_fee": self.gas < fee,
        }
        return next((name for name, there in obstacles.items() if there), None)


def apply(table: _core.TaskTable, *rows: Row) -> int:
    return table.apply(b"".join(row.pack() for row in rows), 0, 1)


def pop(table: _core.TaskTable, until_s: int, limit: int = 1000) -> list[Row]:
    data = table.pop_due(until_s, limit)
    return [Row.unpack(data[at : at + 56]) for at in range(0, len(data), 56)]


def stored(table: _core.TaskTable, task_id: int) -> Row:
    data = table.get(task_id)
    assert data is not None
    return Row.unpack(data)


IDS = st.integers(0, 12)
SECONDS = st.integers(0, 300) | st.integers(1_760_000_000, 1_760_005_000) | st.integers(0, 2**64 - 1)
ROWS = st.builds(
    Row,
    id=IDS,
    interval_s=st.integers(0, 3) | st.integers(0, 2**63),
    last_run_s=SECONDS,
    gas=st.sampled_from([0, 1, 500]),
    shape=st.sampled_from([0, 1, 1 << 32]),
    live_until=st.sampled_from([0, 3, ALIVE]),
    flags=st.sampled_from([9, 9, 9, 9, 8, 1, 25, 25, 32]),
)


class TableMachine(RuleBasedStateMachine):
    """Every operation on the table and on the model, the same answers from both."""

    def __init__(self) -> None:
        super().__init__()
        self.table = _core.TaskTable()
        self.rows: dict[int, Row] = {}
        self.states: dict[int, tuple[str, int | None]] = {}
        self.reasons: dict[int, str] = {}
        self.unblocked: set[int] = set()
        self.fees: dict[int, int] = {}
        self.ledger = 10

    def obstacle(self, row: Row) -> str | None:
        return row.obstacle(unblocked=row.id in self.unblocked, fee=self.fees.get(row.shape >> 32, 0))

    def place(self, task_id: int) -> None:
        row = self.rows[task_id]
        obstacle = self.obstacle(row)
        self.states[task_id] = ("indexed", row.due_s) if obstacle is None else ("parked", None)
        self.reasons[task_id] = obstacle or "not_due"

    def look_again(self, task_id: int) -> bool:
        """What was told to the table moves only what waits for its second, or could not run."""
        obstacle, (state, _), reason = (
            self.obstacle(self.rows[task_id]),
            self.states[task_id],
            self.reasons[task_id],
        )
        moves = obstacle is not None if state == "indexed" else state == "parked" and obstacle != reason
        if moves and reason != "quarantined":
            self.place(task_id)
            return True
        return False

    def stays(self, old: Row, new: Row, could_not: str | None) -> bool:
        state, reason = self.states[new.id][0], self.reasons[new.id]
        if state == "held":
            return old.last_run_s == new.last_run_s
        if state == "indexed":
            kept = (old.last_run_s, old.interval_s) == (new.last_run_s, new.interval_s)
            return kept and self.obstacle(new) is None
        same = all(
            getattr(old, name) == getattr(new, name)
            for name in ("interval_s", "last_run_s", "gas", "shape", "flags")
        )
        return reason == "quarantined" and same and could_not == self.obstacle(new)

    @rule(row=ROWS, ago=st.sampled_from([0, 0, 0, 1]))
    def apply(self, row: Row, ago: int) -> None:
        self.ledger += 1
        row = replace(row, snapshot_ledger=self.ledger - 3 * ago, last_modified=self.ledger)
        old = self.rows.get(row.id)
        if old is not None and row.snapshot_ledger < old.snapshot_ledger:
            assert apply(self.table, row) == 0
            return
        assert apply(self.table, row) == 1
        if old is not None and row.flags & 32:
            # An entry that does not decode says nothing about the run the task waits for.
            names = ("interval_s", "last_run_s", "gas", "shape")
            row = replace(row, flags=old.flags | 32, **{name: getattr(old, name) for name in names})
        could_not = None if old is None else self.obstacle(old)
        if old is None or not row.flags & 16 or row.shape % 2**32 != old.shape % 2**32:
            self.unblocked.discard(row.id)
        stays = old is not None and self.stays(old, row, could_not)
        self.rows[row.id] = row
        if not stays:
            self.place(row.id)

    @rule(task_id=IDS, at_s=SECONDS)
    def schedule(self, task_id: int, at_s: int) -> None:
        done = self.table.schedule(task_id, at_s, REASONS["backing_off"])
        row = self.rows.get(task_id)
        assert done == (row is not None and self.obstacle(row) is None)
        if row is not None:
            self.place(task_id)
        if done and row is not None:
            self.states[task_id] = ("indexed", max(at_s, row.due_s))
            self.reasons[task_id] = "backing_off"

    @rule(task_id=IDS)
    def park(self, task_id: int) -> None:
        assert self.table.park(task_id, REASONS["quarantined"]) == (task_id in self.rows)
        if task_id in self.rows:
            self.states[task_id], self.reasons[task_id] = ("parked", None), "quarantined"

    @rule(task_id=IDS)
    def hold(self, task_id: int) -> None:
        assert self.table.hold(task_id) == (task_id in self.rows)
        if task_id in self.rows:
            self.states[task_id], self.reasons[task_id] = ("held", None), "in_flight"

    @rule(ids=st.lists(IDS, max_size=3, unique=True))
    def remove(self, ids: list[int]) -> None:
        there = [one for one in ids if one in self.rows]
        assert self.table.remove(struct.pack(f"<{len(ids)}Q", *ids)) == len(there)
        for one in there:
            del self.rows[one], self.states[one], self.reasons[one]
            self.unblocked.discard(one)

    @rule(task_id=IDS, on=st.booleans())
    def set_unblocked(self, task_id: int, on: bool) -> None:
        row = self.rows.get(task_id)
        waits = row is not None and bool(row.flags & 16)
        assert self.table.set_unblocked(task_id, on) == waits
        if waits:
            (self.unblocked.add if on else self.unblocked.discard)(task_id)
            self.look_again(task_id)

    @rule(kind=st.integers(0, 1), fee=st.sampled_from([-1, 0, 1, 2, 500, 501]))
    def set_fee(self, kind: int, fee: int) -> None:
        known, self.fees[kind] = self.fees.get(kind, 0), max(fee, 0)
        moved = [] if known == max(fee, 0) else [
            one for one, row in self.rows.items() if row.shape >> 32 == kind and self.look_again(one)
        ]  # fmt: skip
        assert self.table.set_fee(kind, fee) == len(moved)

    @rule(runs=st.lists(st.tuples(IDS, st.booleans(), SECONDS, st.integers(0, 3)), max_size=4))
    def advance(self, runs: list[tuple[int, bool, int, int]]) -> None:
        items, moved = [], 0
        for task_id, known, last_run_s, ahead in runs:
            row = self.rows.get(task_id)
            # An execution of another window than the row's is of no interest any more.
            window = row.last_run_s if row is not None and known else 2**64 - 3
            items.append((task_id, window, last_run_s, self.ledger + ahead))
            if row is not None and row.last_run_s == window:
                ledger = max(row.snapshot_ledger, self.ledger + ahead)
                self.rows[task_id] = replace(row, last_run_s=last_run_s, snapshot_ledger=ledger)
                self.place(task_id)
                moved += 1
        assert self.table.advance(items) == moved

    @rule(until_s=SECONDS, limit=st.integers(0, 6))
    def pop_due(self, until_s: int, limit: int) -> None:
        due = sorted(
            (at_s, one) for one, (_, at_s) in self.states.items() if at_s is not None and at_s <= until_s
        )
        popped = pop(self.table, until_s, limit)
        assert len(popped) == min(limit, len(due))
        # Which of several equal seconds comes first is the table's choice; the seconds are not.
        assert [self.states[row.id][1] for row in popped] == [at_s for at_s, _ in due[: len(popped)]]
        for row in popped:
            assert row == replace(self.rows[row.id], reason=REASONS[self.reasons[row.id]])
            self.states[row.id], self.reasons[row.id] = ("held", None), "in_flight"

    @precondition(lambda self: self.rows)
    @rule()
    def restore(self) -> None:
        restored = _core.TaskTable.restore(self.table.snapshot())
        assert len(restored) == len(self.rows)
        for task_id, row in self.rows.items():
            expected = ("indexed", row.due_s) if row.obstacle() is None else ("parked", None)
            assert restored.state(task_id) == expected

    @invariant()
    def agrees(self) -> None:
        assert len(self.table) == len(self.rows)
        assert self.table.next_due() == min(
            (at for _, at in self.states.values() if at is not None), default=None
        )
        blocked = {one for one, reason in self.reasons.items() if reason == "blocked"}
        assert {one for (one,) in struct.iter_unpack("<Q", self.table.blocked())} == blocked
        counts: dict[int, int] = {}
        for task_id, row in self.rows.items():
            code = REASONS[self.reasons[task_id]]
            counts[code] = counts.get(code, 0) + 1
            assert self.table.state(task_id) == self.states[task_id]
            assert stored(self.table, task_id) == replace(row, reason=code)
        assert self.table.reason_counts() == counts
        data = self.table.rows()
        assert {data[at : at + 56] for at in range(0, len(data), 56)} == {
            stored(self.table, one).pack() for one in self.rows
        }


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=200, stateful_step_count=40)


def test_a_table_takes_only_its_own_shard() -> None:
    rows = b"".join(Row(id=one).pack() for one in range(1, 1001))
    tables = [_core.TaskTable() for _ in range(16)]
    applied = [table.apply(rows, shard, 16) for shard, table in enumerate(tables)]
    assert sum(applied) == 1000
    for shard, table in enumerate(tables):
        held = [one for one in range(1, 1001) if table.get(one) is not None]
        assert held == [one for one in range(1, 1001) if _core.shard_of(one, 16) == shard]
        assert struct.pack(f"<{len(held)}Q", *held) == _core.shard_ids(1000, shard, 16)


def test_late_arrivals_keep_the_order_of_seconds() -> None:
    table = _core.TaskTable()
    apply(table, *(Row(id=one, last_run_s=5000 + one) for one in range(10)))
    assert len(pop(table, 5063, 4)) == 4
    apply(table, *(Row(id=100 + one, last_run_s=100 - one) for one in range(5)))
    assert [row.id for row in pop(table, 5070)] == [104, 103, 102, 101, 100, 4, 5, 6, 7, 8, 9]


def test_ten_thousand_random_moves_keep_the_order() -> None:
    chance = random.Random(5)
    table = _core.TaskTable()
    apply(table, *(Row(id=one, last_run_s=1_760_000_000 + chance.randrange(4000)) for one in range(10_000)))
    for _ in range(10_000):
        table.schedule(
            chance.randrange(10_000), 1_760_000_000 + chance.randrange(5000), REASONS["backing_off"]
        )
    seconds = [table.state(one) for one in range(10_000)]
    expected = sorted(state[1] for state in seconds if state is not None and state[1] is not None)
    order = pop(table, 2**63, 20_000)
    places = {one: state[1] for one, state in enumerate(seconds) if state is not None}
    assert [places[row.id] for row in order] == expected
    assert table.next_due() is None


def test_a_reread_does_not_end_a_back_off() -> None:
    table = _core.TaskTable()
    row = Row(id=1)
    apply(table, row)
    (popped,) = pop(table, row.due_s)
    assert popped.reason == REASONS["not_due"]
    assert table.schedule(1, row.due_s + 500, REASONS["backing_off"])
    apply(table, replace(row, snapshot_ledger=2, gas=99))
    assert table.state(1) == ("indexed", row.due_s + 500)
    apply(table, replace(row, snapshot_ledger=3, last_run_s=row.due_s))
    assert table.state(1) == ("indexed", row.due_s + 60)


def test_memory_stays_below_96_bytes_a_row() -> None:
    table = _core.TaskTable()
    table.apply(b"".join(Row(id=one).pack() for one in range(60_000)), 0, 1)
    assert table.memory_bytes() <= 96 * 60_000


def test_arguments_are_checked() -> None:
    table = _core.TaskTable()
    with pytest.raises(ValueError, match="rows has 55 bytes, not a multiple of 56"):
        table.apply(bytes(55), 0, 1)
    with pytest.raises(ValueError, match="shard 1 of 1 does not exist"):
        table.apply(b"", 1, 1)
    with pytest.raises(ValueError, match="999 is no reason code"):
        table.park(1, 999)
    with pytest.raises(OverflowError):
        table.pop_due(-1, 5)
    with pytest.raises(ValueError, match="no shards"):
        _core.shard_of(1, 0)


def test_a_snapshot_of_another_kind_is_refused() -> None:
    table = _core.TaskTable()
    apply(table, Row(id=1), Row(id=2))
    good = table.snapshot()
    version = good[:4] + b"\x02\x00" + good[6:]
    cases = {
        b"": "not a snapshot",
        b"x" * 200: "not a snapshot",
        version: "version 2",
        good[:-1]: "bytes where its header says 112",
        good + b"x": "bytes where its header says 112",
        good[:-1] + b"\xff": "checksum",
    }
    for data, says in cases.items():
        with pytest.raises(SnapshotError, match=says):
            _core.TaskTable.restore(data)
