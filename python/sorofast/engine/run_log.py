"""What a run says of its workers' troubles: once, whoever of them met it.

Whether the RPC answers nobody or only fails in one thing is found out here, by asking it: a worker that has only sent
something, or only simulated, cannot know. While it answers nobody, whatever fails for that is one outage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.engine.digest import Digest
from sorofast.engine.loops import cancel_and_wait
from sorofast.engine.report import Failing, LedgerReport, Loaded, News, Working
from sorofast.engine.standing import Standing
from sorofast.errors import DecodeError, RpcError, RpcUnreachable
from sorofast.observability.outages import RPC_DOWN, Outages, outage_of

__all__ = ["RunLog"]

TICK_S = 0.5
ASK_EVERY_S = 1.0
ASKED_LATELY_S = 5.0
LATE_S = 15.0
"""A request that was on its way when the RPC came back may end in an error so much later."""
WAITING_MAX = 256
HELD_TOGETHER_S = 1.0
PROBE = "probe"

Trouble = Failing | Working | News


class RunLog:
    """`ask_rpc` asks the RPC for anything, and raises RpcUnreachable where it does not answer. `run` it while there are
    workers.
    """

    def __init__(
        self, log: FilteringBoundLogger, clock: Clock, ask_rpc: Callable[[], Awaitable[None]]
    ) -> None:
        self._log = log
        self._clock = clock
        self._ask_rpc = ask_rpc
        self._outages = Outages(log, clock)
        self._digest = Digest(log, clock)
        self._standing = Standing(log, clock)
        self._waiting: dict[tuple[str, str], Failing] = {}
        """What failed of the RPC and is to be told once it is known what the RPC answers, by member and kind."""
        self._judging: asyncio.Task[None] | None = None
        self._answered_s = float("-inf")
        self._back_s = float("-inf")
        self._held: dict[int, tuple[float, Loaded]] = {}

    async def run(self) -> None:
        """Says what is due, until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self._tick()
        finally:
            if self._judging is not None:
                await cancel_and_wait([self._judging])
            self.tell_held()
            self._digest.flush()

    def take(self, report: Trouble) -> None:
        match report:
            case News():
                self._digest.take(report)
            case Working():
                self._waiting.pop((report.member, report.kind), None)
                if report.seen:
                    self._outages.ok(report.kind, report.back, source=report.member, **report.fields)
                else:
                    self._outages.forget(report.member, report.kind)
            case Failing():
                self._failing(report)

    def take_ledger(self, report: LedgerReport) -> None:
        self._standing.take(report.member, report.standing)

    def held(self, slot: int, report: Loaded) -> None:
        """Takes what a worker holds: shards come one by one, and a second of them is told as one."""
        due_s, _ = self._held.get(slot, (self._clock.monotonic() + HELD_TOGETHER_S, report))
        self._held[slot] = (due_s, report)

    def tell_held(self, until_s: float = float("inf")) -> None:
        """Tells what workers hold, if it is due."""
        for slot, (due_s, report) in list(self._held.items()):
            if due_s <= until_s:
                del self._held[slot]
                self._log.info("shards_held", slot=slot, shards=report.shards, follower=report.follower)

    def gone(self, member: str) -> None:
        """That worker is no more: nothing fails it any longer."""
        self._outages.forget(member)
        self._standing.forget(member)
        self._waiting = {case: one for case, one in self._waiting.items() if case[0] != member}

    def _tick(self) -> None:
        self.tell_held(self._clock.monotonic())
        self._digest.tick()
        self._standing.tick()
        self._outages.sweep()

    def _failing(self, report: Failing) -> None:
        if report.cause != "rpc":
            self._say(report, outage_of(report.kind, report.cause) if report.cause else None)
            return
        now_s = self._clock.monotonic()
        if self._outages.lasting(RPC_DOWN):
            self._say(report, RPC_DOWN)
        elif report.since_s <= self._back_s and now_s - self._back_s < LATE_S:
            return
        elif self._outages.lasting(report.kind) and now_s - self._answered_s < ASKED_LATELY_S:
            self._say(report, report.kind)
        elif len(self._waiting) < WAITING_MAX:
            self._waiting[report.member, report.kind] = report
            if self._judging is None or self._judging.done():
                self._judging = asyncio.create_task(self._judge(), name="judge-rpc")

    def _say(self, report: Failing, outage: str | None) -> None:
        self._outages.failed(
            report.kind,
            report.reason,
            outage=outage,
            source=report.member,
            since_s=report.since_s,
            failures=report.failures,
            **report.fields,
        )

    async def _judge(self) -> None:
        """Asks the RPC, and goes on asking until it answers; says what came of it."""
        while (error := await self._unreachable()) is not None:
            since_s = min((one.since_s for one in self._waiting.values()), default=None)
            self._outages.failed(PROBE, error, outage=RPC_DOWN, since_s=since_s)
            waiting, self._waiting = self._waiting, {}
            for report in waiting.values():
                self._say(report, RPC_DOWN)
            await asyncio.sleep(ASK_EVERY_S)
        if self._outages.over(RPC_DOWN, at_s=self._answered_s):
            self._back_s = self._answered_s
        waiting, self._waiting = self._waiting, {}
        for report in waiting.values():
            self._say(report, report.kind)

    async def _unreachable(self) -> RpcUnreachable | None:
        try:
            await self._ask_rpc()
        except RpcUnreachable as error:
            return error
        except (RpcError, DecodeError):
            pass  # Odd, but an answer.
        self._answered_s = self._clock.monotonic()
        return None
