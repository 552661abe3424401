"""Loads a shard that this worker has just been granted: what its last owner left in Redis, and what the
chain says since.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sorofast import _core
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry, ledger_of
from sorofast.engine.context import WorkerContext
from sorofast.errors import SnapshotError, WrongContract

__all__ = ["confirm_channels", "load_table"]

IDS_PER_CALL = 200
PARALLEL_READS_MAX = 8


async def load_table(
    context: WorkerContext, state: ShardState, shard: int, at: LedgerEntry
) -> tuple[_core.TaskTable, int]:
    """The shard's task table, and the ledger after which stream entries must still be applied to it.

    From the snapshot where there is one whose ledger the stream still reaches back to; else from the chain,
    read no older than the stream entry `at`.
    """
    if state.snapshot is not None and state.snapshot_stream_id is not None:
        since = ledger_of(state.snapshot_stream_id)
        following = await context.fleet.read_ledgers(state.snapshot_stream_id, 0, 1)
        if following[0][1].previous == since if following else since == at.ledger:
            try:
                return _core.TaskTable.restore(state.snapshot), since
            except SnapshotError as error:
                context.log.warning("snapshot_unusable", shard=shard, error=str(error))
    return await _read_registry(context, shard, at.ledger), at.ledger


async def _read_registry(context: WorkerContext, shard: int, ledger: int) -> _core.TaskTable:
    """Every task of the shard, by 200-key reads of the ids that were ever given out."""
    head = await context.rpc.registry(context.contract, context.signer.keeper, ledger_min=ledger)
    if not head.instance:
        raise WrongContract(f"{context.config.contract.id} is not on this network; check contract.id")
    table = _core.TaskTable()
    ids = _core.shard_ids(head.counter or 0, shard, context.shards)
    slots = asyncio.Semaphore(PARALLEL_READS_MAX)

    async def read(part: bytes) -> None:
        async with slots:
            batch = await context.rpc.entries(
                context.contract, context.signer.keeper, part, b"", ledger_min=ledger
            )
        table.apply(batch.rows, shard, context.shards)
        for task_id, offset, reason in batch.problems:
            context.log.warning("task_undecodable", task=task_id, offset=offset, reason=reason)

    step = IDS_PER_CALL * 8
    await asyncio.gather(*(read(ids[start : start + step]) for start in range(0, len(ids), step)))
    return table


async def confirm_channels(
    context: WorkerContext, term: Term, state: ShardState, shard: int, ledger: int
) -> ShardState:
    """Reads the sequences of the shard's idle channels from the chain, no older than `ledger`, and records
    them.

    A channel in flight keeps the sequence its envelope was claimed on; only settling moves it.
    """
    busy = {record.channel for record in state.wal}
    idle = [channel for channel in context.channels_of(shard) if channel not in busy]
    confirmed = dict(state.confirmed)
    found: dict[int, int] = {}
    for start in range(0, len(idle), IDS_PER_CALL):
        part = idle[start : start + IDS_PER_CALL]
        keys = context.channel_keys(part)
        batch = await context.rpc.entries(
            context.contract, context.signer.keeper, b"", keys, ledger_min=ledger
        )
        by_key = {key: sequence for key, _, sequence, _, _ in batch.accounts}
        for position, channel in enumerate(part):
            sequence = by_key.get(keys[32 * position : 32 * position + 32])
            if sequence is not None:
                found[channel] = sequence
    changed = {channel: sequence for channel, sequence in found.items() if confirmed.get(channel) != sequence}
    version = state.version
    if changed:
        version = await context.store.set_confirmed(term, version, changed)
    kept = {channel: sequence for channel, sequence in confirmed.items() if channel in busy}
    return replace(state, version=version, confirmed={**kept, **found})
