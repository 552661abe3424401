"""A shard's envelopes that are on their way, by the channel that carries each.

One envelope per channel at a time, so the next sequence is always the confirmed one plus one. What is in
flight is judged by the channel's account as the follower read it, and sent again, the same bytes, until a
closed ledger has decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping

from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.channels import Channels
from sorofast.engine.context import WorkerContext
from sorofast.engine.flight import Flight
from sorofast.engine.lookups import look_up
from sorofast.executions.key import Subject
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.failpoints import failpoint
from sorofast.transactions.causes import fleet_cause
from sorofast.transactions.failures import refusal
from sorofast.transactions.settle import Verdict, judge
from sorofast.transactions.submit import Sent, send
from sorofast.triggers.base import TriggerSource

__all__ = ["Flights"]

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
        freed = {
            case.record.channel: case.confirmed
            for case in ended
            if not case.foreign and case.outcome is not Outcome.REFUSED
        }
        free = [
            (channel, freed.get(channel, self.channels.confirmed[channel]))
            for channel in self._context.channels_of(self._shard)
            if self.channels.usable(channel) and (channel in freed or channel not in self._flights)
        ]
        # One whose envelope has just ended is counted when the log has it.
        nothing = {case.record.channel for case in ended if case.outcome is Outcome.EXPIRED}
        return sorted(free, key=lambda one: self.channels.fruitless(one[0]) + (one[0] in nothing))

    def launch(self, record: WalRecord) -> Flight:
        """Takes up an envelope that the log has accepted."""
        flight = self._flights[record.channel] = Flight(record)
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
        if case.outcome in (Outcome.EXPIRED, Outcome.REFUSED):
            self.channels.came_to_nothing(channel)
        if case.foreign:
            self.channels.moved(channel)
        elif case.outcome is Outcome.REFUSED:
            self.channels.refused(channel, case.codes)
        elif case.outcome is not Outcome.EXPIRED:
            self.channels.included(channel)

    def _counted(self) -> None:
        if not self._closed:
            self._context.in_flight.set(self._shard, len(self._flights))

    # Judging

    async def judge(self, term: Term) -> list[Ended]:
        """Every envelope that the ledgers seen so far have decided. Asks the RPC only about the unclear
        ones, and about each once a ledger; one that takes its time to answer holds nothing else up.
        """
        ended: list[Ended] = []
        begun: list[asyncio.Task[Ended | None]] = []
        ledger = self._context.ledgers.latest[0]
        for channel, flight in self._flights.items():
            record = flight.record
            if flight.provably_unsent(term.epoch) and flight.receipt is not None:
                detail = flight.receipt.detail
                failure = refusal(detail)
                ended.append(
                    Ended(record, Outcome.REFUSED, None, failure.words, failure=failure, codes=detail)
                )
                continue
            view = self._views.get(channel)
            lost = flight.unseen >= UNSEEN_MIN and ledger >= record.max_ledger
            verdict = judge(record, view, self._events_through, self._context.successes, lost=lost)
            if verdict is Verdict.EXECUTED:
                foreign = view is None or view.sequence != record.sequence
                ended.append(Ended(record, Outcome.EXECUTED, view, "", foreign))
            elif verdict is Verdict.EXPIRED:
                ended.append(Ended(record, Outcome.EXPIRED, view, "no ledger took it before its bound"))
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
            self._context.outages.failed("send_unanswered", receipt.detail, **fields)
        else:
            self._context.outages.ok("send_unanswered", "sends_answered_again")
        self._context.log.debug("send_answer", **fields, kind=receipt.kind.value, detail=receipt.detail)
        if receipt.kind is Sent.QUEUED:
            flight.queued_at_ledger = self._context.ledgers.latest[0]
            return
        self._context.tally.errors += receipt.kind is not Sent.TRY_LATER
        # What is the fleet's fault is told once for the fleet, and silence above.
        if receipt.kind is Sent.REFUSED and fleet_cause(receipt.detail) is None:
            self._context.log.info("send_refused", **fields, detail=receipt.detail)
