"""Asks simulations before anything is paid for: calls without a template, calls whose last run had no effect, and runs
that failed before.

What waits for a simulation waits in a room with everything else that makes the same call. One of a room is asked about,
and what that teaches about the call serves all of them; what it says of the one task is held against that task alone,
and another one is asked about. Answers of the RPC server about itself say nothing about anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace

from sorofast.chain.models import Simulation
from sorofast.chain.xdr import read_footprint
from sorofast.engine.context import WorkerContext
from sorofast.engine.kinds import EVIDENCE, kind_of, store_key
from sorofast.engine.restoring import prepare_restore, to_restore_first
from sorofast.engine.templates import restores_shared
from sorofast.engine.verdicts import Said, Verdict
from sorofast.errors import DecodeError, RedisUnreachable, RpcError, RpcUnreachable
from sorofast.executions.key import Execution
from sorofast.failpoints import failpoint_sync
from sorofast.reasons import code_of
from sorofast.transactions.causes import Blame, classify
from sorofast.transactions.diagnostics import Diagnosis, diagnose, keeper_fee, resolver_failure
from sorofast.triggers.base import Due

__all__ = ["PER_LEDGER_MAX", "Answer", "Simulator"]

SIMULATE_TIMEOUT_S = 3.0
PER_LEDGER_MAX = 16
"""Simulations one shard asks for per ledger. Rooms take turns when there are more."""
LEADERS_MAX = 3
"""How many of a room are asked about in one cycle, each after the one before failed for reasons of its own."""
NO_EFFECT_LEDGERS = 2
"""A call that would have no effect is asked about again every so many ledgers."""

NO_TEMPLATE = code_of("no_template")
READ_ERROR = code_of("read_error")
FAILED = code_of("simulation_failed")
ARCHIVED = code_of("archived")
NO_RUN = "resolver_says_no"
ERROR_TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """The fate of one that waited. It was seen to run; or a sibling was, so that it need not wait for a simulation any
    more; or it was seen to fail, and `why`.
    """

    due: Due
    seen: bool
    why: Diagnosis | None = None


@dataclass(slots=True)
class _Room:
    """What makes the same call and waits. `alone` ones failed before: only their own simulation lets them run."""

    waiting: dict[Execution, Due] = field(default_factory=dict)
    alone: set[Execution] = field(default_factory=set)
    wanting: set[Execution] = field(default_factory=set)
    """What waits for nothing but a template."""
    ask_at_ledger: int = 0
    asked_ledger: int = -1
    reason: int = NO_TEMPLATE
    """What those that wait show."""
    led_badly: bool = False
    """The last one asked about failed or would have done nothing, perhaps for reasons of its own: the next is drawn by
    lot, so that no order of tasks keeps the others waiting.
    """


class Simulator:
    """One shard's rooms. `park(due, reason)` shows why one waits, `holds(due)` says that it still should."""

    def __init__(
        self,
        context: WorkerContext,
        shard: int,
        park: Callable[[Due, int], None],
        holds: Callable[[Due], bool],
    ) -> None:
        self._context = context
        self._shard = shard
        self._park = park
        self._holds = holds
        self._rooms: dict[int, _Room] = {}
        self._ledger = 0
        self._left = PER_LEDGER_MAX
        self._asking: asyncio.Task[list[Answer]] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is asked about, or was answered and not yet taken."""
        return not self._rooms and self._asking is None

    @property
    def asking(self) -> bool:
        """Whether there are answers, or will be."""
        return self._asking is not None

    @property
    def answered(self) -> bool:
        return self._asking is not None and self._asking.done()

    def to_ask(self, busy: Container[int]) -> bool:
        """Whether `run` would ask about something now."""
        ledger = self._context.ledgers.latest[0]
        share = self._left if ledger == self._ledger else PER_LEDGER_MAX
        return share > 0 and any(
            self._may_ask(template, room, ledger, busy) for template, room in self._rooms.items()
        )

    def _may_ask(self, template: int, room: _Room, ledger: int, busy: Container[int]) -> bool:
        return room.ask_at_ledger <= ledger and not (
            template in busy and self._context.templates.varies(template)
        )

    def enter(self, cases: Iterable[tuple[Due, bool]]) -> None:
        """Takes in who has to wait for a simulation, with True those that need one of their own."""
        for due, alone in cases:
            room = self._rooms.setdefault(due.template, _Room())
            room.waiting[due.execution] = due
            if alone:
                room.alone.add(due.execution)
            elif not due.gated and not self._context.templates.usable(due):
                room.wanting.add(due.execution)
            self._park(due, room.reason)

    async def answers(self, busy: Container[int], wait_s: float) -> list[Answer]:
        """Begins to ask, unless it is being asked already, and returns what has been answered after `wait_s` at the
        latest: a server that takes its time holds nothing up but what waits for it.

        `busy` are the templates of what is in flight: of a call that is never the same twice one runs at a time.
        """
        if self._asking is None:
            if not self.to_ask(busy):
                return []
            self._asking = self._context.background.begin(self._run(busy), "simulate")
        if wait_s > 0:
            await asyncio.wait({self._asking}, timeout=wait_s)
        if not self._asking.done():
            return []
        asked, self._asking = self._asking, None
        if asked.cancelled():
            return []
        return [answer for answer in asked.result() if self._holds(answer.due)]

    def close(self) -> None:
        """Nothing is asked any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _run(self, busy: Container[int]) -> list[Answer]:
        """Asks as far as the ledger's share reaches. Returns who need wait no longer; the others stay, parked."""
        ledger = self._context.ledgers.latest[0]
        if ledger > self._ledger:
            self._ledger, self._left = ledger, PER_LEDGER_MAX
        answers: list[Answer] = []
        asked: dict[int, int] = {}
        of_a_kind = EVIDENCE
        while self._left > 0:
            answers += self._served()
            ripe = [
                (template, room)
                for template, room in self._ripe(busy)
                if asked.get(template, 0) < LEADERS_MAX
            ]
            rooms = self._first_of_each_kind(ripe, of_a_kind)[: self._left]
            if not rooms:
                break
            of_a_kind *= 2
            self._left -= len(rooms)
            for template, room in rooms:
                asked[template] = asked.get(template, 0) + 1
                room.asked_ledger = ledger
            leaders = [self._leader(room) for _, room in rooms]
            said = await asyncio.gather(
                *(
                    self._ask(leader, alone=leader.execution in room.alone)
                    for (_, room), leader in zip(rooms, leaders, strict=True)
                )
            )
            for (_, room), leader, one in zip(rooms, leaders, said, strict=True):
                answers += self._conclude(room, leader, one)
        return answers + self._served()

    def _served(self) -> list[Answer]:
        """What need not wait any more, since its call has a template now: somebody else asked, or it has its kind's."""
        served: list[Answer] = []
        for room in self._rooms.values():
            wanting = [room.waiting[execution] for execution in room.wanting if execution in room.waiting]
            if wanting and self._context.templates.usable(wanting[0]):
                for due in wanting:
                    self._leave(room, due)
                served += [Answer(due, seen=False) for due in wanting]
        return served

    def _first_of_each_kind(self, rooms: list[tuple[int, _Room]], most: int) -> list[tuple[int, _Room]]:
        """No more than `most` of a kind of which it is not known whether all of it have to be asked about."""
        chosen: list[tuple[int, _Room]] = []
        taken: dict[int, int] = {}
        for template, room in rooms:
            if self._context.templates.undecided(next(iter(room.waiting.values()))):
                kind = kind_of(template)
                taken[kind] = taken.get(kind, 0) + 1
                if taken[kind] > most:
                    continue
            chosen.append((template, room))
        return chosen

    def _ripe(self, busy: Container[int]) -> list[tuple[int, _Room]]:
        """The rooms to ask about now: first the one that was asked about longest ago."""
        for template, room in list(self._rooms.items()):
            for due in [due for due in room.waiting.values() if not self._holds(due)]:
                self._leave(room, due)
            if not room.waiting:
                del self._rooms[template]
        ripe = [
            (template, room)
            for template, room in self._rooms.items()
            if self._may_ask(template, room, self._ledger, busy)
        ]
        return sorted(ripe, key=lambda case: case[1].asked_ledger)

    def _leader(self, room: _Room) -> Due:
        shared = [due for execution, due in room.waiting.items() if execution not in room.alone]
        candidates = shared or list(room.waiting.values())
        return self._context.rng.choice(candidates) if room.led_badly else candidates[0]

    def _conclude(self, room: _Room, leader: Due, said: Said) -> list[Answer]:
        ledger = self._ledger
        room.led_badly = said.verdict in (Verdict.FAILS, Verdict.NO_EFFECT, Verdict.WAITS)
        match said.verdict:
            case Verdict.UNKNOWN:
                # The next ledger asks again, or the one after: everybody at once is what filled the server's queue.
                self._wait(room, ledger + 1 + self._context.rng.randrange(2), said.reason)
            case Verdict.NO_EFFECT:
                self._wait(room, ledger + NO_EFFECT_LEDGERS, said.reason)
            case Verdict.WAITS:
                self._wait(room, max(ledger + 1, said.again_ledger), said.reason)
            case Verdict.FAILS:
                self._leave(room, leader)
                return [Answer(leader, seen=True, why=said.why)]
            case Verdict.RUN if said.once or leader.execution in room.alone:
                self._leave(room, leader)
                if said.once and said.others_wait:
                    self._wait(room, ledger + 1, NO_TEMPLATE)
                built_from = leader.template if said.template is None else said.template
                return [Answer(replace(leader, template=built_from), seen=True)]
            case Verdict.RUN:
                released = [due for execution, due in room.waiting.items() if execution not in room.alone]
                for due in released:
                    self._leave(room, due)
                return [Answer(due, seen=due is leader and not said.heard) for due in released]
        return []

    def _wait(self, room: _Room, ledger: int, reason: int) -> None:
        room.ask_at_ledger, room.reason = ledger, reason
        for due in room.waiting.values():
            self._park(due, reason)

    def _leave(self, room: _Room, due: Due) -> None:
        room.waiting.pop(due.execution, None)
        room.alone.discard(due.execution)
        room.wanting.discard(due.execution)

    async def _ask(self, due: Due, *, alone: bool) -> Said:
        """What is known of the call by the time it would be asked about, or a simulation.

        Of a kind that is not decided yet, the worker's shards ask one after the other, for the second answer may make
        all further ones needless; as long as it is the call that answers, and not the server or the one task.
        """
        templates, heard = self._context.templates, self._context.heard
        if alone or not templates.undecided(due):
            return await self._ask_about(due, alone=alone)
        kind = store_key(kind_of(due.template))
        async with heard.turn(kind):
            if templates.undecided(due) and not heard.taught_nothing(kind, self._ledger):
                said = await self._ask_about(due, alone=False)
                if not said.of_the_call:
                    heard.note_nothing(kind, self._ledger)
                return said
        if not due.gated and templates.usable(due):
            return Said(Verdict.RUN, 0, heard=True)
        return await self._ask_about(due, alone=False)

    async def _ask_about(self, due: Due, *, alone: bool) -> Said:
        """One simulation, or what another shard of this worker has just heard of the same call."""
        heard, template = self._context.heard, due.template
        async with heard.turn(template):
            said = heard.of(template, self._ledger)
            if said is None or (alone and said.verdict is Verdict.RUN):
                said = await self._simulate(due)
                heard.note(template, self._ledger, said)
            return said

    async def _simulate(self, due: Due) -> Said:
        """Never raises for what the network may do."""
        if due.call.described.kind == "restore":
            return await prepare_restore(self._context, due, self._answer_about)
        context, fields = self._context, due.execution.fields()
        with context.suspects.hold((due.execution.subject,)):
            # Whose sequence it is makes no difference to what the call does.
            envelope = context.signer.simulation_envelope_of(due.call.operation, list(due.values), 0, 1)
        simulation = await self._answer_about(due, envelope)
        if isinstance(simulation, Said):
            return simulation
        words = None if simulation.error is None else await context.registry_words.known()
        said = why = None
        with context.suspects.hold((due.execution.subject,)):
            failpoint_sync("simulate.judging", task=(due.execution.id,))
            if simulation.error is None:
                said = self._judge(due, simulation)
            else:
                why = diagnose(simulation.error, simulation.events, context.contract, words)
        if said is not None:
            return await self._have_restored(due, said) if said.restore else said
        if why is not None:
            fee = context.templates.fee(due.template)
            if why.reason == "gas_below_fee" and fee:
                why = replace(
                    why, text=f"gas below the fee ({fee}); deposit gas with `sorofast tasks deposit`"
                )
            return Said(Verdict.FAILS, code_of(why.reason), why)
        context.tally.errors += 1
        context.outages.failed("simulation_unreadable", _clipped(simulation.error or ""), **fields)
        return Said(Verdict.UNKNOWN, READ_ERROR)

    async def _answer_about(self, due: Due, envelope: str) -> Simulation | Said:
        """The node's answer, or what is to be said where it gives none."""
        context, fields = self._context, due.execution.fields()
        try:
            # The shard's cycle waits for this, so it may not take as long as other calls may.
            async with context.rpc.within(SIMULATE_TIMEOUT_S):
                simulation = await context.rpc.simulate(envelope)
        except (RpcUnreachable, RpcError, DecodeError) as error:
            if classify(error) is Blame.THIS_TASK:
                return _fails("refused", f"the node refuses to simulate it: {error}")
            context.tally.errors += 1
            context.outages.failed("simulation_unanswered", error, **fields)
            return Said(Verdict.UNKNOWN, READ_ERROR)
        context.outages.ok("simulation_unanswered", "simulations_answered_again")
        return simulation

    async def _have_restored(self, due: Due, said: Said) -> Said:
        """Has restored what a run cannot restore on its way; until that has landed, none of the call can run."""
        context = self._context
        context.templates.set_aside(due.template)
        try:
            again_ledger = await context.restores.ask(said.restore, due.execution.subject)
        except RedisUnreachable as error:
            context.redis_failed("note_restore", error)
            return Said(Verdict.UNKNOWN, READ_ERROR)
        context.outages.ok("note_restore")
        return replace(said, again_ledger=again_ledger)

    def _judge(self, due: Due, simulation: Simulation) -> Said:
        """What a simulation that went through says, and what it teaches about the call."""
        context, templates = self._context, self._context.templates
        # A run that writes nothing of its task is none; of other calls success is all that is wanted.
        task_id = due.values[0] if due.call.must_write is not None else None
        try:
            footprint = read_footprint(simulation.transaction_data)
            if task_id is not None and not footprint.writes(due.call.described.contract, task_id):
                failure = resolver_failure(simulation.events)
                if failure is None:
                    # That a resolver says no is what it is there for.
                    context.log.debug("task_skipped", **due.execution.fields(), reason=NO_RUN)
                else:
                    context.skips.note(self._shard, due.execution, NO_RUN, failure)
                templates.gate(due.template)
                return Said(Verdict.NO_EFFECT, code_of(NO_RUN))
            first = to_restore_first(context, due, simulation, footprint)
            if first:
                return Said(Verdict.WAITS, ARCHIVED, restore=first)
            fee = None
            if task_id is not None:
                fee = keeper_fee(simulation.events, due.call.described.contract, task_id)
            template = templates.learn(due, simulation, fee or 0)
        except DecodeError as error:
            return _fails("no template", f"no transaction can be made of it: {error}")
        if template == due.template:
            return Said(Verdict.RUN, 0, once=templates.varies(template))
        return Said(Verdict.RUN, 0, once=True, template=template, others_wait=restores_shared(due, footprint))


def _fails(error: str, text: str) -> Said:
    return Said(Verdict.FAILS, FAILED, Diagnosis("simulation_failed", error, text))


def _clipped(text: str) -> str:
    return " ".join(text.split())[:ERROR_TEXT_MAX]
