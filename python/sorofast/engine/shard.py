"""One owned shard in a worker: its task table, its channels, and one cycle of it.

A cycle settles what the last ledger decided, plans what is due, builds and signs, claims, and sends. The
claim is the point of no return: before it nothing exists outside this process, after it the write-ahead log
says exactly what may be on its way. Everything that changes the shard happens under its lock; sends do not,
since bytes that were claimed are safe to send late.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace

from sorofast.coordination.leases import Term
from sorofast.coordination.shard import MAX_COMMIT, Refusal, ShardState
from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine import claims
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import CycleView, Plan, Run, plan_cycle
from sorofast.engine.endings import say, settle_of
from sorofast.engine.flights import Flights
from sorofast.engine.pause import FLEET_PAUSED
from sorofast.engine.requests import Asked, requests_of
from sorofast.engine.retries import Retries
from sorofast.engine.simulate import SIMULATE_TIMEOUT_S, Simulator
from sorofast.errors import (
    DecodeError,
    LeaseLost,
    RedisUnreachable,
    RpcError,
    RpcUnreachable,
    ShardRegressed,
)
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.failpoints import failpoint
from sorofast.reasons import code_of, name_of
from sorofast.triggers.absent import AbsentSource
from sorofast.triggers.base import Due, TriggerSource

__all__ = ["ShardRunner"]

# More than there are channels, so that what cannot run does not hide what can.
DUE_EXTRA = 64
FEE_CAP_ATTEMPTS = 3
CATCH_UP_COUNT = 256
LOOK_TIMEOUT_S = 3.0
# How long a cycle waits for simulations, as a share of the target between closes.
ASK_WAIT_SHARE = 0.2
# What the subject's own entry says, so that nothing but a change of it helps.
UNTIL_CHANGED = frozenset({"gas_below_fee"})
OUTGROWN = ("RESOURCE_LIMIT_EXCEEDED", "INSUFFICIENT_REFUNDABLE_FEE", "ENTRY_ARCHIVED")
QUARANTINED = code_of("quarantined")
# What simply waits for its next run, or is being run, was not passed over.
NOT_SKIPPED = frozenset(map(code_of, ("none", "not_due", "in_flight", "executed")))
NOT_DUE = code_of("not_due")


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
        self._sources: dict[str, TriggerSource] = {source.name: source for source in sources}
        self._flights = Flights(context, shard, state, self._source)
        self._retries = Retries(context, state)
        self._simulator = Simulator(context, park=self._park, holds=self._holds)
        self._deferred: list[tuple[Due, int]] = []
        self._dead = {dead.execution: dead for dead in state.dead}
        # Envelopes of the last owner may be on their way, and its dead letters stand until their window is over.
        for record in state.wal:
            self._source(record).started(record.key)
        for dead in state.dead:
            self._source(dead).give_up(dead.key, QUARANTINED)

    def __len__(self) -> int:
        """How many subjects its sources have."""
        return sum(len(source) for source in self._sources.values())

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def next_due_s(self) -> int | None:
        """The second at which something falls due next, if a channel is free to run it."""
        if self.lost is not None or not self._flights.free():
            return None
        simulator = self._simulator
        if simulator.asking or (
            self._context.pause.cause is None and simulator.to_ask(self._flights.templates)
        ):
            return self._context.ledgers.latest[1]
        seconds = (source.next_due_s() for source in self._sources.values())
        return min((second for second in seconds if second is not None), default=None)

    def quarantined(self) -> dict[int, str]:
        """The channels that are kept out of use, with the reason."""
        return self._flights.channels.reasons()

    def skipped(self) -> dict[str, int]:
        """What waits for something, by the reason's name."""
        counts: Counter[int] = Counter()
        for source in self._sources.values():
            counts.update(source.reasons())
        return {name_of(code): number for code, number in counts.items() if code not in NOT_SKIPPED}

    def renewed(self, term: Term) -> None:
        """Takes the same term with a later end."""
        if term.epoch == self.term.epoch and term.trusted_until > self.term.trusted_until:
            self.term = term

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes what a closed ledger changed. Call in ledger order."""
        self.taken_ledger = entry.ledger
        for source in self._sources.values():
            self._retries.forget_removed(source.ingest(entry))
        self._flights.ingest(entry)
        self._bring_back()

    async def resume(self) -> None:
        """After a pause of the fleet: what it held back is due again."""
        async with self._lock:
            self._bring_back()

    def _bring_back(self) -> None:
        # What is in flight is brought back by whatever settles its envelope.
        deferred, self._deferred = self._deferred, []
        for due, reason in deferred:
            if due.execution.subject not in self._flights.subjects:
                self._source(due).wait(due.execution, due.due_s, reason)

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

        `until_s` is the last second that counts as due. When `draining`, nothing new is claimed. What is in
        flight is only sent again with `resend`, once per ledger, since a ledger is what decides.
        """
        async with self._lock:
            if self.lost is not None:
                return []
            if resend and self._trusted():
                await self._once_a_ledger()
            ended = (await self._flights.judge(self.term))[:MAX_COMMIT]
            if ended:
                await failpoint("settle.judged")
            if resend and not draining:
                await self._look()
            wanted = not draining and self._trusted()
            runs = await self._plan(until_s, ended, first=resend) if wanted else []
            records = self._build(runs) if runs else []
            if records:
                await failpoint("build.done")
            if records and not self._trusted():
                for record in records:
                    self._source(record).wait(record.key, record.due_s, code_of("lease_not_trusted"))
                records = []
            accepted = await self._commit(ended, records) if ended or records or self._retries.void else []
            first = [self._flights.send(self._flights.launch(record)) for record in accepted]
            launched = {record.channel for record in accepted}
            return [*first, *(await self._flights.resends(launched) if resend else ())]

    async def _once_a_ledger(self) -> None:
        """Carries out what operators have asked, and looks at quarantined channels again."""
        store = self._context.store
        try:
            requests = await store.requests(self.term)
            if requests:
                asked = requests_of(requests.values(), self._dead, self._retries)
                self._version = await store.answer(
                    self.term, self._version, requests, [dead.execution for dead in asked.gone], asked.kept
                )
                self._carry_out(asked)
            self._version = await self._flights.channels.look_again(self.term, self._version, self._flights)
        except (LeaseLost, ShardRegressed) as error:
            self._lose(error)
        except RedisUnreachable:
            # The next ledger asks again; what Redis does to the cycle itself is told there.
            self._context.tally.errors += 1

    def _carry_out(self, asked: Asked) -> None:
        """After the log has it."""
        for dead in asked.gone:
            self._dead.pop(dead.execution, None)
            self._context.log.info(asked.event(dead), **dead.key.fields(), reason=dead.reason)
        for execution in asked.revived:
            self._retries.revive(execution)
            if execution.subject not in self._flights.subjects:
                self._source_named(execution.source).wait(execution, 0, NOT_DUE)
        for retry in asked.kept:
            self._retries.take(retry)
            if retry.key.subject not in self._flights.subjects:
                self._source(retry).wait(retry.key, retry.not_before_s, code_of("backing_off"))

    async def save_snapshot(self) -> None:
        """Leaves its sources' state in Redis, as of the last entry taken. Not while a cycle runs: the next time will
        do.
        """
        if self._lock.locked():
            return
        async with self._lock:
            snapshot = self._snapshot()
            if self.lost is None and self.taken_ledger and snapshot is not None:
                await failpoint("snapshot.before")
                try:
                    self._version = await self._context.store.store_snapshot(
                        self.term, snapshot, stream_id(self.taken_ledger), self._version
                    )
                except (LeaseLost, ShardRegressed) as error:
                    self._lose(error)
                except RedisUnreachable as error:
                    self._context.outages.failed("redis_unreachable", error)

    async def hand_over(self) -> None:
        """Stops claiming, leaves a snapshot for the next owner and releases the lease.

        The log keeps what is in flight, and the next owner settles it.
        """
        async with self._lock:
            if self.lost is None:
                self.lost = "handed over"
                await failpoint("handover.before")
                at = stream_id(self.taken_ledger) if self.taken_ledger else None
                await self._context.store.release(self.term, self._snapshot() if at else None, at)

    def _snapshot(self) -> bytes | None:
        snapshots = (source.snapshot() for source in self._sources.values())
        return next((snapshot for snapshot in snapshots if snapshot is not None), None)

    def _source(self, of: Due | WalRecord | RetryRecord) -> TriggerSource:
        execution = of.execution if isinstance(of, Due) else of.key
        return self._source_named(execution.source)

    def _source_named(self, name: str) -> TriggerSource:
        source = self._sources.get(name)
        if source is None:
            self._context.log.warning(
                "source_absent",
                source=name,
                shard=self.shard,
                consequence="what it left in the log is settled, and nothing new of it is run here",
            )
            source = self._sources[name] = AbsentSource(name)
        return source

    def _trusted(self) -> bool:
        return self.term.trusted(self._context.clock.monotonic())

    def _lose(self, error: Exception) -> None:
        self.lost = str(error)
        self.regressed = isinstance(error, ShardRegressed)

    async def _look(self) -> None:
        for source in self._sources.values():
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    await source.look(self.taken_ledger)
            except (RpcUnreachable, RpcError, DecodeError, TimeoutError) as error:
                self._context.tally.errors += 1
                self._context.outages.failed("look_failed", str(error) or repr(error), source=source.name)

    # Planning and building

    async def _plan(self, until_s: int, ended: Sequence[Ended], *, first: bool) -> list[Run]:
        """What to run now. In a ledger's `first` cycle what is known does not wait for what has to be asked about."""
        free = self._flights.free(ended)[:MAX_COMMIT]
        landed = {case.record.key.subject for case in ended}
        room = self._context.config.engine.max_inflight - (self._context.in_flight.total() - len(ended))
        dues = self._due(until_s, len(free) + DUE_EXTRA)
        if not dues and self._simulator.idle:
            return []
        # Those that waited for a ledger, a channel or their back-off were counted when they fell due.
        self._context.tally.due += sum(due.fresh for due in dues)
        self._retries.look_at([due.execution for due in dues])
        view = CycleView(
            close_s=self._context.ledgers.latest[1],
            until_s=until_s,
            free=free,
            inflight_room=room,
            in_flight=self._flights.subjects - landed,
            backoffs=self._retries.backoffs,
            has_template=self._context.templates.usable,
        )
        plan = plan_cycle(dues, view)
        await self._context.pause.let_through(plan)
        self._put_off(plan)
        paused = self._context.pause.cause is not None
        if paused and not plan.simulate and not self._simulator.answered:
            return plan.run
        wait_s = SIMULATE_TIMEOUT_S if paused else ASK_WAIT_SHARE * self._context.ledgers.target_s
        seen, freed = await self._simulate(plan, 0.0 if first and plan.run else wait_s)
        more = plan_cycle(seen, replace(_rest(view, plan.run), backoffs={}, has_template=lambda _: True))
        if paused:
            # The one that was let through to try is among what was simulated.
            tries = {due.execution for due, _ in plan.simulate}
            more.next_ledger += [
                (run.due, FLEET_PAUSED) for run in more.run if run.due.execution not in tries
            ]
            more.run = [run for run in more.run if run.due.execution in tries]
        self._put_off(more)
        runs = plan.run + more.run
        if freed:
            # They are looked at as if they fell due now: what was learned of their call may keep them from running.
            last = plan_cycle(self._due(until_s, len(free) + DUE_EXTRA), _rest(view, runs))
            await self._context.pause.let_through(last)
            self._put_off(last)
            self._simulator.enter(last.simulate)
            runs += last.run
        return runs

    def _put_off(self, plan: Plan) -> None:
        for due, reason in plan.next_ledger:
            self._defer(due, reason)
        for due, at_s, reason in plan.later:
            self._context.log.debug("put_off", **due.execution.fields(), reason=name_of(reason), until_s=at_s)
            self._source(due).wait(due.execution, at_s, reason)

    def _due(self, until_s: int, limit: int) -> list[Due]:
        dues = [due for source in self._sources.values() for due in source.due(until_s, limit)]
        return sorted(dues, key=lambda due: due.due_s) if len(self._sources) > 1 else dues

    def _defer(self, due: Due, reason: int) -> None:
        """Looks at it again when a ledger closes; until then it is out of the index and shows the reason."""
        self._context.log.debug("put_off", **due.execution.fields(), reason=name_of(reason))
        self._source(due).park(due, reason)
        self._deferred.append((due, reason))

    async def _simulate(self, plan: Plan, wait_s: float) -> tuple[list[Due], int]:
        """Those that were seen to run in a simulation, and how many others need not wait for one any more."""
        seen: list[Due] = []
        freed = 0
        self._simulator.enter(plan.simulate)
        answers = await self._simulator.answers(self._flights.templates, wait_s)
        if answers:
            await failpoint("plan.simulated")
        for answer in answers:
            due, why, source = answer.due, answer.why, self._source(answer.due)
            if why is None:
                if answer.seen:
                    seen.append(replace(due, gated=False))
                else:
                    source.wait(due.execution, due.due_s, code_of("no_template"))
                    freed += 1
                continue
            reason = code_of(why.reason)
            self._context.log.warning(
                "task_skipped", **due.execution.fields(), reason=why.reason, error=why.text
            )
            if why.reason in UNTIL_CHANGED:
                source.give_up(due.execution, reason)
            else:
                source.wait(due.execution, self._retries.held_back(due.execution, reason), reason)
        return sorted(seen, key=lambda due: due.due_s), freed

    def _park(self, due: Due, reason: int) -> None:
        self._source(due).park(due, reason)

    def _holds(self, due: Due) -> bool:
        """Whether one that waits for a simulation still should."""
        return due.execution.subject not in self._flights.subjects and self._source(due).still_due(due)

    def _build(self, runs: Iterable[Run]) -> list[WalRecord]:
        """Without those that a ledger taken in meanwhile has shown to have run or gone."""
        wanted = [run for run in runs if self._source(run.due).still_due(run.due)]
        built = claims.build(self._context, wanted, self.term.epoch, self._retries.attempt_of)
        for due in built.without_template:
            self._defer(due, code_of("no_template"))
        for due in built.above_cap:
            at_s = self._retries.not_before_s(FEE_CAP_ATTEMPTS)
            self._source(due).wait(due.execution, at_s, code_of("fee_above_cap"))
        return built.records

    # Committing and settling

    async def _commit(self, ended: Sequence[Ended], records: Sequence[WalRecord]) -> list[WalRecord]:
        """Writes down what ended and claims `records`; returns those that may be sent."""
        ended = [replace(case, outcome=self._source(case.record).outcome(case)) for case in ended]
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
            self._source(record).started(record.key)
        if reply.refused:
            await self._refused(
                [record for record in records if record.execution in reply.refused], reply.refused
            )
        return accepted

    async def _refused(self, records: Sequence[WalRecord], reasons: Mapping[str, str]) -> None:
        """Redis knows something of these executions or channels that we do not: it is read again, and the shard works
        on.
        """
        for record in records:
            reason = reasons[record.execution]
            self._context.log.warning(
                "claim_refused", **record.key.fields(), channel=record.channel, reason=reason
            )
            shown = "in_flight"
            if reason != Refusal.IN_FLIGHT:
                shown = "no_channel"
                self._flights.channels.disputed(record.channel, reason)
            self._source(record).wait(record.key, record.due_s, code_of(shown))
        try:
            for record in self._flights.adopt(await self._context.store.load(self.term)):
                self._source(record).started(record.key)
        except (LeaseLost, ShardRegressed, DecodeError) as error:
            self._lose(error)
        except RedisUnreachable as error:
            self._context.outages.failed("redis_unreachable", error)

    def _record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of the end: nothing new where the fault is the fleet's."""
        if self._context.pause.blames(case) is not None:
            return self._retries.unchanged(case), False
        return self._retries.record_of(case)

    def _finish(self, case: Ended, retry: RetryRecord | None, *, dead: bool) -> None:
        """After the log has it: frees the channel and decides what becomes of its subject next."""
        record, source = case.record, self._source(case.record)
        self._flights.land(case)
        self._retries.ended(case, retry, dead=dead)
        if case.early and case.included is not None:
            self._context.ledgers.early(record.due_s, case.included[0])
        self._context.count(case)
        blamed = self._context.pause.blames(case)
        say(self._context, case, retry, dead=dead)
        if dead and retry is not None:
            self._dead[retry.execution] = retry
        else:
            self._dead.pop(record.execution, None)
        if case.outcome is Outcome.FAILED and blamed is None:
            self._context.templates.drop(record.template, outgrown=case.codes.endswith(OUTGROWN))
        elif case.outcome is Outcome.NO_EFFECT and not case.early:
            self._context.templates.gate(record.template)
        source.ended(case)
        if case.outcome is Outcome.EXECUTED:
            return
        if dead and source.give_up(record.key, QUARANTINED):
            return
        if blamed is not None:
            # Behind what waits already, so that not one run alone tries whether the pause is over.
            source.wait(record.key, max(record.due_s, self._context.ledgers.latest[1]), FLEET_PAUSED)
            return
        at_s = max(record.due_s, retry.not_before_s if retry is not None else 0)
        source.wait(
            record.key,
            at_s,
            code_of("backing_off" if retry is not None and retry.attempts else case.outcome.value),
        )


def _rest(view: CycleView, runs: Sequence[Run]) -> CycleView:
    """What is left of the channels and the room in flight after `runs`."""
    used = {run.channel for run in runs}
    free = [one for one in view.free if one[0] not in used]
    return replace(view, free=free, inflight_room=view.inflight_room - len(runs))
