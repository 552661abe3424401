"""One worker: it owns shards and reads the fleet's ledger stream. It runs a cycle of every shard for every ledger, and
once more when the network's clock passes the due time of something that no ledger announced. One worker of the fleet is
the follower besides.
"""

from __future__ import annotations

import asyncio
import contextlib

from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.loops import LoopLag, cancel_and_wait
from sorofast.engine.membership import Membership
from sorofast.engine.report import LedgerReport, Reporter
from sorofast.engine.shard import ShardRunner
from sorofast.engine.standing import CHANNELS, TASKS
from sorofast.engine.timing import share_timing, watch_wall_clock
from sorofast.errors import FleetMismatch, RedisUnreachable, SorofastError
from sorofast.observability.counters import Counts

__all__ = ["Worker"]

READ_BLOCK_MS = 1_000
READ_COUNT = 64
BETWEEN_LEDGERS_MIN_S = 0.2
BETWEEN_LEDGERS_MAX_S = 1.0
REDIS_PAUSE_S = 0.25
REDIS_PAUSE_MAX_S = 2.0
FIRST_ENTRY_PAUSE_S = 0.05
READY_SHARE = 0.1
"""What waits for the network's clock is planned, signed and in the log this share of a ledger's target before."""
READY_MAX_S = 0.5
DRAIN_POLL_S = 0.05


