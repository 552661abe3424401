"""The one leased role of a fleet that reads the chain: once per ledger, only what may have changed.

For each new ledger it asks for the registry's events since its cursor, then for the entries of every task
the events name and of every task and channel in flight, and publishes all of it as one entry of the ledger
stream. That is a constant number of reads per ledger and one more for every 200 changes, whatever the size
of the registry or of the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sorofast import _core
from sorofast.chain.models import Health
from sorofast.coordination.leases import Term
from sorofast.coordination.streams import LEDGER_SCHEMA, LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.errors import DecodeError, LeaseLost, RedisUnreachable, RpcError, RpcUnreachable
from sorofast.registry.row import pack_ids, rows_of

__all__ = ["Follower"]

# A close is looked for shortly before it can be seen, then at this share of the target, between these bounds.
POLL_SHARE = 0.04
POLL_MIN_S = 0.02
POLL_MAX_S = 0.25
EARLY_SHARE = 0.02
ERROR_PAUSE_S = 0.25
KEYS_PER_CALL_MAX = 200


class Follower:
    """Follows the chain while its term lasts. `run` ends with LeaseLost, or when `stop` is set."""

    def __init__(self, context: WorkerContext, term: Term) -> None:
        self.term = term
        self._context = context
        self._cursor: str | None = None
        self._previous = 0
        self._seen_at = 0.0
        channels = context.signer.channels
        self._channel_of = {channels[32 * i : 32 * i + 32]: i for i in range(len(channels) // 32)}

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes ledger after ledger. What the network does wrong is waited out; only the lease ends it."""
        self._previous, self._cursor = await self._context.fleet.follower_state()
        while not stop.is_set():
            try:
                health = await self._next_ledger(stop)
                if health is None:
                    return
                await self._publish(health)
            except (RpcUnreachable, RpcError, DecodeError, RedisUnreachable) as error:
                self._context.tally.errors += 1
                self._context.log.warning("follow_failed", after_ledger=self._previous, error=str(error))
                await asyncio.sleep(ERROR_PAUSE_S)

    async def _next_ledger(self, stop: asyncio.Event) -> Health | None:
        """Waits until a node shows a ledger after the last published one."""
        target_s = self._context.ledgers.target_s
        monotonic = self._context.clock.monotonic
        early_s = self._seen_at + target_s * (1 - EARLY_SHARE) - monotonic()
        if early_s > 0:
            await asyncio.sleep(min(early_s, target_s))
        while not stop.is_set():
            if monotonic() >= self.term.trusted_until:
                raise LeaseLost("the follower's lease could not be renewed in time")
            health = await self._context.rpc.get_health()
            if health.latest_ledger > self._previous:
                self._seen_at = monotonic()
                return health
            await asyncio.sleep(min(POLL_MAX_S, max(POLL_MIN_S, target_s * POLL_SHARE)))
        return None

    async def _publish(self, health: Health) -> None:
        context = self._context
        ledger = health.latest_ledger
        # Events first: a channel that moved in ledger L is judged only once events are complete through L.
        events, cursor, through = await context.rpc.events(
            context.contract, start_ledger=ledger, cursor=self._cursor, ledger_min=ledger
        )
        watched = await context.fleet.inflight()
        tasks = {event[2] for event in events} | {task_id for task_id, _ in watched.values()}
        entry = LedgerEntry(
            schema=LEDGER_SCHEMA,
            generation=context.generation,
            epoch=self.term.epoch,
            ledger=ledger,
            previous=self._previous,
            events_through=through,
            close_time_s=health.close_time_s,
            rows=b"",
            snapshot_ledger=ledger,
            channels=[],
            successes=[
                (task_id, tx_hash, keeper or b"", at)
                for at, kind, task_id, tx_hash, keeper, _ in events
                if kind == "KeeperPaid"
            ],
            removed=[],
            node=context.rpc.url,
        )
        await self._read_into(entry, sorted(tasks), sorted(watched), ledger)
        await context.fleet.append_ledger(self.term, entry, cursor)
        self._previous, self._cursor = ledger, cursor

    async def _read_into(
        self, entry: LedgerEntry, tasks: list[int], channels: list[int], ledger: int
    ) -> None:
        """Reads the entries in calls of 200 keys, each no older than `ledger`."""
        context = self._context
        keys: list[tuple[int | None, int | None]] = [(None, channel) for channel in channels]
        keys.extend((task_id, None) for task_id in tasks)
        reads = []
        for start in range(0, len(keys), KEYS_PER_CALL_MAX):
            part = keys[start : start + KEYS_PER_CALL_MAX]
            ids = [task_id for task_id, _ in part if task_id is not None]
            accounts = [channel for _, channel in part if channel is not None]
            reads.append(self._read(ids, accounts, ledger))
        found: set[int] = set()
        for batch, _ in await asyncio.gather(*reads):
            entry.rows += batch.rows
            entry.snapshot_ledger = (
                batch.latest_ledger if not found else min(entry.snapshot_ledger, batch.latest_ledger)
            )
            for key, _, sequence, sequence_ledger, sequence_time_s in batch.accounts:
                channel = self._channel_of.get(key)
                if channel is not None:
                    entry.channels.append(
                        (channel, sequence, sequence_ledger, sequence_time_s, batch.latest_ledger)
                    )
            found.update(row.task_id for row in rows_of(batch.rows))
            for task_id, offset, reason in batch.problems:
                context.log.warning("task_undecodable", task=task_id, offset=offset, reason=reason)
        entry.removed = [task_id for task_id in tasks if task_id not in found]

    async def _read(
        self, ids: Sequence[int], channels: list[int], ledger: int
    ) -> tuple[_core.EntriesBatch, Sequence[int]]:
        context = self._context
        batch = await context.rpc.entries(
            context.contract,
            context.signer.keeper,
            pack_ids(ids),
            context.channel_keys(channels),
            ledger_min=ledger,
        )
        return batch, ids
