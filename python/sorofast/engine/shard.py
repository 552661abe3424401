"""One owned shard in a worker: its task table, its channels, and one cycle of it.

A cycle settles what the last ledger decided, plans what is due, builds and signs, claims, and sends. The
claim is the point of no return: before it nothing exists outside this process, after it the write-ahead log
says exactly what may be on its way. Everything that changes the shard happens under its lock; sends do not,
since bytes that were claimed are safe to send late.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import replace

from sorofast import _core
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import MAX_COMMIT, CommitReply, ShardState
from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import CycleView, Plan, Run, plan_cycle
from sorofast.engine.flights import Ended, Flights
from sorofast.engine.retries import Retries
from sorofast.engine.simulate import Simulator
from sorofast.errors import DecodeError, LeaseLost, RedisUnreachable, ShardRegressed
from sorofast.executions.outcome import Outcome
from sorofast.executions.records import WAL_SCHEMA, RetryRecord, Settle, WalRecord
from sorofast.reasons import code_of, name_of
from sorofast.registry.row import Row, pack_ids, rows_of

__all__ = ["ShardRunner"]

COMMIT_TRIES_MAX = 4
COMMIT_PAUSE_S = 0.1
# More than there are channels, so that tasks which cannot run do not hide those that can.
POP_EXTRA = 64
FEE_CAP_ATTEMPTS = 3
MAX_TIME_EXTRA_S = 30
CATCH_UP_COUNT = 256
READ_ERROR = code_of("read_error")
NOT_DUE = code_of("not_due")
# A task that simply waits for its next run, or is being run, is not one that was passed over.
FRESH = frozenset({code_of("none"), NOT_DUE})
NOT_SKIPPED = frozenset({code_of("none"), NOT_DUE, code_of("in_flight"), code_of("executed")})
UNUSABLE_CHANNEL_CODES = ("txINSUFFICIENT_BALANCE", "txNO_ACCOUNT", "txBAD_AUTH")


class ShardRunner:
    """Owned from `term` until `lost` says why it is no more, or until the worker hands it over."""

    def __init__(
        self, context: WorkerContext, shard: int, term: Term, state: ShardState, table: _core.TaskTable
    ) -> None:
        self.shard = shard
        self.term = term
        self.table = table
        self.lost: str | None = None
        self.regressed = False
        self.taken_ledger = 0
        self._lock = asyncio.Lock()
        self._context = context
        self._version = state.version
        self._flights = Flights(context, shard, state)
        self._retries = Retries(context, state)
        self._simulator = Simulator(context)
        self._deferred: list[tuple[Row, int]] = []
        # Envelopes of the last owner may be on their way, and its dead letters stand until their window is over.
        for record in state.wal:
            table.hold(record.task_id)
        for dead in state.dead:
            row = self._row(dead.task_id)
            if row is not None and row.last_run_s == dead.window:
                table.park(dead.task_id, code_of("quarantined"))

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def next_wave_s(self) -> int | None:
        """The second at which the next task of the index falls due, if a channel is free to run it."""
        return self.table.next_due() if self.lost is None and self._flights.free() else None

    def skipped(self) -> dict[str, int]:
        """Tasks that wait for something, by the reason's name."""
        counts = self.table.reason_counts()
        return {name_of(code): number for code, number in counts.items() if code not in NOT_SKIPPED}

    def renewed(self, term: Term) -> None:
        """Takes the same term with a later end."""
        if term.epoch == self.term.epoch and term.trusted_until > self.term.trusted_until:
            self.term = term

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes what a closed ledger changed. Call in ledger order."""
        self.taken_ledger = entry.ledger
        self.table.apply(entry.rows, self.shard, self._context.shards)
        if entry.removed:
            self.table.remove(pack_ids(entry.removed))
            self._retries.forget_removed(entry.removed)
        self._flights.ingest(entry)
        # A task in flight is put back by whatever settles its envelope.
        deferred, self._deferred = self._deferred, []
        for row, reason in deferred:
            if row.task_id not in self._flights.tasks:
                self._reschedule(row.task_id, row.last_run_s, row.due_s, reason)

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
            ended = (await self._flights.judge(self.term))[:MAX_COMMIT]
            runs = await self._plan(until_s, ended) if not draining and self._trusted() else []
            claims = self._build(self._still_due(runs)) if runs else []
            if claims and not self._trusted():
                for record in claims:
                    self.table.schedule(record.task_id, record.due_s, code_of("lease_not_trusted"))
                claims = []
            accepted = await self._commit(ended, claims) if ended or claims or self._retries.outrun else []
            first = [self._flights.send(self._flights.launch(record)) for record in accepted]
            launched = {record.channel for record in accepted}
            return [*first, *(self._flights.resends(launched) if resend else ())]

    async def save_snapshot(self) -> None:
        """Leaves the task table in Redis, as of the last entry taken. Not while a cycle runs: the next time
        will do.
        """
        if self._lock.locked():
            return
        async with self._lock:
            if self.lost is None and self.taken_ledger:
                try:
                    self._version = await self._context.store.store_snapshot(
                        self.term, self.table.snapshot(), stream_id(self.taken_ledger), self._version
                    )
                except (LeaseLost, ShardRegressed) as error:
                    self._lose(error)
                except RedisUnreachable as error:
                    self._context.log.warning("snapshot_not_stored", shard=self.shard, error=str(error))

    async def hand_over(self) -> None:
        """Stops claiming, leaves a snapshot for the next owner and releases the lease.

        The log keeps what is in flight, and the next owner settles it.
        """
        async with self._lock:
            if self.lost is None:
                self.lost = "handed over"
                at = stream_id(self.taken_ledger) if self.taken_ledger else None
                await self._context.store.release(self.term, self.table.snapshot() if at else None, at)

    def _trusted(self) -> bool:
        return self.term.trusted(self._context.clock.monotonic())

    def _lose(self, error: Exception) -> None:
        self.lost = str(error)
        self.regressed = isinstance(error, ShardRegressed)

    def _row(self, task_id: int) -> Row | None:
        packed = self.table.get(task_id)
        return None if packed is None else next(rows_of(packed))

    def _reschedule(self, task_id: int, window: int, at_s: int, reason: int) -> None:
        """Puts a task back into the index: at `at_s`, or as soon as it is due if it has gone on to another
        window.
        """
        row = self._row(task_id)
        if row is None:
            return
        if row.last_run_s == window:
            self.table.schedule(task_id, at_s, reason)
        else:
            self.table.schedule(task_id, 0, NOT_DUE)

    def _still_due(self, runs: list[Run]) -> list[Run]:
        """Without the tasks that a ledger taken in meanwhile has shown to have run or gone."""
        kept: list[Run] = []
        for run in runs:
            row = self._row(run.row.task_id)
            if row is not None and row.last_run_s == run.row.last_run_s:
                kept.append(run)
        return kept

    # Planning and building

    async def _plan(self, until_s: int, ended: list[Ended]) -> list[Run]:
        free = self._flights.free(ended)[:MAX_COMMIT]
        landed = {case.record.task_id for case in ended}
        room = self._context.config.engine.max_inflight - (self._context.in_flight_total() - len(ended))
        rows = list(rows_of(self.table.pop_due(until_s, len(free) + POP_EXTRA)))
        if not rows:
            return []
        # Those that waited for a ledger, a channel or their back-off were counted when they fell due.
        self._context.tally.due += sum(1 for row in rows if row.reason in FRESH)
        self._retries.forget_outrun(rows)
        view = CycleView(
            close_s=self._context.ledgers.latest[1],
            until_s=until_s,
            free=free,
            inflight_room=room,
            in_flight=self._flights.tasks - landed,
            backoffs=self._retries.backoffs,
            gated=self._retries.gated,
            has_template=lambda shape: self._context.signer.template(shape) is not None,
        )
        plan = plan_cycle(rows, view)
        for row, reason in plan.next_ledger:
            self._defer(row, reason)
        for row, at_s, reason in plan.later:
            self.table.schedule(row.task_id, at_s, reason)
        return plan.run + await self._simulate(plan)

    def _defer(self, row: Row, reason: int) -> None:
        """Looks at the task again when a ledger closes; until then it is out of the index and shows the
        reason.
        """
        self.table.park(row.task_id, reason)
        self._deferred.append((row, reason))

    async def _simulate(self, plan: Plan) -> list[Run]:
        runs: list[Run] = []
        for answer in await self._simulator.run(plan.simulate, self._retries.gated):
            if answer.run is not None:
                runs.append(answer.run)
            elif answer.reason == READ_ERROR:
                # Nobody said anything about the task, so the next ledger asks again.
                self._defer(answer.row, answer.reason)
            else:
                until_s = self._retries.held_back(answer.row, answer.reason)
                self.table.schedule(answer.row.task_id, until_s, answer.reason)
        return runs

    def _build(self, runs: list[Run]) -> list[WalRecord]:
        config, (ledger, close_s) = self._context.config, self._context.ledgers.latest
        max_ledger = ledger + 1 + config.engine.envelope_ledgers
        # Admission wants the time bound two closes ahead, and a slow ledger must not end an envelope before
        # its ledger bound.
        lifetime_s = (config.engine.envelope_ledgers + 3) * self._context.ledgers.target_s
        max_time_s = math.ceil(close_s + lifetime_s) + MAX_TIME_EXTRA_S
        items = [
            (run.row.shape, run.row.task_id, run.channel, run.sequence, max_ledger, max_time_s)
            for run in runs
        ]
        try:
            built = self._context.signer.build_executes(
                self._context.contract, items, config.fees.inclusion_fee_stroops
            )
        except DecodeError as error:
            # A template was forgotten between plan and build: those tasks are simulated in the next ledger.
            self._context.log.warning("build_failed", error=str(error))
            for run in runs:
                self._defer(run.row, code_of("no_template"))
            return []
        claims: list[WalRecord] = []
        for run, (tx_hash, envelope, fee_stroops) in zip(runs, built, strict=True):
            if fee_stroops > config.fees.max_fee_stroops:
                self.table.schedule(
                    run.row.task_id, self._retries.not_before_s(FEE_CAP_ATTEMPTS), code_of("fee_above_cap")
                )
                continue
            record = WalRecord(
                schema=WAL_SCHEMA,
                task_id=run.row.task_id,
                window=run.row.last_run_s,
                attempt=self._retries.attempt_of(run.row),
                channel=run.channel,
                sequence=run.sequence,
                max_ledger=max_ledger,
                max_time_s=max_time_s,
                hash=tx_hash,
                envelope=envelope,
                claimed_ledger=ledger,
                epoch=self.term.epoch,
                shape=run.row.shape,
                due_s=run.row.due_s,
                first_run=run.simulated,
            )
            claims.append(record)
        return claims

    # Claiming and settling

    async def _commit(self, ended: list[Ended], claims: list[WalRecord]) -> list[WalRecord]:
        """One script: settles, claims, renews. Only what it accepted may be sent. A lost reply is asked
        again, identically.
        """
        ended = [self._classified(case) for case in ended]
        settles = [self._settle_of(case) for case in ended]
        outrun = sorted(self._retries.outrun)[:MAX_COMMIT]
        reply: CommitReply | None = None
        for attempt in range(COMMIT_TRIES_MAX):
            try:
                reply = await self._context.store.commit(self.term, self._version, settles, claims, outrun)
                break
            except (LeaseLost, ShardRegressed) as error:
                self._lose(error)
                return []
            except RedisUnreachable as error:
                if attempt + 1 == COMMIT_TRIES_MAX or not self._trusted():
                    self._lose(error)
                    return []
                await asyncio.sleep(COMMIT_PAUSE_S)
        if reply is None:
            return []
        self._version, self.term = reply.version, reply.term
        self._retries.outrun.difference_update(outrun)
        for case, settle in zip(ended, settles, strict=True):
            self._finish(case, settle.retry, dead=settle.dead)
        accepted = [record for record in claims if record.execution in reply.accepted]
        for record in accepted:
            self.table.hold(record.task_id)
        if reply.refused:
            # The log knows something that we do not: load it again rather than argue.
            self.lost = f"claims were refused: {', '.join(sorted(set(reply.refused.values())))}"
            self._context.log.warning("claims_refused", shard=self.shard, refused=reply.refused)
        return accepted

    def _classified(self, case: Ended) -> Ended:
        """Tells a lost race from a resolver that said no: there the task has gone on to another window."""
        row = self._row(case.record.task_id)
        raced = row is None or row.last_run_s != case.record.window
        if case.outcome is Outcome.NO_EFFECT and raced:
            return replace(case, outcome=Outcome.SUPERSEDED)
        return case

    def _settle_of(self, case: Ended) -> Settle:
        retry, dead = self._retries.record_of(case)
        included = case.view is not None and case.outcome is not Outcome.EXPIRED
        return Settle(
            record=case.record,
            outcome=case.outcome.value,
            confirmed=case.confirmed,
            history={
                "ledger": case.view.sequence_ledger if included and case.view is not None else 0,
                "detail": case.detail,
                "channel": case.record.channel,
                "due_s": case.record.due_s,
            },
            retry=retry,
            dead=dead,
        )

    def _finish(self, case: Ended, retry: RetryRecord | None, *, dead: bool) -> None:
        """After the log has it: frees the channel and decides what the task does next."""
        record = case.record
        self._flights.land(case)
        self._retries.ended(case, retry)
        self._count(case)
        if case.outcome in (Outcome.FAILED, Outcome.REFUSED):
            # Its footprint or resources may be out of date; the next try simulates.
            self._context.signer.forget(record.shape)
        if case.foreign:
            self._flights.retire(record.channel, "somebody else used its sequence")
        elif case.outcome is Outcome.REFUSED and case.detail.startswith(UNUSABLE_CHANNEL_CODES):
            self._flights.retire(record.channel, case.detail)
        if case.outcome is Outcome.EXECUTED:
            self._advance(case)
            return
        row = self._row(record.task_id)
        if dead and row is not None and row.last_run_s == record.window:
            self.table.park(record.task_id, code_of("quarantined"))
            self._context.log.warning("task_quarantined", task=record.task_id, reason=case.detail)
            return
        at_s = max(record.due_s, retry.not_before_s if retry is not None else 0)
        reason = code_of("backing_off" if retry is not None else case.outcome.value)
        self._reschedule(record.task_id, record.window, at_s, reason)

    def _count(self, case: Ended) -> None:
        tally = self._context.tally
        match case.outcome:
            case Outcome.EXECUTED:
                tally.executed += 1
                late = None
                if case.view is not None:
                    late = self._context.ledgers.ledgers_late(case.record.due_s, case.view.sequence_ledger)
                if late is not None:
                    tally.late[late] += 1
            case Outcome.NO_EFFECT | Outcome.SUPERSEDED:
                tally.no_effect += 1
            case Outcome.FAILED:
                tally.failed += 1
            case Outcome.EXPIRED:
                tally.expired += 1
            case Outcome.REFUSED | Outcome.UNKNOWN:
                tally.errors += 1

    def _advance(self, case: Ended) -> None:
        """Moves the task on to its next window, even if its entry was not among the ledger's rows."""
        row = self._row(case.record.task_id)
        if row is not None and row.last_run_s == case.record.window and case.view is not None:
            moved = row._replace(
                last_run_s=case.view.sequence_time_s,
                snapshot_ledger=max(row.snapshot_ledger, case.view.sequence_ledger),
            )
            self.table.apply(moved.pack(), self.shard, self._context.shards)
            row = self._row(case.record.task_id)
        if row is not None and row.last_run_s != case.record.window:
            self.table.schedule(case.record.task_id, 0, NOT_DUE)
