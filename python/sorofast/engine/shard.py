"""One owned shard in a worker: its task table, its channels, and one cycle of it.

A cycle settles what the last ledger decided, plans what is due, builds and signs, claims, and sends. The
claim is the point of no return: before it nothing exists outside this process, after it the write-ahead log
says exactly what may be on its way. Everything that changes the shard happens under its lock; sends do not,
since bytes that were claimed are safe to send late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace

from sorofast.coordination.leases import Term
from sorofast.coordination.requests import Request
from sorofast.coordination.shard import MAX_COMMIT, ShardState
from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine import claims
from sorofast.engine.context import WorkerContext
from sorofast.engine.dead_letters import DeadLetters
from sorofast.engine.endings import say, settle_of
from sorofast.engine.flights import Flights
from sorofast.engine.pause import FLEET_PAUSED
from sorofast.engine.planning import Planning
from sorofast.engine.refusals import work_on
from sorofast.engine.retries import Retries
from sorofast.engine.sources import Sources
from sorofast.errors import (
    DecodeError,
    LeaseLost,
    RedisUnreachable,
    RedisUnreadable,
    ShardRegressed,
    SorofastError,
)
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.failpoints import failpoint
from sorofast.reasons import code_of, name_of
from sorofast.triggers.base import TriggerSource

__all__ = ["ShardRunner"]

CATCH_UP_COUNT = 256
# How often it is looked whether a channel still carries what nobody here can settle.
BLOCKED_LOOK_LEDGERS = 8
OUTGROWN = ("RESOURCE_LIMIT_EXCEEDED", "INSUFFICIENT_REFUNDABLE_FEE")
QUARANTINED = code_of("quarantined")
# What simply waits for its next run, or is being run, was not passed over.
NOT_SKIPPED = frozenset(map(code_of, ("none", "not_due", "in_flight", "executed")))
NOT_DUE, BACKING_OFF = code_of("not_due"), code_of("backing_off")
# What a task shows that is to run again after such an end.
REASONS = {one: code_of("rpc_refused" if one is Outcome.REFUSED else one.value) for one in Outcome}


class ShardRunner:
    """Owned from `term` until `lost` says why it is no more, or until the worker hands it over."""

    def __init__(
        self,
        context: WorkerContext,
        shard: int,
        term: Term,
        state: ShardState,
        sources: Sequence[TriggerSource],
    ) -> None:
        self.shard = shard
        self.term = term
        self.lost: str | None = None
        self.regressed = False
        self.taken_ledger = 0
        self._lock = asyncio.Lock()
        self._context = context
        self._version = state.version
        self._sources = Sources(context, shard, sources)
        self._flights = Flights(context, shard, state, self._sources.of)
        self._retries = Retries(context, state)
        self._planning = Planning(context, shard, self._sources, self._flights, self._retries)
        self._tending = False
        self._tend_failed = False
        self._dead = DeadLetters(context, self._retries, state.dead, self._sources.of)
        # The last owner's dead letters stand until their window is over, and envelopes of it may be on their way.
        for dead in state.dead:
            self._dead.put_aside(dead)
        for execution in state.withheld:
            self._sources.of(execution).give_up(execution, QUARANTINED)
        for record in state.wal:
            self._sources.of(record).started(record.key)

    def __len__(self) -> int:
        """How many subjects its sources have."""
        return len(self._sources)

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def next_due_s(self) -> int | None:
        """The second at which there is something to do next."""
        return None if self.lost is not None else self._planning.next_due_s()

    def quarantined(self) -> dict[int, str]:
        """The channels that are kept out of use, with the reason."""
        return self._flights.channels.reasons()

    def skipped(self) -> dict[str, int]:
        """What waits for something, by the reason's name."""
        counts = self._sources.reasons()
        return {name_of(code): number for code, number in counts.items() if code not in NOT_SKIPPED}

    def renewed(self, term: Term) -> None:
        """Takes the same term with a later end."""
        if term.epoch == self.term.epoch and term.trusted_until > self.term.trusted_until:
            self.term = term

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes what a closed ledger changed. Call in ledger order."""
        self.taken_ledger = entry.ledger
        gone = self._sources.ingest(entry)
        self._retries.forget_removed(gone)
        for subject in gone:
            self._context.skips.gone(subject)
        self._flights.ingest(entry)
        self._planning.bring_back()

    async def resume(self) -> None:
        """After a pause of the fleet: what it held back is due again."""
        async with self._lock:
            self._planning.bring_back()

    async def catch_up(self, newest: LedgerEntry | None) -> None:
        """Takes the stream's entries after the last one taken, up to `newest`."""
        while newest is not None and self.taken_ledger < newest.ledger:
            entries = await self._context.fleet.read_ledgers(stream_id(self.taken_ledger), 0, CATCH_UP_COUNT)
            wanted = [entry for _, entry in entries if entry.ledger <= newest.ledger]
            if not wanted:
                return
            for entry in wanted:
                self._context.remember(entry)
                self.ingest(entry)

    async def cycle(
        self, until_s: int, *, draining: bool = False, resend: bool = True
    ) -> list[Awaitable[None]]:
        """Settles, plans and claims; returns the sends, to be run outside the lock.

        `until_s` is the last second to plan for; what is not due by then is held until it is. When `draining`,
        nothing new is claimed. What is in flight is only sent again with `resend`, once per ledger, since a ledger is
        what decides.
        """
        async with self._lock:
            if self.lost is not None:
                return []
            ended = (await self._flights.judge())[:MAX_COMMIT]
            if ended:
                await failpoint("settle.judged")
            if resend and not draining:
                await self._sources.look(self.taken_ledger)
            wanted = not draining and self._trusted()
            runs = await self._planning.plan(until_s, ended) if wanted else []
            records = self._planning.build(runs, self.term.epoch) if runs else []
            if records:
                await failpoint("build.done")
            if records and not self._trusted():
                for record in records:
                    self._sources.of(record).wait(record.key, record.due_s, code_of("lease_not_trusted"))
                records = []
            ended += self._flights.replaced(records)
            accepted = await self._commit(ended, records) if ended or records or self._retries.void else []
            dues = {run.due.execution: run.due for run in runs}
            first: list[Awaitable[None]] = [
                self._flights.send(self._flights.launch(record, dues.get(record.key)), self._hold_s(record))
                for record in accepted
            ]
            launched = {record.channel for record in accepted}
            if not resend:
                return first
            return [*first, *await self._flights.resends(launched), self._tend()]

    async def _tend(self) -> None:
        """Once a ledger, behind the sends: carries out what operators have asked, and looks at quarantined channels
        again. Nothing waits for the network meanwhile.
        """
        if self._tending:
            return
        self._tending = True
        store, channels = self._context.store, self._flights.channels
        unread: RedisUnreadable | None = None
        try:
            try:
                requests = await store.requests(self.term)
            except RedisUnreadable as error:
                unread, requests = error, {}
            sequences = await channels.read_again(self._flights)
            async with self._lock:
                if self.lost is not None:
                    return
                if (requests or self._dead.changes()) and not await self._answer(requests):
                    return
                if sequences:
                    self._version = await store.set_confirmed(self.term, self._version, sequences)
                    channels.take_back(sequences)
                if channels.blocked and self.taken_ledger % BLOCKED_LOOK_LEDGERS == 0:
                    for record in self._flights.adopt(await store.load(self.term)):
                        self._sources.of(record).started(record.key)
            channels.say()
            self._say_tended(unread)
        except (LeaseLost, ShardRegressed) as error:
            self._lose(error)
        except RedisUnreachable:
            # The next ledger asks again; what Redis does to the cycle itself is told there.
            self._context.tally.errors += 1
        except SorofastError as error:
            self._say_tended(error)
        finally:
            self._tending = False

    def _say_tended(self, error: SorofastError | None) -> None:
        """That another shard was tended shows nothing of this one."""
        if error is not None:
            self._context.tally.errors += 1
            self._tend_failed = True
            self._context.outages.failed("tend_failed", error, shard=self.shard)
        elif self._tend_failed:
            self._tend_failed = False
            self._context.outages.ok("tend_failed")

    async def _answer(self, requests: Mapping[bytes, Request]) -> bool:
        """Carries out what operators have asked, and what a new day brings. False when nobody can tell whether the log
        has it: then the shard is to be loaded again, or what is no dead letter any more would be kept from running.
        """
        try:
            self._version = await self._dead.answer(
                self.term, self._version, requests, self._flights.subjects
            )
        except RedisUnreachable as error:
            self._lose(error)
            return False
        return True

    async def save_snapshot(self) -> None:
        """Leaves its sources' state in Redis, as of the last entry taken. Not while a cycle runs: the next time will
        do.
        """
        if self._lock.locked():
            return
        async with self._lock:
            snapshot = self._sources.snapshot()
            if self.lost is None and self.taken_ledger and snapshot is not None:
                await failpoint("snapshot.before")
                try:
                    self._version = await self._context.store.store_snapshot(
                        self.term, snapshot, stream_id(self.taken_ledger), self._version
                    )
                except (LeaseLost, ShardRegressed) as error:
                    self._lose(error)
                except RedisUnreachable as error:
                    self._context.redis_failed("save_snapshot", error)
                else:
                    self._context.outages.ok("save_snapshot")

    async def hand_over(self) -> None:
        """Stops claiming, leaves a snapshot for the next owner and releases the lease.

        The log keeps what is in flight, and the next owner settles it.
        """
        async with self._lock:
            if self.lost is None:
                self.lost = "handed over"
                self._end_asking()
                await failpoint("handover.before")
                at = stream_id(self.taken_ledger) if self.taken_ledger else None
                await self._context.store.release(self.term, self._sources.snapshot() if at else None, at)

    def close(self, why: str) -> None:
        """It is not ours any more, and nothing is to be written."""
        self._end_asking()
        self.lost = self.lost or why

    def _hold_s(self, record: WalRecord) -> float:
        """What is not due yet goes out when it is: ready in the log, it needs nothing more than the way there."""
        return self._context.ledgers.hold_s(record.due_s, self._context.clock.monotonic())

    def _end_asking(self) -> None:
        """Nobody wants to know any more."""
        self._flights.close()
        self._planning.close()
        self._sources.close()
        if self._tend_failed:
            self._tend_failed = False
            self._context.outages.let_go("tend_failed")

    def _trusted(self) -> bool:
        return self.term.trusted(self._context.clock.monotonic())

    def _lose(self, error: Exception) -> None:
        self._end_asking()
        self.lost = str(error)
        self.regressed = isinstance(error, ShardRegressed)

    # Committing and settling

    async def _commit(self, ended: Sequence[Ended], records: Sequence[WalRecord]) -> list[WalRecord]:
        """Writes down what ended and claims `records`; returns those that may be sent."""
        ended = [replace(case, outcome=self._sources.of(case.record).outcome(case)) for case in ended]
        kept = [self._record_of(case) for case in ended]
        settles = [
            settle_of(self._context, case, retry, dead=dead)
            for case, (retry, dead) in zip(ended, kept, strict=True)
        ]
        void = sorted(self._retries.void)[:MAX_COMMIT]
        for point, happens in (("settle.before", settles), ("claim.before", records)):
            if happens:
                await failpoint(point)
        try:
            reply = await claims.commit(self._context, self.term, self._version, settles, records, void)
        except (LeaseLost, ShardRegressed, RedisUnreachable) as error:
            self._lose(error)
            return []
        for point, happened in (("settle.committed", settles), ("claim.committed", records)):
            if happened:
                await failpoint(point)
        self._version, self.term = reply.version, reply.term
        self._retries.void.difference_update(void)
        for case, settle in zip(ended, settles, strict=True):
            self._finish(case, settle.retry, dead=settle.dead)
        accepted = [record for record in records if record.execution in reply.accepted]
        for record in accepted:
            self._context.log.debug(
                "claimed",
                **record.key.fields(),
                hash=record.hash.hex(),
                channel=record.channel,
                attempt=record.attempt,
                fee_stroops=record.fee_stroops,
            )
            self._sources.of(record).started(record.key)
            self._context.skips.runs(record.key.subject)
        if reply.refused:
            refused = [record for record in records if record.execution in reply.refused]
            try:
                await work_on(
                    self._context, self.term, self._flights, self._sources.of, refused, reply.refused
                )
            except (LeaseLost, ShardRegressed, DecodeError) as error:
                self._lose(error)
        return accepted

    def _record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of the end: nothing new where the fault is the fleet's, or the channel's."""
        channel_s = case.outcome is Outcome.REFUSED and self._flights.channels.at_fault(case.codes)
        if channel_s or self._context.pause.blames(case) is not None:
            return self._retries.unchanged(case), False
        return self._retries.record_of(case)

    def _finish(self, case: Ended, retry: RetryRecord | None, *, dead: bool) -> None:
        """After the log has it: frees the channel and decides what becomes of its subject next."""
        record, source = case.record, self._sources.of(case.record)
        self._flights.land(case)
        self._retries.ended(case, retry, dead=dead)
        if case.early and case.included is not None:
            self._context.ledgers.early(record.due_s, case.included[0])
        self._context.count(case)
        blamed = self._context.pause.blames(case)
        say(self._context, case, retry, dead=dead)
        self._dead.ended(record.execution, retry if dead else None)
        if case.outcome is Outcome.FAILED and blamed is None and case.doubts_template:
            self._context.templates.drop(record.template, outgrown=case.codes.endswith(OUTGROWN))
        elif case.outcome is Outcome.NO_EFFECT and not case.early:
            self._context.templates.gate(record.template)
        source.ended(case)
        if case.outcome is Outcome.EXECUTED:
            self._context.templates.worked(record.template)
            return
        if dead and retry is not None and self._dead.put_aside(retry):
            return
        if blamed is not None:
            # Behind what waits already, so that not one run alone tries whether the pause is over.
            source.wait(record.key, max(record.due_s, self._context.ledgers.latest[1]), FLEET_PAUSED)
            return
        at_s = max(record.due_s, retry.not_before_s if retry is not None else 0)
        backs_off = retry is not None and retry.attempts
        source.wait(record.key, at_s, BACKING_OFF if backs_off else REASONS[case.outcome])
