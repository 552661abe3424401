"""Loads a shard's registry tasks: from what its last owner left in Redis, or from the chain."""

from __future__ import annotations

import asyncio
from functools import partial

from sorofast import _core
from sorofast.chain.rpc import KEYS_PER_CALL_MAX
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry, ledger_of, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.reading import read_entries
from sorofast.errors import SnapshotError, WrongContract
from sorofast.executions.key import TASKS
from sorofast.registry.layout import execute_call
from sorofast.registry.row import ids_of, pack_ids, rows_of
from sorofast.triggers.tasks import TaskSource

__all__ = ["load_tasks"]

PARALLEL_READS_MAX = 8
STREAM_COUNT = 256
# How often what was not among an answer is asked for once more.
ABSENT_READS = 1


async def load_tasks(
    context: WorkerContext, shard: int, state: ShardState, at: LedgerEntry
) -> tuple[TaskSource, int]:
    """The shard's tasks, and the ledger they are of. Satisfies `SourceLoader`."""
    table, since = await _load_table(context, shard, state, at)
    call = execute_call(context.contract, context.signer.keeper)

    async def read(task_ids: bytes, ledger_min: int) -> _core.EntriesBatch:
        return await read_entries(context, ids_of(task_ids), b"", ledger_min)

    async def list_ids(ledger_min: int) -> bytes:
        head = await context.rpc.registry(context.contract, context.signer.keeper, ledger_min=ledger_min)
        return b"" if head.counter is None else _core.shard_ids(head.counter, shard, context.shards)

    source = TaskSource(
        table,
        call,
        shard,
        context.shards,
        read=read,
        list_ids=list_ids,
        ledger=since,
        fee_of=context.templates.fee,
        suspects=context.suspects,
        skipped=partial(context.skips.note, shard),
    )
    return source, since


async def _load_table(
    context: WorkerContext, shard: int, state: ShardState, at: LedgerEntry
) -> tuple[_core.TaskTable, int]:
    """The shard's task table, and the ledger after which stream entries must still be applied to it.

    From the snapshot where there is one whose ledger the stream still reaches back to; else from the chain,
    read no older than the stream entry `at`.
    """
    if state.snapshot_stream_id is not None:
        since = ledger_of(state.snapshot_stream_id)
        following = await context.fleet.read_ledgers(state.snapshot_stream_id, 0, 1)
        if following:
            whole = following[0][1].previous == since
        else:
            # It must be of the newest entry there is: one as if from the future would never take in another.
            newest = await context.fleet.last_ledgers(1)
            whole = bool(newest) and since in (newest[0][1].ledger, newest[0][1].previous)
        if whole and not await _broken_since(context, since):
            try:
                snapshot = state.snapshot_of(TASKS)
                if snapshot is not None:
                    return _core.TaskTable.restore(snapshot), since
            except SnapshotError as error:
                context.log.warning("snapshot_unusable", shard=shard, error=str(error))
    return await _read_registry(context, shard, at.ledger), at.ledger


async def _broken_since(context: WorkerContext, since: int) -> bool:
    """Whether the follower lost sight of the chain after that ledger, or the stream has lost an entry since, so that a
    table of then misses something.
    """
    after = since
    while True:
        entries = await context.fleet.read_ledgers(stream_id(after), 0, STREAM_COUNT)
        for _, entry in entries:
            if entry.resync or entry.previous != after:
                return True
            after = entry.ledger
        if len(entries) < STREAM_COUNT:
            return False


async def _read_registry(context: WorkerContext, shard: int, ledger: int) -> _core.TaskTable:
    """Every task of the shard, by 200-key reads of the ids that were ever given out."""
    count = await _read_counter(context, ledger)
    table = _core.TaskTable()
    slots = asyncio.Semaphore(PARALLEL_READS_MAX)

    async def read(part: bytes) -> list[int]:
        """The ids of the part that were not among the answer."""
        async with slots:
            batch = await read_entries(context, ids_of(part), b"", ledger)
        table.apply(batch.rows, shard, context.shards)
        for task_id, offset, reason in batch.problems:
            context.log.warning("task_undecodable", task=task_id, offset=offset, reason=reason)
        told = {row.task_id for row in rows_of(batch.rows)} | {task_id for task_id, _, _ in batch.problems}
        return [task_id for task_id in ids_of(part) if task_id not in told]

    async def read_all(ids: bytes) -> list[int]:
        step = KEYS_PER_CALL_MAX * 8
        parts = await asyncio.gather(*(read(ids[start : start + step]) for start in range(0, len(ids), step)))
        return [task_id for part in parts for task_id in part]

    # Most that are not there were cancelled. But what one answer left out nobody would ever look for again.
    absent = await read_all(_core.shard_ids(count, shard, context.shards))
    for _ in range(ABSENT_READS):
        absent = await read_all(pack_ids(absent))
    return table


async def _read_counter(context: WorkerContext, ledger: int) -> int:
    """How many ids the registry has given out. One that has no counter has given out none, and says so repeatedly."""
    there = False
    for _ in range(1 + ABSENT_READS):
        head = await context.rpc.registry(context.contract, context.signer.keeper, ledger_min=ledger)
        there = there or bool(head.instance)
        if head.instance and head.counter is not None:
            return head.counter
    if not there:
        raise WrongContract(f"{context.config.contract.id} is not on this network; check contract.id")
    return 0
