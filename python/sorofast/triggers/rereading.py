"""Compares a shard's tasks with the chain, for what no event told: a node may not deliver one, and what it tells would
be missed for ever.

Every task is read again in its turn. In each ledger one shard of the fleet reads a part of its own, so that this costs
one call a ledger whatever the number of tasks and of workers; a registry of N ids has been read after about N / 200
ledgers, and after as many ledgers as there are shards at least. And a task of which a simulation does not say what its
row says is read again soon. One with an envelope on its way needs neither: the follower reads it with every ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from sorofast.registry.row import ids_of, pack_ids, rows_of
from sorofast.triggers.dependencies import KEYS_PER_READ, ReadTasks

__all__ = ["ABSENT_TIMES", "DOUBT_EVERY_LEDGERS", "Rereading"]

DOUBT_EVERY_LEDGERS = 16
"""A task that is doubted again and again is read once in so many ledgers."""
ABSENT_TIMES = 3
"""What one answer leaves out may be there all the same: so many in a row must."""

ListIds = Callable[[int], Awaitable[bytes]]
"""The packed ids of the shard's tasks that were ever given out, as of a ledger. Raises what the network may raise."""


class Rereading:
    """For the tasks of `shard`, out of `shards`."""

    def __init__(self, shard: int, shards: int, read: ReadTasks, list_ids: ListIds | None) -> None:
        """Without `list_ids` there is no sweep."""
        self._shard = shard
        self._shards = shards
        self._read = read
        self._list_ids = list_ids
        self._ids = b""
        self._at = 0
        self._ledger = 0
        self._doubted: dict[int, None] = {}
        self._read_at: dict[int, int] = {}
        self._absent: dict[int, int] = {}

    def doubt(self, task_id: int) -> None:
        """The chain may not agree with its row: it is to be read again soon, unless it just was."""
        if self._ledger - self._read_at.get(task_id, -DOUBT_EVERY_LEDGERS) >= DOUBT_EVERY_LEDGERS:
            self._doubted[task_id] = None

    def forget(self, task_ids: Iterable[int]) -> None:
        """Those tasks are gone."""
        for task_id in task_ids:
            self._doubted.pop(task_id, None)
            self._read_at.pop(task_id, None)
            self._absent.pop(task_id, None)

    async def look(self, ledger: int, known: Callable[[int], bool]) -> tuple[list[bytes], list[int]]:
        """What is read in this ledger: packed rows, and the ids of tasks that are gone, of those that are `known` and
        expected to be there. Three calls at most.
        """
        self._ledger = ledger
        wanted = [*self._absent, *self._doubted][:KEYS_PER_READ]
        parts = [pack_ids(wanted)] if wanted else []
        if self._list_ids is not None and ledger % self._shards == self._shard:
            if self._at >= len(self._ids):
                self._ids, self._at = await self._list_ids(ledger), 0
            part = self._ids[self._at : self._at + 8 * KEYS_PER_READ]
            if part:
                parts.append(part)
        # Nothing is noted before all is there: what one call has brought would be lost if the next one failed.
        batches = [await self._read(part, ledger) for part in parts]
        rows: list[bytes] = []
        gone: list[int] = []
        for at, (part, batch) in enumerate(zip(parts, batches, strict=True)):
            rows.append(batch.rows)
            told = {row.task_id for row in rows_of(batch.rows)} | {
                task_id for task_id, _, _ in batch.problems
            }
            gone += self._note(ids_of(part), told, known)
            if at > 0 or not wanted:
                self._at += len(part)
        return rows, gone

    def _note(self, asked: Iterable[int], told: set[int | None], known: Callable[[int], bool]) -> list[int]:
        gone: list[int] = []
        for task_id in asked:
            if task_id in self._doubted:
                del self._doubted[task_id]
                self._read_at[task_id] = self._ledger
            if task_id in told or not known(task_id):
                self._absent.pop(task_id, None)
                continue
            times = self._absent.pop(task_id, 0) + 1
            if times < ABSENT_TIMES:
                self._absent[task_id] = times
            else:
                gone.append(task_id)
        return gone
