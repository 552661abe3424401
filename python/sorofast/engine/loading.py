"""Loads a shard that this worker has just been granted: what its last owner left in Redis, and what the
chain says since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sorofast.chain.rpc import KEYS_PER_CALL_MAX
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.shard import ShardRunner
from sorofast.errors import RpcUnreachable

__all__ = ["load_shard"]

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
    # Whoever had the shard before may just have died of one of its subjects.
    await context.suspects.refresh()
    state = await context.store.load(term)
    if state.unbound:
        state = replace(state, version=await context.store.bind(term, state.version, state.unbound))
    loaded = [await load(context, shard, state, at) for load in context.sources]
    since = min(ledger for _, ledger in loaded)
    state = await _confirm_channels(context, term, state, shard, at.ledger)
    await _recall_successes(context, state, since)
    runner = ShardRunner(context, shard, term, state, [source for source, _ in loaded])
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


async def _confirm_channels(
    context: WorkerContext, term: Term, state: ShardState, shard: int, ledger: int
) -> ShardState:
    """Reads the sequences of the shard's idle channels from the chain, no older than `ledger`, and records
    them.

    A channel in flight keeps the sequence its envelope was claimed on; only settling moves it.
    """
    busy = {record.channel for record in state.wal} | state.blocked.keys()
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
