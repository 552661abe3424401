"""The one leased role of a fleet that reads the chain: once per ledger, only what may have changed.

For each new ledger it asks for the registry's events since its cursor, then for the entries of every task
the events name and of every task and channel in flight, and publishes all of it as one entry of the ledger
stream. That is a constant number of reads per ledger and one more for every 200 changes, whatever the size
of the registry or of the fleet.

Where it cannot say what changed, because the events are no longer to be had or too many tasks changed at
once, the entry says so, and every worker reads its tasks from the chain again.
"""

from __future__ import annotations

import asyncio
import contextlib

from sorofast import _core
from sorofast.chain.ledger import stalled_after_s
from sorofast.chain.lookups import fresh_entries
from sorofast.chain.models import Health
from sorofast.chain.rpc import KEYS_PER_CALL_MAX, Event
from sorofast.chain.xdr import executable_of, instance_key
from sorofast.coordination.leases import Term
from sorofast.coordination.streams import LEDGER_SCHEMA, LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.engine.leaps import Leaps
from sorofast.engine.loops import cancel_and_wait
from sorofast.engine.reading import read_entries
from sorofast.engine.same_chain import KNOWN_MAX, SameChain
from sorofast.engine.timing import learn_pace
from sorofast.errors import DecodeError, EventsLost, LeaseLost, RedisUnreachable, RpcError, RpcUnreachable
from sorofast.executions.key import TASKS
from sorofast.failpoints import failpoint
from sorofast.observability.outages import FOLLOW_FAILED
from sorofast.registry.row import rows_of

__all__ = ["Follower"]

# A close is looked for shortly before it can be seen, then at this share of the target, between these bounds.
POLL_SHARE = 0.04
POLL_MIN_S = 0.02
POLL_MAX_S = 0.25
EARLY_SHARE = 0.02
LATE_SHARE = 0.1
ERROR_PAUSE_S = 0.25
LEAP_PAUSE_S = 0.25
# An entry of the stream with this many rows is about a megabyte; beyond it the workers read for themselves.
CHANGED_MAX = 20_000
# What one answer leaves out may be there all the same: a task is gone once so many ledgers in a row did not show it.
# With more of them than that the workers read for themselves.
ABSENT_MIN = 3
ABSENT_MAX = 10_000
STALE_WORDS = "since last known ledger closed is too high"
# What only a follower notices.
KINDS = (FOLLOW_FAILED, "ledger_leap", "ledgers_stalled", "headers_unread")
# In the place of a channel's index.
KEEPER = -1


