"""Loads a shard that this worker has just been granted: what its last owner left in Redis, and what the
chain says since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from sorofast import _core
from sorofast.chain.rpc import KEYS_PER_CALL_MAX
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry, ledger_of, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.shard import ShardRunner
from sorofast.errors import RpcUnreachable, SnapshotError, WrongContract
from sorofast.registry.layout import execute_call
from sorofast.triggers.tasks import TaskSource

__all__ = ["load_shard"]

PARALLEL_READS_MAX = 8
STREAM_COUNT = 256


async def load_shard(
    context: WorkerContext, shard: int, term: Term, position: Callable[[], LedgerEntry | None]
) -> ShardRunner:
    """The shard, as of an entry of the ledger stream: `ShardRunner.catch_up` takes it from there.

    Raises LeaseLost, ShardRegressed, or what the network and Redis may raise; nothing has been claimed then.
    """
    at = position()
    if at is None:
        raise RpcUnreachable("no ledger has been seen yet")
    state = await context.store.load(term)
    table, since = await _load_table(context, state, shard, at)
    state = await _confirm_channels(context, term, state, shard, at.ledger)
    await _recall_successes(context, state, since)
    call = execute_call(context.contract, context.signer.keeper)
    runner = ShardRunner(context, shard, term, state, [TaskSource(table, call, shard, context.shards)])
    runner.taken_ledger = since
    return runner


async def _recall_successes(context: WorkerContext, state: ShardState, since: int) -> None:
    """Reads the successes of the ledgers in which the last owner's envelopes may have landed unseen by us."""
    if not state.wal:
        return
    after = min(record.claimed_ledger for record in state.wal) - 1
    while after < since:
        entries = await context.fleet.read_ledgers(stream_id(max(0, after)), 0, STREAM_COUNT)
        for _, entry in entries:
            context.remember(entry)
        if not entries or entries[-1][1].ledger <= after:
            return
        after = entries[-1][1].ledger


async def _load_table(
    context: WorkerContext, state: ShardState, shard: int, at: LedgerEntry
) -> tuple[_core.TaskTable, int]:
    """The shard's task table, and the ledger after which stream entries must still be applied to it.

    From the snapshot where there is one whose ledger the stream still reaches back to; else from the chain,
    read no older than the stream entry `at`.
    """
    if state.snapshot is not None and state.snapshot_stream_id is not None:
        since = ledger_of(state.snapshot_stream_id)
        following = await context.fleet.read_ledgers(state.snapshot_stream_id, 0, 1)
        whole = following[0][1].previous == since if following else since >= at.ledger
        if whole and not await _resynced_since(context, since):
            try:
                return _core.TaskTable.restore(state.snapshot), since
            except SnapshotError as error:
                context.log.warning("snapshot_unusable", shard=shard, error=str(error))
    return await _read_registry(context, shard, at.ledger), at.ledger


async def _resynced_since(context: WorkerContext, since: int) -> bool:
    """Whether the follower lost sight of the chain after that ledger, so that a table of then misses
    something.
    """
    after = since
    while True:
        entries = await context.fleet.read_ledgers(stream_id(after), 0, STREAM_COUNT)
        if any(entry.resync for _, entry in entries):
            return True
        if len(entries) < STREAM_COUNT:
            return False
        after = entries[-1][1].ledger


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

    step = KEYS_PER_CALL_MAX * 8
    await asyncio.gather(*(read(ids[start : start + step]) for start in range(0, len(ids), step)))
    return table


async def _confirm_channels(
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
    for start in range(0, len(idle), KEYS_PER_CALL_MAX):
        part = idle[start : start + KEYS_PER_CALL_MAX]
        keys = context.channel_keys(part)
        batch = await context.rpc.entries(
            context.contract, context.signer.keeper, b"", keys, ledger_min=ledger
        )
        by_key = {key: sequence for key, _, sequence, _, _ in batch.accounts}
        for position, channel in enumerate(part):
            sequence = by_key.get(keys[32 * position : 32 * position + 32])
            if sequence is not None:
                # A node that lags may answer with less than Redis has from another one; a sequence never falls.
                found[channel] = max(sequence, confirmed.get(channel, 0))
    changed = {channel: sequence for channel, sequence in found.items() if confirmed.get(channel) != sequence}
    version = state.version
    if changed:
        version = await context.store.set_confirmed(term, version, changed)
    kept = {channel: sequence for channel, sequence in confirmed.items() if channel in busy}
    return replace(state, version=version, confirmed={**kept, **found})
