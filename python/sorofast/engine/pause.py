"""The fleet's pause, as one worker obeys it: what is the fleet's fault stops the fleet, and no task is charged for it.

Two things pause a fleet. The follower looks for the keeper's account with every ledger, since runs without it are
taken into the ledger, fail there and are paid: once it is gone nothing is sent until a ledger shows it again. And a
refusal that every run would get (no signing power, a fee below the market, a full queue): whoever gets it writes it
down for the fleet, and from then on one run a ledger, of the whole fleet, tries whether it is over. The first that a
node takes ends the pause, whoever began it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sorofast import _core
from sorofast.chain.ledger import LedgerClock
from sorofast.coordination.control import FleetControl, Pause
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.cycle import MAX_INFLIGHT, NO_CHANNEL, Plan
from sorofast.engine.relay import OutageNotes
from sorofast.errors import RedisUnreachable
from sorofast.executions.key import Execution
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.transactions.causes import FleetCause, fleet_cause, what_to_do
from sorofast.transactions.fees import FeePolicy
from sorofast.transactions.submit import Receipt, Sent

__all__ = ["FLEET_PAUSED", "FleetPause"]

FLEET_PAUSED = code_of("fleet_paused")
# A node answers one envelope with "try again later" for reasons of that envelope: its channel has another one in the
# queue, or the node banned these bytes. So many new ones in a row are a full queue.
QUEUE_FULL_AFTER = 3
# While paused, how often a member looks whether another one has ended it, in shares of a ledger's target.
LOOK_SHARE = 0.05
LOOK_MIN_S = 0.05
LOOK_MAX_S = 0.25


@dataclass(frozen=True, slots=True)
class _Probe:
    """The run that may go out although the fleet is paused."""

    pause: int
    execution: Execution


class FleetPause:
    """`speaks` says whether this worker is the one that logs for the fleet. No method raises for an absent Redis: then
    what was known last holds.
    """

    def __init__(
        self,
        control: FleetControl,
        member: str,
        ledgers: LedgerClock,
        outages: OutageNotes,
        keeper: bytes,
        fees: FeePolicy,
    ) -> None:
        self.speaks: Callable[[], bool] = lambda: False
        self._control = control
        self._member = member
        self._ledgers = ledgers
        self._outages = outages
        self._keeper = _core.account_from_bytes(keeper)
        self._fees = fees
        self._pause: Pause | None = None
        self._gone: tuple[int, int] | None = None
        self._told = False
        self._probe: _Probe | None = None
        self._refused_in_a_row = 0
        self._changes = 0
        self._changed = asyncio.Event()
        self._said: str | None = None

    @property
    def cause(self) -> str | None:
        """Why the fleet is paused, None when it is not."""
        if self._gone is not None:
            return FleetCause.KEEPER_MISSING
        return None if self._pause is None else self._pause.cause

    def _holds(self) -> bool:
        return self.cause is not None

    # What is known

    def take(self, entry: LedgerEntry) -> None:
        """Takes what the newest ledger showed of the keeper."""
        self._told = bool(entry.keeper)
        self._gone = entry.keeper_gone_since
        self._changed.set()
        self._tell()

    async def refresh(self) -> None:
        """Reads what the fleet knows. Call before anything is planned."""
        before = self._changes
        try:
            pause = await self._control.pause()
        except RedisUnreachable:
            return
        if before == self._changes:
            self._set(pause)

    async def look_at_channels(self, members: Iterable[Mapping[str, object]], channels: int) -> None:
        """Takes what the members say of their channels: one that cannot be used is its own fault, all of them are the
        fleet's.
        """
        out = 0
        for info in members:
            reasons = info.get("quarantined")
            if isinstance(reasons, dict):
                out += sum(count for count in reasons.values() if isinstance(count, int))
        if out < channels:
            if self._pause is not None and self._pause.cause == FleetCause.NO_USABLE_CHANNEL:
                await self._end(self._pause)
        elif self.cause is None and self.speaks():
            await self._begin(FleetCause.NO_USABLE_CHANNEL, None)

    async def over(self) -> None:
        """Returns once a pause, past or to come, has ended."""
        while self.cause is None:
            await self._wait()
        while self.cause is not None:
            await self._wait(min(LOOK_MAX_S, max(LOOK_MIN_S, LOOK_SHARE * self._ledgers.target_s)))
            if self._pause is not None:
                await self.refresh()

    # What may go out

    def lets(self, record: WalRecord) -> bool:
        """Whether these bytes may be sent now."""
        return self.cause is None or (self._probe is not None and self._probe.execution == record.key)

    async def try_with(self, execution: Execution) -> bool:
        """Whether this execution may be the ledger's one try of a paused fleet."""
        pause = self._pause
        if pause is None or pause.number == 0 or self._gone is not None:
            return False
        try:
            granted = await self._control.grant_probe(pause.number, self._ledgers.latest[0])
        except RedisUnreachable:
            return False
        if granted:
            self._probe = _Probe(pause.number, execution)
        return granted

    async def let_through(self, plan: Plan) -> None:
        """Holds back what a paused fleet may not run: everything but one try a ledger."""
        if not self._holds():
            return
        runs, simulate = plan.run, plan.simulate
        first = runs[0].due if runs else simulate[0][0] if simulate else None
        tries = first is not None and await self.try_with(first.execution)
        if not self._holds():
            return
        plan.run = runs[:1] if tries and runs else []
        plan.simulate = simulate[:1] if tries and not runs else []
        free = {id(run) for run in plan.run} | {id(case) for case in plan.simulate}
        held = [run.due for run in runs if id(run) not in free]
        held += [case[0] for case in simulate if id(case) not in free]
        plan.next_ledger = [
            (due, FLEET_PAUSED if reason in (NO_CHANNEL, MAX_INFLIGHT) else reason)
            for due, reason in plan.next_ledger
        ]
        plan.next_ledger += [(due, FLEET_PAUSED) for due in held]

    async def may_resend(self, records: list[WalRecord], answers: list[Receipt | None]) -> list[int]:
        """Which of the envelopes on their way may be sent again, as places in the list: all, or one as the try."""
        if self.cause is None:
            return list(range(len(records)))
        ledger = self._ledgers.latest[0]
        # A node bans what it had no room for, so these bytes may be refused although new ones would be taken.
        usable = [
            place
            for place, answer in enumerate(answers)
            if ledger % 2 or answer is None or answer.kind is not Sent.TRY_LATER
        ]
        if not usable:
            return []
        place = usable[ledger % len(usable)]
        return [place] if await self.try_with(records[place].key) else []

    # What came of it

    def blames(self, case: Ended) -> FleetCause | None:
        """The fleet's cause of an envelope's end, for which no task is charged."""
        if case.outcome not in (Outcome.FAILED, Outcome.REFUSED):
            return None
        cause = fleet_cause(case.codes)
        # Where nobody looks for the keeper's account, a task that fails for it must back off as for itself.
        return None if cause is FleetCause.KEEPER_MISSING and not self._told else cause

    async def heard(self, record: WalRecord, receipt: Receipt, *, first: bool) -> None:
        """Takes the answer to a send; `first` says that these bytes had not been sent before."""
        probe, self._probe = self._probe, None
        if probe is not None and probe.execution != record.key:
            probe, self._probe = None, probe
        if receipt.kind is Sent.QUEUED:
            self._refused_in_a_row = 0
            if probe is not None and self._pause is not None and probe.pause == self._pause.number:
                await self._end(self._pause)
            return
        cause = fleet_cause(receipt.detail) if receipt.kind is Sent.REFUSED else None
        if receipt.kind is Sent.TRY_LATER and first:
            self._refused_in_a_row += 1
            cause = FleetCause.QUEUE_FULL if self._refused_in_a_row >= QUEUE_FULL_AFTER else None
        if cause is not None and cause is not FleetCause.KEEPER_MISSING:
            await self._begin(cause, receipt.fee_stroops, confirmed=probe is not None)

    async def _begin(self, cause: FleetCause, asked_stroops: int | None, *, confirmed: bool = False) -> None:
        """Begins the pause; of one that is known already, only a try has news."""
        if self._pause is not None and self._pause.cause == cause and not confirmed:
            return
        ledger, close_s = self._ledgers.latest
        bid_stroops = self._fees.bid().inclusion_fee_stroops
        text = what_to_do(cause, self._keeper, asked_stroops=asked_stroops, bid_stroops=bid_stroops)
        known = self._pause if self._pause is not None and self._pause.cause == cause else None
        number = 0 if known is None else known.number
        pause = known or Pause(number, cause, text, ledger, close_s)
        # Before Redis answers: what this process has ready is not sent any more.
        self._changes += 1
        self._set(pause)
        try:
            number = await self._control.begin(cause, text, ledger, close_s, self._member)
            self._changes += 1
            self._set(Pause(number, cause, text, pause.since_ledger, pause.since_s))
        except RedisUnreachable:
            return

    async def _end(self, pause: Pause) -> None:
        try:
            await self._control.end(pause.number)
        except RedisUnreachable:
            return
        if self._pause is not None and self._pause.number == pause.number:
            self._changes += 1
            self._set(None)

    # Keeping and telling it

    def _set(self, pause: Pause | None) -> None:
        if pause == self._pause:
            return
        self._pause = pause
        self._changed.set()
        self._tell()

    def _tell(self) -> None:
        """One line at the start, one a minute, one at the end. Called once per ledger and whenever it changes."""
        cause = self.cause
        if self._said is not None and self._said != cause:
            self._outages.ok(
                self._said, "fleet_resumed" if cause is None else "fleet_pause_changed", cause=self._said
            )
            self._said = None
        if cause is not None and self.speaks():
            self._said = cause
            text = what_to_do(FleetCause.KEEPER_MISSING, self._keeper)
            if self._gone is None and self._pause is not None:
                text = self._pause.text
            self._outages.failed(cause, text)

    async def _wait(self, for_s: float | None = None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(for_s):
                await self._changed.wait()
        except TimeoutError:
            return