class Follower:
    """Follows the chain while its term lasts. `run` ends with LeaseLost, or by being cancelled."""

    def __init__(self, context: WorkerContext, term: Term) -> None:
        self.term = term
        self._context = context
        self._cursor: str | None = None
        self._previous = -1
        self._seen_at: float | None = None
        self._keeper_gone_since: tuple[int, int] | None = None
        self._leaps = Leaps()
        self._chain = SameChain(context.rpc, context.config.network.passphrase, context.clock)
        self._new_s = self._asked_s = self._unseen_s = context.clock.monotonic()
        # Tasks that were not among the last answers, and how often in a row.
        self._absent: dict[int, int] = {}
        channels = context.signer.channels
        self._channel_of = {channels[32 * i : 32 * i + 32]: i for i in range(len(channels) // 32)}

    async def run(self) -> None:
        """Publishes ledger after ledger. What the network does wrong is waited out; only the lease ends it."""
        pace = asyncio.create_task(learn_pace(self._context), name="learn-pace")
        try:
            await self._follow()
        finally:
            await cancel_and_wait([pace])
            self._context.outages.let_go(*KINDS)

    async def _follow(self) -> None:
        while True:
            try:
                if self._previous < 0:
                    await self._take_up()
                await self._publish(await self._next_ledger())
                self._context.outages.ok(FOLLOW_FAILED, "follows_again")
            except (RpcUnreachable, RpcError, DecodeError, RedisUnreachable) as error:
                self._seen_at = None
                self._new_s = self._context.clock.monotonic()
                # Who answers next may be another server.
                self._chain.doubt()
                self._context.tally.errors += 1
                self._context.outages.failed(FOLLOW_FAILED, error, after_ledger=self._previous)
                await asyncio.sleep(ERROR_PAUSE_S)

    async def _take_up(self) -> None:
        """Goes on where the last follower stopped."""
        fleet = self._context.fleet
        try:
            newest = await fleet.last_ledgers(1)
        except DecodeError:
            newest = []  # of a version that we cannot read: then it counts from now
        last = newest[-1][1] if newest else None
        self._keeper_gone_since = last.keeper_gone_since if last is not None else None
        self._previous, self._cursor = await fleet.follower_state()
        if last is not None and last.ledger == self._previous:
            with contextlib.suppress(DecodeError):
                newest = await fleet.last_ledgers(KNOWN_MAX)
            self._chain.remember([(one.ledger, one.close_time_s) for _, one in newest])
            ledgers = self._context.ledgers
            here = ledgers.latest == (last.ledger, last.close_time_s)
            self._leaps.remember(last.ledger, last.close_time_s, ledgers.seen_monotonic_s if here else None)

    async def _next_ledger(self) -> Health:
        """Waits until a node shows a ledger after the last published one."""
        target_s = self._context.ledgers.target_s
        monotonic = self._context.clock.monotonic
        if self._seen_at is not None:
            early_by_s = max(target_s * EARLY_SHARE, self._context.ledgers.guard_s)
            early_s = self._seen_at + target_s - early_by_s - monotonic()
            await asyncio.sleep(min(max(0.0, early_s), target_s))
        looked = False
        while True:
            if not self.term.trusted(monotonic()):
                raise LeaseLost("the follower's lease could not be renewed in time")
            asked_s = monotonic()
            try:
                health = await self._context.rpc.get_health()
            except RpcError as error:
                if STALE_WORDS not in error.message:
                    raise
                # What a server says of itself once its newest ledger is old; the network may well stand still.
                self._watch_stall(None)
                await asyncio.sleep(POLL_MAX_S)
                continue
            await self._chain.check(health)
            doubt = self._doubt(health)
            if doubt is not None:
                # Without a request that fails, too, another server may have taken the address.
                self._chain.doubt()
                self._context.outages.failed("ledger_leap", doubt)
                await asyncio.sleep(LEAP_PAUSE_S)
            elif health.latest_ledger > self._previous:
                # Found at the first look, it may have been there for a while: look sooner next time.
                self._seen_at = monotonic() - (0.0 if looked else target_s * LATE_SHARE)
                self._new_s = monotonic()
                self._context.outages.ok("ledgers_stalled")
                # At the last question before, it was not there yet; at this one, the next ledger is not.
                self._unseen_s, self._asked_s = self._asked_s, asked_s
                return health
            else:
                self._watch_stall(health.latest_ledger)
            looked, self._asked_s = True, asked_s
            await asyncio.sleep(min(POLL_MAX_S, max(POLL_MIN_S, target_s * POLL_SHARE)))

    def _watch_stall(self, shown: int | None) -> None:
        """Says that no ledger has closed for long."""
        for_s = self._context.clock.monotonic() - self._new_s
        if for_s < stalled_after_s(self._context.ledgers.target_s):
            return
        name = self._context.rpc.name
        lags = f"{name} shows ledger {shown} and " if shown is not None and shown < self._previous else ""
        self._context.outages.failed_since(
            "ledgers_stalled",
            self._new_s,
            f"no ledger after {self._previous} for {for_s:.0f} s: {lags or f'{name} '}has lost touch with the network, "
            "or the network stands still",
        )

    def _doubt(self, health: Health) -> str | None:
        """Why this is not to be believed yet, if it is of a newer ledger."""
        if health.latest_ledger <= self._previous:
            self._leaps.settled()
            return None
        return self._leaps.doubt(health, self._context.clock.monotonic(), self._context.ledgers.target_s)

    async def _publish(self, health: Health) -> None:
        context, ledger = self._context, health.latest_ledger
        # Events first: a channel that moved in ledger L is judged only once events are complete through L.
        events, cursor, through, lost = await self._events(health)
        watched = await context.fleet.inflight()
        changed = {event[2] for event in events}
        if len(changed) > CHANGED_MAX:
            changed, lost = set(), True
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
            node=context.rpc.name,
            resync=lost and self._previous > 0,
            keeper=context.signer.keeper,
        )
        tasks = changed | self._absent.keys()
        tasks.update(
            int(execution.id)
            for execution, _ in watched.values()
            if execution is not None and execution.source == TASKS
        )
        cancelled = {event[2] for event in events if event[1] == "TaskCancelled"}
        await asyncio.gather(
            self._read_into(entry, sorted(tasks), sorted(watched), ledger), self._watch_code(ledger)
        )
        absent = self._note_absent(entry, cancelled)
        entry.late_ms = round(1000 * (self._context.clock.monotonic() - self._unseen_s))
        await failpoint("follow.read")
        await context.fleet.append_ledger(self.term, entry, cursor)
        await failpoint("follow.published")
        self._previous, self._cursor, self._absent = ledger, cursor, absent
        self._keeper_gone_since = entry.keeper_gone_since
        self._leaps.taken(health, self._context.clock.monotonic())
        self._chain.taken(health)
        self._context.outages.ok("ledger_leap", "ledgers_follow_again")

    def _note_absent(self, entry: LedgerEntry, cancelled: set[int]) -> dict[int, int]:
        """Leaves among the removed those that are gone for certain; returns the others, to be read again."""
        absent: dict[int, int] = {}
        gone: list[int] = []
        for task_id in entry.removed:
            times = self._absent.get(task_id, 0) + 1
            if task_id in cancelled or times >= ABSENT_MIN:
                gone.append(task_id)
            else:
                absent[task_id] = times
        entry.removed = gone
        if len(absent) > ABSENT_MAX:
            entry.resync = True
            return {}
        return absent

    async def _events(self, health: Health) -> tuple[list[Event], str | None, int, bool]:
        """The events since the cursor; with True those of this ledger alone, as the ones before are lost."""

        async def since(cursor: str | None) -> tuple[list[Event], str | None, int]:
            return await self._context.rpc.events(
                self._context.contract,
                start_ledger=health.latest_ledger,
                cursor=cursor,
                ledger_min=health.latest_ledger,
                oldest_ledger=health.oldest_ledger,
            )

        try:
            return *await since(self._cursor), self._cursor is None
        except EventsLost as error:
            self._context.log.error("events_lost", after_ledger=self._previous, error=str(error))
            return *await since(None), True

    async def _read_into(
        self, entry: LedgerEntry, tasks: list[int], channels: list[int], ledger: int
    ) -> None:
        """Reads the entries in calls of 200 keys, each no older than `ledger`; the keeper's account is the first."""
        keys = (
            [(True, KEEPER)]
            + [(True, channel) for channel in channels]
            + [(False, task_id) for task_id in tasks]
        )
        parts = [keys[at : at + KEYS_PER_CALL_MAX] for at in range(0, len(keys), KEYS_PER_CALL_MAX)]
        batches = await asyncio.gather(*(self._read(part, ledger) for part in parts))
        entry.snapshot_ledger = min((batch.latest_ledger for batch in batches), default=ledger)
        entry.rows = b"".join(batch.rows for batch in batches)
        undecodable = any(task_id is None for task_id, _, _ in batches[0].problems)
        if not undecodable and all(account[0] != entry.keeper for account in batches[0].accounts):
            entry.keeper_gone_since = self._keeper_gone_since or (ledger, entry.close_time_s)
        for batch in batches:
            # A bound is over once a ledger that we know to have closed has reached it, whatever one answer claims.
            as_of = min(batch.latest_ledger, ledger)
            for key, _, sequence, sequence_ledger, sequence_time_s in batch.accounts:
                channel = self._channel_of.get(key)
                if channel is not None:
                    view = (channel, sequence, sequence_ledger, sequence_time_s, as_of)
                    entry.channels.append(view)
            for task_id, offset, reason in batch.problems:
                self._context.log.warning("task_undecodable", task=task_id, offset=offset, reason=reason)
        found: set[int | str] = {row.task_id for row in rows_of(entry.rows)}
        # Those that are not handled were not asked for.
        found |= self._context.suspects.quarantined_of(TASKS)
        entry.removed = [task_id for task_id in tasks if task_id not in found]

    async def _watch_code(self, ledger: int) -> None:
        """Drops, before anybody learns of the ledger, what was learned from code that it has replaced."""
        templates = self._context.templates
        contracts = templates.watched()
        keys = {instance_key(contract): contract for contract in contracts}
        parts = [list(keys)[at : at + KEYS_PER_CALL_MAX] for at in range(0, len(keys), KEYS_PER_CALL_MAX)]
        found = await asyncio.gather(
            *(fresh_entries(self._context.rpc, part, ledger_min=ledger) for part in parts)
        )
        executables: dict[bytes, bytes | None] = {}
        for entries in found:
            for key, entry in entries.items():
                try:
                    executables[keys[key]] = executable_of(entry)
                except (KeyError, DecodeError):
                    continue
        changed = templates.code_changed(executables)
        if self._context.contract in changed:
            self._context.registry_words.forget()
        if changed:
            await templates.flush()

    async def _read(self, part: list[tuple[bool, int]], ledger: int) -> _core.EntriesBatch:
        context = self._context
        accounts = context.channel_keys(
            [channel for is_account, channel in part if is_account and channel != KEEPER]
        )
        if (True, KEEPER) in part:
            accounts += context.signer.keeper
        tasks = [task_id for is_account, task_id in part if not is_account]
        return await read_entries(context, tasks, accounts, ledger)
