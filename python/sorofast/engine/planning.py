"""What one shard runs now, out of what falls due: the plan, the simulations it waits for, and the envelopes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sorofast.coordination.shard import MAX_COMMIT
from sorofast.engine import claims
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import CycleView, Plan, Run, plan_cycle
from sorofast.engine.flights import Flights
from sorofast.engine.pause import FLEET_PAUSED
from sorofast.engine.retries import Retries
from sorofast.engine.simulate import SIMULATE_TIMEOUT_S, Simulator
from sorofast.engine.sources import Sources
from sorofast.executions.outcome import Ended
from sorofast.executions.records import WalRecord
from sorofast.failpoints import failpoint
from sorofast.reasons import code_of, name_of
from sorofast.triggers.base import Due

__all__ = ["Planning"]

# More than there are channels, so that what cannot run does not hide what can.
DUE_EXTRA = 64
# How long a cycle waits for simulations, as a share of the target between closes.
ASK_WAIT_SHARE = 0.2
# What the subject's own entry says, so that nothing but a change of it helps.
UNTIL_CHANGED = frozenset({"gas_below_fee"})


class Planning:
    """Takes from the sources what is due, and gives everything back: to be run, or put off with a reason."""

    def __init__(
        self, context: WorkerContext, shard: int, sources: Sources, flights: Flights, retries: Retries
    ) -> None:
        self._context = context
        self._shard = shard
        self._sources = sources
        self._flights = flights
        self._retries = retries
        self._simulator = Simulator(context, shard, park=self._park, holds=self._holds)
        self._deferred: list[tuple[Due, int]] = []
        self._asked_ledger = 0

    def next_due_s(self) -> int | None:
        """The second at which there is something to do next, if a channel is free for it."""
        if not self._flights.free():
            return None
        simulator = self._simulator
        if simulator.asking or (
            self._context.pause.cause is None and simulator.to_ask(self._flights.templates)
        ):
            return self._context.ledgers.latest[1]
        return self._sources.next_due_s()

    def bring_back(self) -> None:
        """What was put off until a ledger closed is due again. What is in flight is brought back by whatever settles
        its envelope.
        """
        deferred, self._deferred = self._deferred, []
        for due, reason in deferred:
            if due.execution.subject not in self._flights.subjects:
                self._sources.of(due).wait(due.execution, due.due_s, reason)

    def close(self) -> None:
        """The shard is somebody else's, or is loaded anew."""
        self._simulator.close()

    async def plan(self, until_s: int, ended: Sequence[Ended]) -> list[Run]:
        """What to run now. What is known does not wait for what has to be asked about."""
        again = self._again()[: MAX_COMMIT - len(ended)]
        free = self._flights.free(ended)[: MAX_COMMIT - len(again)]
        landed = {case.record.key.subject for case in ended}
        room = self._context.config.engine.max_inflight - (self._context.in_flight.total() - len(ended))
        dues = self._sources.due(until_s, len(free) + DUE_EXTRA)
        if not dues and not again and self._simulator.idle:
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
        plan.run[:0] = again
        await self._context.pause.let_through(plan)
        self._put_off(plan)
        paused = self._context.pause.cause is not None
        if paused and not plan.simulate and not self._simulator.answered:
            return plan.run
        wait_s = SIMULATE_TIMEOUT_S if paused else self._ask_wait_s(until_s)
        seen, freed = await self._simulate(plan, 0.0 if plan.run else wait_s)
        more = plan_cycle(seen, replace(view.after(plan.run), backoffs={}, has_template=lambda _: True))
        if paused:
            # The one that was let through to try is among what was simulated.
            more.keep({due.execution for due, _ in plan.simulate}, FLEET_PAUSED)
        self._put_off(more)
        runs = plan.run + more.run
        if freed:
            # They are looked at as if they fell due now: what was learned of their call may keep them from running.
            last = plan_cycle(self._sources.due(until_s, len(free) + DUE_EXTRA), view.after(runs))
            await self._context.pause.let_through(last)
            self._put_off(last)
            self._simulator.enter(last.simulate)
            runs += last.run
        return runs

    def _again(self) -> list[Run]:
        """What was refused for the fleet's fault and is to be built again. A paused fleet has one try a ledger, so that
        asking for it once is enough.
        """
        if self._context.pause.cause is not None:
            asked_ledger, self._asked_ledger = self._asked_ledger, self._context.ledgers.latest[0]
            if asked_ledger == self._asked_ledger:
                return []
        return self._flights.rebids()

    def _ask_wait_s(self, until_s: int) -> float:
        """How long to wait for simulations: not into the second in which something else is to be sent."""
        wait_s = ASK_WAIT_SHARE * self._context.ledgers.target_s
        next_s = self._sources.next_due_s()
        if next_s is None or next_s <= until_s:
            return wait_s
        return min(wait_s, self._context.ledgers.wait_s(next_s, self._context.clock.monotonic()))

    def _put_off(self, plan: Plan) -> None:
        for due, reason in plan.next_ledger:
            self._defer(due, reason)
        for due, at_s, reason in plan.later:
            self._context.log.debug("put_off", **due.execution.fields(), reason=name_of(reason), until_s=at_s)
            self._sources.of(due).wait(due.execution, at_s, reason)

    def _defer(self, due: Due, reason: int) -> None:
        """Looks at it again when a ledger closes; until then it is out of the index and shows the reason."""
        self._context.log.debug("put_off", **due.execution.fields(), reason=name_of(reason))
        self._sources.of(due).park(due, reason)
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
            due, why, source = answer.due, answer.why, self._sources.of(answer.due)
            if why is None:
                if answer.seen:
                    seen.append(replace(due, gated=False))
                else:
                    source.wait(due.execution, due.due_s, code_of("no_template"))
                    freed += 1
                continue
            reason = code_of(why.reason)
            self._context.skips.note(self._shard, due.execution, why.reason, why.text)
            if why.reason in UNTIL_CHANGED:
                source.give_up(due.execution, reason)
            else:
                source.wait(due.execution, self._retries.held_back(due.execution, reason), reason)
        return sorted(seen, key=lambda due: due.due_s), freed

    def _park(self, due: Due, reason: int) -> None:
        self._sources.of(due).park(due, reason)

    def _holds(self, due: Due) -> bool:
        """Whether one that waits for a simulation still should."""
        return due.execution.subject not in self._flights.subjects and self._sources.of(due).still_due(due)

    def build(self, runs: Iterable[Run], epoch: int) -> list[WalRecord]:
        """Without those that a ledger taken in meanwhile has shown to have run or gone."""
        wanted = [run for run in runs if self._sources.of(run.due).still_due(run.due)]
        built = claims.build(self._context, wanted, epoch, self._retries.attempt_of)
        for due in built.without_template:
            self._defer(due, code_of("no_template"))
        for due in built.unreadable:
            self._defer(due, code_of("waiting_for_upgrade"))
        for due, fee_stroops in built.above_cap:
            self._too_dear(due, fee_stroops)
        return built.records

    def _too_dear(self, due: Due, fee_stroops: int) -> None:
        restores = self._context.templates.restores(due.template)
        self._context.templates.built(due.template)
        reason = "archived" if restores else "fee_above_cap"
        what = "restoring what is archived of it would cost" if restores else "a run would cost"
        self._context.skips.note(
            self._shard,
            due.execution,
            reason,
            f"{what} up to {fee_stroops} stroops; "
            f"fees.max_fee_stroops is {self._context.config.fees.max_fee_stroops}",
        )
        # What a run costs was said by a simulation: another one is asked before the next try.
        at_s = self._retries.held_back(due.execution, code_of(reason))
        self._sources.of(due).wait(due.execution, at_s, code_of(reason))
