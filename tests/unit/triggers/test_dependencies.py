"""Which tasks are blocked by others, as ledgers tell that those ran or were cancelled."""

from __future__ import annotations

from helpers import entries as make
from sorofast import _core
from sorofast.coordination.streams import LedgerEntry
from sorofast.registry.row import ids_of
from sorofast.triggers.dependencies import Dependencies

WAITING, LAST_RUN_S, INTERVAL_S = 9, 1_000, 60
HAS_RUN = make.Task(last_run=LAST_RUN_S, interval=INTERVAL_S)


class Chain:
    """Tasks on the chain, read as a node's answers are read."""

    def __init__(self) -> None:
        self.tasks = {1: HAS_RUN, 2: HAS_RUN, WAITING: HAS_RUN.but(blocked_by=[1, 2])}
        self.reads: list[list[int]] = []

    def batch(self, *task_ids: int, ledger: int) -> _core.EntriesBatch:
        found = [make.task_entry(one, self.tasks[one]) for one in task_ids if one in self.tasks]
        return _core.decode_entries(make.entries_body(found, ledger), make.CONTRACT_RAW, make.KEEPER_RAW)

    async def read(self, task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
        self.reads.append(ids_of(task_ids))
        return self.batch(*self.reads[-1], ledger=ledger_min)


class Shard:
    """A table with one task that waits for two others, which have run."""

    def __init__(self) -> None:
        self.chain, self.table, self.ledger = Chain(), _core.TaskTable(), 100
        self.dependencies = Dependencies(self.table, self.chain.read)
        self.table.apply(self.chain.batch(WAITING, ledger=self.ledger).rows, 0, 1)

    @property
    def blocked(self) -> bool:
        return ids_of(self.table.blocked()) == [WAITING]

    async def look(self) -> None:
        await self.dependencies.look(self.ledger)

    def close(self, *changed: int, removed: tuple[int, ...] = ()) -> None:
        """One more ledger, in which these tasks changed or went."""
        self.ledger += 1
        rows = self.chain.batch(*changed, ledger=self.ledger).rows
        entry = LedgerEntry(
            generation="g", epoch=1, ledger=self.ledger, previous=self.ledger - 1, events_through=self.ledger,
            close_time_s=2_000, rows=rows, snapshot_ledger=self.ledger, channels=[], successes=[],
            removed=list(removed), node="n",
        )  # fmt: skip
        if WAITING in changed:
            self.table.apply(rows, 0, 1)
        self.dependencies.ingest(entry)


async def unblocked() -> Shard:
    shard = Shard()
    assert shard.blocked
    await shard.look()
    assert not shard.blocked
    assert shard.table.next_due() == LAST_RUN_S + INTERVAL_S
    return shard


async def test_a_task_is_blocked_again_by_the_ledger_that_cancels_what_it_waited_for() -> None:
    shard = await unblocked()
    shard.close(removed=(2,))
    assert shard.blocked
    assert shard.table.next_due() is None
    shard.close(1)
    assert shard.blocked, "the other one's run changes nothing"


async def test_it_runs_again_once_it_does_not_wait_for_the_cancelled_one_any_more() -> None:
    shard = await unblocked()
    shard.close(removed=(2,))
    shard.chain.tasks[WAITING] = HAS_RUN.but(blocked_by=[1])
    shard.close(WAITING)
    assert shard.blocked
    await shard.look()
    assert not shard.blocked


async def test_what_was_only_left_out_of_answers_for_a_while_blocks_no_longer_than_that() -> None:
    shard = await unblocked()
    shard.close(removed=(1,))
    assert shard.blocked
    shard.close(1)
    assert not shard.blocked


async def test_dependencies_that_went_and_came_back_are_read_again() -> None:
    shard = await unblocked()
    before = shard.chain.tasks[WAITING]
    shard.chain.tasks[WAITING] = HAS_RUN
    shard.close(WAITING)
    assert not shard.blocked
    shard.chain.tasks[WAITING] = before
    shard.close(WAITING)
    assert shard.blocked
    await shard.look()
    assert not shard.blocked


async def test_what_is_known_is_not_read_again() -> None:
    shard = await unblocked()
    shard.close(removed=(2,))
    reads = len(shard.chain.reads)
    await shard.look()
    assert len(shard.chain.reads) == reads
    assert len(shard.dependencies) == 1
