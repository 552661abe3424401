"""Which tasks are read again, how often, and when one counts as gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sorofast.errors import RpcUnreachable
from sorofast.registry.row import Flag, Row, ids_of, pack_ids, rows_of
from sorofast.triggers.rereading import ABSENT_TIMES, DOUBT_EVERY_LEDGERS, Rereading


class Node:
    """Answers with rows of all tasks it `shows`, and notes what it was asked."""

    def __init__(self, *shows: int) -> None:
        self.shows = set(shows)
        self.asked: list[list[int]] = []
        self.silent_about: int | None = None

    async def read(self, task_ids: bytes, ledger_min: int) -> Any:
        self.asked.append(ids_of(task_ids))
        if self.silent_about in self.asked[-1]:
            raise RpcUnreachable("no answer")
        flags = Flag.ACTIVE | Flag.KEEPER_ALLOWED
        rows = [
            Row(one, 60, 1_000, 9, 1, 9_999, 1, ledger_min, flags, 0)
            for one in ids_of(task_ids)
            if one in self.shows
        ]
        return SimpleNamespace(rows=b"".join(row.pack() for row in rows), problems=[])


async def test_every_id_is_read_in_turn_by_one_shard_a_ledger() -> None:
    node = Node(*range(500))

    async def ids(ledger: int) -> bytes:
        return pack_ids(range(450))

    rereading = Rereading(2, 4, node.read, ids)
    for ledger in range(100, 116):
        await rereading.look(ledger, lambda _: True)
    assert [len(asked) for asked in node.asked] == [200, 200, 50, 200]
    assert sorted(one for asked in node.asked[:3] for one in asked) == list(range(450))


async def test_what_a_simulation_doubts_is_read_again_and_not_too_often() -> None:
    node = Node(7)
    rereading = Rereading(0, 1, node.read, None)
    await rereading.look(100, lambda _: True)
    assert not node.asked
    for ledger in range(101, 101 + 2 * DOUBT_EVERY_LEDGERS):
        rereading.doubt(7)
        await rereading.look(ledger, lambda _: True)
    assert node.asked == [[7], [7]]


async def test_a_task_is_gone_only_once_three_answers_in_a_row_left_it_out() -> None:
    node = Node()
    rereading = Rereading(0, 1, node.read, None)
    rereading.doubt(7)
    for _ in range(ABSENT_TIMES - 1):
        assert (await rereading.look(100, lambda _: True))[1] == []
    node.shows = {7}
    assert (await rereading.look(103, lambda _: True))[1] == []
    node.shows = set()
    rereading.doubt(8)
    gone = [(await rereading.look(ledger, lambda _: True))[1] for ledger in range(104, 104 + ABSENT_TIMES)]
    assert gone == [[], [], [8]]


async def test_a_task_that_may_be_left_out_is_never_taken_for_gone() -> None:
    node = Node()
    rereading = Rereading(0, 1, node.read, None)
    for ledger in range(100, 200):
        rereading.doubt(7)
        assert (await rereading.look(ledger, lambda _: False))[1] == []


async def test_what_one_answer_brought_is_not_lost_when_the_next_one_does_not_come() -> None:
    node = Node(7)

    async def ids(ledger: int) -> bytes:
        return pack_ids([3])

    rereading = Rereading(0, 1, node.read, ids)
    rereading.doubt(7)
    rereading.doubt(8)
    node.silent_about = 3
    for ledger in range(100, 100 + ABSENT_TIMES + 1):
        with pytest.raises(RpcUnreachable):
            await rereading.look(ledger, lambda _: True)
    node.silent_about = None
    node.shows |= {3}
    rows, gone = await rereading.look(104, lambda _: True)
    assert [row.task_id for part in rows for row in rows_of(part)] == [7, 3]
    assert gone == []
