"""A shard's envelopes that are on their way, by the channel that carries each.

One envelope per channel at a time, so the next sequence is always the confirmed one plus one. What is in
flight is judged by the channel's account as the follower read it, and sent again, the same bytes, until a
closed ledger has decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping

from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.channels import Channels
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Run
from sorofast.engine.flight import Flight
from sorofast.engine.lookups import look_up
from sorofast.executions.key import Subject
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import RECORD_SCHEMA, WalRecord
from sorofast.failpoints import failpoint
from sorofast.transactions.causes import fleet_cause
from sorofast.transactions.failures import refusal
from sorofast.transactions.settle import Verdict, judge
from sorofast.transactions.submit import Sent, send
from sorofast.triggers.base import Due, TriggerSource

__all__ = ["Flights"]

FRUITLESS = (Outcome.EXPIRED, Outcome.REFUSED)

LOOK_WAIT_SHARE = 0.2
"""So much of a ledger's target a cycle waits for what it has asked of a node. Later answers are for the next cycle."""
RESEND_SPREAD = 0.1
"""What a full queue sent back goes out again within this share of a ledger's target."""
# A channel that so many ledgers' reads in a row do not show is not on the chain, or not among the fleet's any more.
UNSEEN_MIN = 3


class Flights:
    """What one shard has in flight. `source_of` finds who knows what an envelope was for."""

    def __init__(
        self,
        context: WorkerContext,
        shard: int,
        state: ShardState,
        source_of: Callable[[WalRecord], TriggerSource],
    ) -> None:
        self.subjects: set[Subject] = {record.key.subject for record in state.wal}
        self.channels = Channels(context, shard, state.confirmed, state.blocked)
        self._context = context
        self._shard = shard
        self._source_of = source_of
        self._flights = {record.channel: Flight(record, sends=1) for record in state.wal}
        self._lookups: dict[int, tuple[Flight, asyncio.Task[Ended | None]]] = {}
        self._views: dict[int, ChannelView] = {}
        self._events_through = 0
        self._closed = False
        for channel in context.channels_of(shard):
            if (
                channel not in state.confirmed
                and channel not in self._flights
                and channel not in state.blocked
            ):
                self.channels.missing(channel)
        self._counted()

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def templates(self) -> set[int]:
        """What the envelopes in flight were built from."""
        return {flight.record.template for flight in self._flights.values()}

    def __contains__(self, channel: object) -> bool:
        return channel in self._flights

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes the channels that a closed ledger's entry shows."""
        seen: set[int] = set()
        for channel, sequence, sequence_ledger, sequence_time_s, snapshot_ledger in entry.channels:
            if channel % self._context.shards == self._shard:
                seen.add(channel)
                self._views[channel] = ChannelView(
                    sequence, sequence_ledger, sequence_time_s, snapshot_ledger
                )
        for channel, flight in self._flights.items():
            flight.unseen = 0 if channel in seen else flight.unseen + 1
        self._events_through = max(self._events_through, entry.events_through)

    def free(self, ended: Iterable[Ended] = ()) -> list[tuple[int, int]]:
        """(channel, confirmed sequence) of every channel that may carry an envelope now.

        Those whose envelope has just `ended` are among them: the script that settles it claims anew. Those on which the
        last envelopes came to nothing are the last.
        """
        freed = {case.record.channel: case.confirmed for case in ended if not case.foreign}
        free = [
            (channel, freed.get(channel, self.channels.confirmed[channel]))
            for channel in self._context.channels_of(self._shard)
            if self.channels.usable(channel) and (channel in freed or channel not in self._flights)
        ]
        # One whose envelope has just ended is counted when the log has it.
        nothing = {case.record.channel for case in ended if case.outcome in FRUITLESS}
        return sorted(free, key=lambda one: self.channels.fruitless(one[0]) + (one[0] in nothing))

    def launch(self, record: WalRecord, due: Due | None = None) -> Flight:
        """Takes up an envelope that the log has accepted, and was built for `due`."""
        flight = self._flights[record.channel] = Flight(record, due)
        self.subjects.add(record.key.subject)
        self._counted()
        return flight

    def adopt(self, state: ShardState) -> list[WalRecord]:
        """Takes up the envelopes of the log that are not known here, and the sequences of channels without one."""
        new = [record for record in state.wal if record.channel not in self._flights]
        for record in new:
            self._flights[record.channel] = Flight(record, sends=1)
            self.subjects.add(record.key.subject)
        free: Mapping[int, int] = {
            channel: sequence for channel, sequence in state.confirmed.items() if channel not in self._flights
        }
        self.channels.confirmed.update(free)
        self.channels.block(
            {channel: why for channel, why in state.blocked.items() if channel not in self._flights}
        )
        self._counted()
        return new

    def land(self, case: Ended) -> None:
        """Frees the channel of an envelope whose end the log has."""
        channel = case.record.channel
        self._flights.pop(channel, None)
        self.subjects.discard(case.record.key.subject)
        self._counted()
        self.channels.confirmed[channel] = case.confirmed
        if case.outcome in FRUITLESS:
            self.channels.came_to_nothing(channel)
        if case.foreign:
            self.channels.moved(channel)
        elif case.outcome not in FRUITLESS:
            self.channels.included(channel)

    def _counted(self) -> None:
        if not self._closed:
            self._context.in_flight.set(self._shard, len(self._flights))

    # Judging

    async def judge(self) -> list[Ended]:
        """Every envelope that the ledgers seen so far have decided. Asks the RPC only about the unclear
        ones, and about each once a ledger; one that takes its time to answer holds nothing else up.
        """
        ended: list[Ended] = []
        begun: list[asyncio.Task[Ended | None]] = []
        ledger = self._context.ledgers.latest[0]
        for channel, flight in self._flights.items():
            record = flight.record
            view = self._views.get(channel)
            lost = flight.unseen >= UNSEEN_MIN and ledger >= record.max_ledger
            verdict = judge(record, view, self._events_through, self._context.successes, lost=lost)
            if verdict is Verdict.EXECUTED:
                foreign = view is None or view.sequence != record.sequence
                landed = next(one for one in record.hashes if one in self._context.successes)
                ended.append(Ended(record, Outcome.EXECUTED, view, "", foreign, landed=landed))
            elif verdict is Verdict.EXPIRED:
                ended.append(_over(flight, view))
            elif (
                verdict is not Verdict.PENDING
                and flight.looked_up_ledger < ledger
                and channel not in self._lookups
            ):
                flight.looked_up_ledger = ledger
                begun.append(self._look_up(flight, verdict, view))
        if begun:
            await asyncio.wait(begun, timeout=LOOK_WAIT_SHARE * self._context.ledgers.target_s)
        decided = {case.record.channel for case in ended}
        ended.extend(case for case in self._looked_up() if case.record.channel not in decided)
        return ended

    def _look_up(
        self, flight: Flight, verdict: Verdict, view: ChannelView | None
    ) -> asyncio.Task[Ended | None]:
        """Begins to ask what became of it."""
        asking = look_up(self._context, self._source_of(flight.record), flight, verdict, view)
        task = self._context.background.begin(asking, "look-up")
        self._lookups[flight.record.channel] = (flight, task)
        return task

    def _looked_up(self) -> list[Ended]:
        """What has been answered meanwhile, of envelopes that are still on their way."""
        found: list[Ended] = []
        for channel, (flight, task) in list(self._lookups.items()):
            if not task.done():
                continue
            del self._lookups[channel]
            case = task.result()
            if case is not None and self._flights.get(channel) is flight:
                found.append(case)
        return found

    def close(self) -> None:
        """Nothing of it is asked or counted any more: the shard is somebody else's, or is loaded anew. A cycle may be
        at work still.
        """
        if not self._closed:
            self._context.in_flight.forget(self._shard)
        self._closed = True
        for _, task in self._lookups.values():
            task.cancel()
        self._lookups.clear()

    # Building again

    def rebids(self) -> list[Run]:
        """What was refused for the fleet's fault, and not in this ledger, as runs on the very channel and sequence that
        it is bound to: of all envelopes on one sequence one lands at most, whoever has taken which. Their bounds are
        the first one's.
        """
        context = self._context
        if context.store.schema < RECORD_SCHEMA:
            # Nothing older can say that another hash may land, so that its bound has to be waited for.
            return []
        ledger = context.ledgers.latest[0]
        found: list[Run] = []
        for channel, flight in self._flights.items():
            record, due, view = flight.record, flight.due, self._views.get(channel)
            if due is None or flight.refusal is None or fleet_cause(flight.refusal) is None or flight.sending:
                continue
            unused = view is None or view.sequence < record.sequence
            if not unused or not flight.refused_ledger < ledger < record.max_ledger - 1:
                continue
            # It was built for one run, or was dropped or gated since: then its bound has to be waited for too.
            if context.signer.template(record.template) is not None and context.templates.usable(due):
                found.append(Run(due, channel, record.sequence, record))
        return found

    def replaced(self, records: Iterable[WalRecord]) -> list[Ended]:
        """The ends of the refused envelopes in whose place these are to be."""
        ended = []
        for record in records:
            flight = self._flights.get(record.channel)
            if flight is not None and flight.record.hash in record.other_hashes:
                ended.append(_over(flight, None))
        return ended

    # Sending

    async def resends(self, just_launched: Container[int]) -> list[Awaitable[None]]:
        """The same bytes again, for what no queue is known to hold, or has held for longer than it should."""
        ledger = self._context.ledgers.latest[0]
        flights = [
            flight
            for channel, flight in self._flights.items()
            if channel not in just_launched and flight.to_resend(ledger)
        ]
        places = await self._context.pause.may_resend(
            [flight.record for flight in flights], [flight.receipt for flight in flights]
        )
        return [self.send(flights[place], self._jitter_s(flights[place])) for place in places]

    def _jitter_s(self, flight: Flight) -> float:
        """A full queue is not asked for everything in the same moment again."""
        full = flight.receipt is not None and flight.receipt.kind is Sent.TRY_LATER
        return self._context.rng.uniform(0, RESEND_SPREAD * self._context.ledgers.target_s) if full else 0.0

    async def send(self, flight: Flight, after_s: float = 0.0) -> None:
        """Sends the envelope's bytes once, if the fleet is not paused, and remembers the answer; never raises for what
        the network may do.
        """
        if flight.sending:
            return
        flight.sending = True
        try:
            if after_s > 0:
                await asyncio.sleep(after_s)
            if not self._context.pause.lets(flight.record):
                return
            flight.sends += 1
            await failpoint("send.before")
            flight.receipt = await send(self._context.rpc, flight.record.envelope)
        finally:
            flight.sending = False
        await failpoint("send.answered")
        receipt = flight.receipt
        await self._context.pause.heard(flight.record, receipt, first=flight.sends == 1)
        self._context.tally.sent += 1
        fields = flight.record.key.fields()
        if receipt.kind is Sent.UNKNOWN:
            self._context.outages.failed("send_unanswered", receipt.error or receipt.detail, **fields)
        else:
            self._context.outages.ok("send_unanswered", "sends_answered_again")
        self._context.log.debug("send_answer", **fields, kind=receipt.kind.value, detail=receipt.detail)
        if receipt.kind is Sent.QUEUED:
            flight.queued_at_ledger = self._context.ledgers.latest[0]
            return
        if receipt.kind is Sent.REFUSED:
            flight.refused_ledger = self._context.ledgers.latest[0]
            self.channels.refused(flight.record.channel, receipt.detail)
        self._context.tally.errors += receipt.kind is not Sent.TRY_LATER
        # What is the fleet's fault is told once for the fleet, and silence above.
        if receipt.kind is Sent.REFUSED and fleet_cause(receipt.detail) is None:
            self._context.outages.news(
                "send_refused", receipt.detail, "executions", [flight.record.key.name], level="info"
            )


def _over(flight: Flight, view: ChannelView | None) -> Ended:
    """The end of an envelope that no ledger has taken, or can take any more in its own right."""
    if flight.refusal is None:
        detail, taken = "no ledger took it before its bound", flight.queued_at_ledger > 0
        return Ended(flight.record, Outcome.EXPIRED, view, detail, taken=taken)
    failure = refusal(flight.refusal)
    return Ended(flight.record, Outcome.REFUSED, view, failure.words, failure=failure, codes=flight.refusal)
