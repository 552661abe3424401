"""A shard's channels and the envelopes on them.

One envelope per channel at a time, so the next sequence is always the confirmed one plus one. What is in
flight is judged by the channel's account as the follower read it, and sent again, the same bytes, until a
closed ledger has decided.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Container, Iterable

from sorofast import _core
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.engine.flight import Flight
from sorofast.errors import DecodeError, RpcError, RpcUnreachable
from sorofast.executions.key import Subject
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.failpoints import failpoint
from sorofast.transactions.causes import fleet_cause
from sorofast.transactions.settle import Verdict, judge, judge_lookup
from sorofast.transactions.submit import Sent, send

__all__ = ["Flights"]

LOOK_UP_TIMEOUT_S = 3.0
RESEND_SPREAD = 0.1
"""What a full queue sent back goes out again within this share of a ledger's target."""


class Flights:
    """The channels of one shard: which are free, what the others carry."""

    def __init__(self, context: WorkerContext, shard: int, state: ShardState) -> None:
        self.subjects: set[Subject] = {record.key.subject for record in state.wal}
        self._context = context
        self._shard = shard
        self._confirmed = dict(state.confirmed)
        self._flights = {record.channel: Flight(record, sends=1) for record in state.wal}
        self._views: dict[int, ChannelView] = {}
        self.retired: dict[int, str] = {}
        self._events_through = 0
        self._counted()

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def templates(self) -> set[int]:
        """What the envelopes in flight were built from."""
        return {flight.record.template for flight in self._flights.values()}

    def ingest(self, entry: LedgerEntry) -> None:
        """Takes the channels that a closed ledger's entry shows."""
        for channel, sequence, sequence_ledger, sequence_time_s, snapshot_ledger in entry.channels:
            if channel % self._context.shards == self._shard:
                self._views[channel] = ChannelView(
                    sequence, sequence_ledger, sequence_time_s, snapshot_ledger
                )
        self._events_through = max(self._events_through, entry.events_through)

    def free(self, ended: Iterable[Ended] = ()) -> list[tuple[int, int]]:
        """(channel, confirmed sequence) of every channel that may carry an envelope now.

        Those whose envelope has just `ended` are among them: the script that settles it claims anew.
        """
        freed = {
            case.record.channel: case.confirmed
            for case in ended
            if not case.foreign and case.outcome is not Outcome.REFUSED
        }
        return [
            (channel, freed.get(channel, self._confirmed[channel]))
            for channel in self._context.channels_of(self._shard)
            if channel in self._confirmed
            and channel not in self.retired
            and (channel in freed or channel not in self._flights)
        ]

    def launch(self, record: WalRecord) -> Flight:
        """Takes up an envelope that the log has accepted."""
        flight = self._flights[record.channel] = Flight(record)
        self.subjects.add(record.key.subject)
        self._counted()
        return flight

    def land(self, case: Ended) -> None:
        """Frees the channel of an envelope whose end the log has."""
        self._flights.pop(case.record.channel, None)
        self.subjects.discard(case.record.key.subject)
        self._counted()
        self._confirmed[case.record.channel] = case.confirmed

    def _counted(self) -> None:
        self._context.in_flight.set(self._shard, len(self._flights))

    def retire(self, channel: int, why: str) -> None:
        """Never uses the channel again in this process; the operator has to look."""
        self.retired[channel] = why
        fix = "fund it with 'sorofast channels create', or find out who else uses it; then restart"
        self._context.log.error("channel_retired", channel=channel, reason=why, fix=fix)

    # Judging

    async def judge(self, term: Term) -> list[Ended]:
        """Every envelope that the ledgers seen so far have decided. Asks the RPC only about the unclear
        ones.
        """
        ended: list[Ended] = []
        unclear: list[tuple[Flight, Verdict, ChannelView]] = []
        for channel, flight in self._flights.items():
            if flight.provably_unsent(term.epoch) and flight.receipt is not None:
                ended.append(Ended(flight.record, Outcome.REFUSED, None, flight.receipt.detail))
                continue
            view = self._views.get(channel)
            if view is None:
                continue
            verdict = judge(flight.record, view, self._events_through, self._context.successes)
            if verdict is Verdict.EXECUTED:
                foreign = view.sequence > flight.record.sequence
                ended.append(Ended(flight.record, Outcome.EXECUTED, view, "", foreign))
            elif verdict is Verdict.EXPIRED:
                ended.append(
                    Ended(flight.record, Outcome.EXPIRED, view, "no ledger took it before its bound")
                )
            elif verdict is not Verdict.PENDING:
                unclear.append((flight, verdict, view))
        found = await asyncio.gather(*(self._look_up(*case) for case in unclear))
        ended.extend(case for case in found if case is not None)
        return ended

    async def _look_up(self, flight: Flight, verdict: Verdict, view: ChannelView) -> Ended | None:
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
                lookup = await self._context.rpc.get_transaction(flight.record.hash.hex())
            outcome = judge_lookup(verdict, lookup, view)
            codes = () if lookup.result_xdr is None else _core.decode_result(lookup.result_xdr)[1:]
        except (RpcUnreachable, RpcError, DecodeError, TimeoutError) as error:
            self._context.tally.errors += 1
            self._context.log.warning("lookup_failed", execution=flight.record.execution, error=repr(error))
            return None
        await failpoint("settle.looked_up")
        if outcome is None:
            return None
        foreign = verdict is Verdict.FOREIGN or outcome is Outcome.UNKNOWN
        return Ended(flight.record, outcome, view, "/".join(code for code in codes if code), foreign)

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
        return random.uniform(0, RESEND_SPREAD * self._context.ledgers.target_s) if full else 0.0

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
        if receipt.kind is Sent.QUEUED:
            flight.queued_at_ledger = self._context.ledgers.latest[0]
            return
        self._context.tally.errors += receipt.kind is not Sent.TRY_LATER
        # What is the fleet's fault is told once for the fleet.
        tell = self._context.log.info if fleet_cause(receipt.detail) is None else self._context.log.debug
        tell("send_answer", execution=flight.record.execution, kind=receipt.kind.value, detail=receipt.detail)