class Worker:
    """Runs until `stop` is set, then drains: claims nothing new, settles what it can, hands its shards
    over.
    """

    def __init__(self, context: WorkerContext, reporter: Reporter) -> None:
        self._context = context
        self._reporter = reporter
        self.stop = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._lag = LoopLag(context.clock)
        self._entry: LedgerEntry | None = None
        self.membership = Membership(context, reporter, self.position, self.stop)
        context.pause.speaks = lambda: self.membership.follows

    def position(self) -> LedgerEntry | None:
        """The last stream entry that every owned shard has taken."""
        return self._entry

    async def run(self) -> None:
        """Ends normally after a drain; raises what makes going on senseless."""
        tasks = [
            asyncio.create_task(self.membership.stay_alive(), name="stay-alive"),
            asyncio.create_task(self.membership.assign(), name="assign"),
            asyncio.create_task(self._work(), name="work"),
            asyncio.create_task(self._work_between_ledgers(), name="between-ledgers"),
            asyncio.create_task(self._resume_loop(), name="resume"),
            asyncio.create_task(self._lag.watch(), name="loop-lag"),
        ]
        stopped = asyncio.create_task(self.stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
            await self._drain(tasks)
        finally:
            stuck = await cancel_and_wait([*tasks, stopped, *self._sends])
            if stuck:
                self._context.log.error("tasks_stuck", tasks=stuck)
            with contextlib.suppress(SorofastError):
                await self.membership.leave()

    # Ledger by ledger

    async def _work(self) -> None:
        """Reads the stream and runs a cycle of every owned shard for each entry, in order."""
        fleet = self._context.fleet
        failures = 0
        while True:
            try:
                if self._entry is None:
                    entries = await fleet.last_ledgers(1)
                else:
                    after = stream_id(self._entry.ledger)
                    entries = await fleet.read_ledgers(after, READ_BLOCK_MS, READ_COUNT)
                failures = 0
                self._context.outages.ok("read_stream")
            except RedisUnreachable as error:
                failures += 1
                self._context.redis_failed("read_stream", error)
                await asyncio.sleep(min(REDIS_PAUSE_MAX_S, REDIS_PAUSE_S * failures))
                continue
            if not entries and self._entry is None:
                await asyncio.sleep(FIRST_ENTRY_PAUSE_S)
            for _, entry in entries:
                await self._take(entry, newest=entry is entries[-1][1])

    async def _take(self, entry: LedgerEntry, *, newest: bool) -> None:
        context = self._context
        if entry.generation != context.generation:
            raise FleetMismatch("the ledger stream is another fleet's: Redis was emptied or replaced")
        started, wall_s = context.clock.monotonic(), context.clock.wall()
        late_s = entry.late_ms / 1000 + self._lag.worst_s()
        if entry.resync or (self._entry is not None and entry.previous != self._entry.ledger):
            context.outages.news(
                "stream_gap",
                "what changed before these ledgers is not known; all shards are read again",
                "ledgers",
                [entry.ledger],
                fields={"previous": entry.previous, "resync": entry.resync},
            )
            await self.membership.reload_all("the ledger stream does not tell what changed")
        context.ledgers.observe(entry.ledger, entry.close_time_s, started, wall_s, late_s)
        watch_wall_clock(context.ledgers, context.outages)
        context.remember(entry)
        context.pause.take(entry)
        async with self.membership.ingesting:
            for runner in self.membership.runners.values():
                if runner.taken_ledger < entry.ledger:
                    runner.ingest(entry)
            self._entry = entry
        if newest:
            await context.templates.sync()
            await context.restores.sync()
            # An older entry is only taken in: what it would have us send is past, and the newest one settles it all.
            await self._cycle_all(resend=True)
            # After the sends: what it brings is for the ledgers to come, and Redis may take its time. With the next
            # ledger all members read what was learned at once, so what is told only then comes too late for some.
            await context.templates.tell()
            await share_timing(context)
        self._report(entry, context.clock.monotonic() - started)
        self._woken.set()

    async def _cycle_all(self, *, resend: bool) -> None:
        await self._context.pause.refresh()
        until_s = self._until_s()
        runners = list(self.membership.runners.values())
        await asyncio.gather(*(self._cycle(runner, until_s, resend=resend) for runner in runners))

    async def _cycle(self, runner: ShardRunner, until_s: int, *, resend: bool) -> None:
        """One shard's cycle; its sends go out at once, whatever the other shards still wait for."""
        for send in await runner.cycle(until_s, draining=self.stop.is_set(), resend=resend):
            task = asyncio.ensure_future(send)
            self._sends.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        """What a send may meet it deals with itself, so whatever it ends of is a mistake of ours."""
        self._sends.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._context.log.error("send_broke", exc_info=error)

    def _until_s(self) -> int:
        """The last second to work on now: what the next close will reach, or what the network's clock is about to
        pass. Envelopes of the latter are held until it has.
        """
        return self._context.ledgers.due_until_s(self._ready_by_s())

    def _ready_by_s(self) -> float:
        ahead_s = min(READY_MAX_S, READY_SHARE * self._context.ledgers.target_s)
        return self._context.clock.monotonic() + ahead_s

    async def _work_between_ledgers(self) -> None:
        """Between ledgers: runs a cycle when the network's clock passes the due time of what waits in an
        index.
        """
        while True:
            wait_s = self._next_due_in_s()
            # Not wait_for: before Python 3.12 it may swallow a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
                self._woken.clear()
                continue
            if self._entry is not None and self._next_due_in_s() <= BETWEEN_LEDGERS_MIN_S:
                await self._cycle_all(resend=False)

    async def _resume_loop(self) -> None:
        """When a pause of the fleet is over, what fell due meanwhile goes out at once."""
        while True:
            await self._context.pause.over()
            for runner in list(self.membership.runners.values()):
                await runner.resume()
            if self._entry is not None:
                await self._cycle_all(resend=True)

    def _next_due_in_s(self) -> float:
        soonest = min(
            (at for runner in self.membership.runners.values() if (at := runner.next_due_s()) is not None),
            default=None,
        )
        if soonest is None:
            return BETWEEN_LEDGERS_MAX_S
        if soonest <= self._until_s():
            # The last cycle had to leave it, so the next one is in no hurry.
            return BETWEEN_LEDGERS_MIN_S
        return min(BETWEEN_LEDGERS_MAX_S, self._context.ledgers.wait_s(soonest, self._ready_by_s()))

    def _report(self, entry: LedgerEntry, took_s: float) -> None:
        context, counts = self._context, self._context.tally
        context.tally = Counts()
        runners = self.membership.runners.values()
        for runner in runners:
            counts.merge(Counts(skipped=runner.skipped()))
        counts.rpc_calls = dict(context.rpc.transport.calls)
        context.rpc.transport.calls.clear()
        self._reporter.send(
            LedgerReport(
                member=context.member,
                ledger=entry.ledger,
                close_time_s=entry.close_time_s,
                tasks=sum(len(runner) for runner in runners),
                in_flight=context.in_flight.total(),
                duration_ms=round(took_s * 1000, 3),
                counts=counts,
                standing={TASKS: context.skips.counts(), CHANNELS: self.membership.quarantined()},
            )
        )

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        """Claims nothing new and settles what is in flight within the bound; the rest stays in the log."""
        deadline = self._context.clock.monotonic() + self._context.config.engine.drain_timeout_s
        while self._context.clock.monotonic() < deadline:
            for task in tasks:
                if task.done():
                    task.result()
            if not self._sends and not self._context.in_flight.total():
                return
            await asyncio.sleep(DRAIN_POLL_S)
        self._context.log.warning(
            "drain_incomplete",
            in_flight=self._context.in_flight.total(),
            kept="in the write-ahead log for the next owner",
        )
