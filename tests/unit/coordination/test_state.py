"""What a shard's new owner makes of what is stored: snapshots of one source and of several."""

from __future__ import annotations

import pytest

from sorofast import _core
from sorofast.coordination.state import ShardState, pack_snapshots
from sorofast.errors import SnapshotError
from sorofast.executions.key import TASKS


def state(snapshot: bytes | None) -> ShardState:
    return ShardState(1, [], {}, [], [], snapshot, "100-0")


def test_a_snapshot_of_the_tasks_alone_is_as_it_always_was() -> None:
    table = _core.TaskTable().snapshot()
    assert pack_snapshots({TASKS: table}) == table
    assert state(table).snapshot_of(TASKS) == table
    assert state(table).snapshot_of("metronome") is None
    assert state(None).snapshot_of(TASKS) is None


def test_each_source_finds_its_own_among_several() -> None:
    table = _core.TaskTable().snapshot()
    packed = pack_snapshots({TASKS: table, "metronome": b"\xff at 7"})
    assert state(packed).snapshot_of(TASKS) == table
    assert state(packed).snapshot_of("metronome") == b"\xff at 7"
    assert state(packed).snapshot_of("another") is None


def test_an_older_member_takes_one_of_several_for_none() -> None:
    packed = pack_snapshots({TASKS: _core.TaskTable().snapshot(), "metronome": b"at 7"})
    with pytest.raises(SnapshotError):
        _core.TaskTable.restore(packed)


@pytest.mark.parametrize("cut", [5, 20])
def test_one_that_is_cut_short_is_told(cut: int) -> None:
    packed = pack_snapshots({TASKS: _core.TaskTable().snapshot(), "metronome": b"at 7"})
    with pytest.raises(SnapshotError, match="do not read"):
        state(packed[:cut]).snapshot_of(TASKS)
