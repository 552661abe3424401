"""When an execution that did not work is tried again, and when no more.

What cost a fee for nothing backs off and, after a few such runs of its subject on one day, ends as a dead letter: one
that failed stands until somebody asks for it, one without effect ends with the day, since whoever said no may say yes.
What cost nothing backs off too, so that what cannot run does not occupy the simulator, but for ever: its next state may
let it run. What only needs a new simulation is tried again at once. Pauses are spread by chance, so that what failed
together does not come back together.

The count of a day's paid waste is kept with the shard: in the subject's retry record or dead letter, through later
windows, restarts and takeovers. Days are UTC days of ledger close times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from sorofast.coordination.shard import ShardState
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Backoff
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import STALE, Ended, Outcome
from sorofast.executions.records import RetryRecord
from sorofast.executions.waste import Waste
from sorofast.reasons import code_of

__all__ = ["Retries"]

BACKOFF_LEDGERS_MAX = 64
JITTER_SHARE = 0.5
DAY_S = 86_400
RETRIED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT, Outcome.REFUSED})
PAID_WASTE = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})
DONE = frozenset({Outcome.EXECUTED, Outcome.SUPERSEDED})
BACKING_OFF = code_of("backing_off")
QUARANTINED = code_of("quarantined")


class Retries:
    """The back-offs of one shard. `void` are executions whose back-off in the log counts no more, to be dropped with
    the next commit: somebody else has run their window, their subject is gone, or their day is over.
    """

    def __init__(self, context: WorkerContext, state: ShardState) -> None:
        self.backoffs: dict[Subject, Backoff] = {}
        self.void: set[str] = set()
        self._context = context
        self._waste_max = context.config.retry.max_attempts
        self._next_attempt: dict[Subject, tuple[int | str, int]] = {}
        self._early: dict[Subject, tuple[int | str, int]] = {}
        # What was paid for nothing, and the execution whose retry record says so.
        self._wasted: dict[Subject, Waste] = {}
        self._stored: dict[Subject, str] = {}
        self._today = 0
        for record in (*state.dead, *state.retry):
            self._count(record)
            if record.not_before_s:
                self._back_off(record)
        for record in state.retry:
            self._stored[record.key.subject] = record.execution

    def attempt_of(self, execution: Execution) -> int:
        """The number of the execution's next envelope."""
        window, attempt = self._next_attempt.get(execution.subject, (execution.window, 1))
        return attempt if window == execution.window else 1

    def paid_failures(self, subject: Subject) -> int:
        """How many of the subject's runs were included and failed today."""
        return self._waste_of(subject, self._day()).failures

    def record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of an envelope's end: a retry, or with True a dead letter; (None, False) if nothing."""
        key, today = case.record.key, self._day()
        day, included = today, case.included
        if case.outcome in PAID_WASTE and included is not None and included[1]:
            # One that was included before midnight and is settled after it counts for the day it was paid on.
            day = included[1] // DAY_S
        wasted = self._waste_of(key.subject, day)
        match case.outcome:
            case Outcome.FAILED:
                wasted = wasted.with_failure()
            case Outcome.NO_EFFECT:
                wasted = wasted.with_no_effect()
            case Outcome.EXECUTED:
                wasted = wasted.with_effect()
        attempts = self._attempts(case)
        if not attempts and not wasted:
            return None, False
        record = RetryRecord(
            source=key.source,
            id=key.id,
            window=key.window,
            attempts=attempts,
            not_before_s=self._not_before_s(case, attempts) if attempts else 0,
            reason=case.detail or case.outcome.value,
            error=case.failure.error if case.failure is not None else "",
            gated=case.outcome in PAID_WASTE and not case.early,
        )
        record = _with(record, wasted)
        if case.outcome not in PAID_WASTE or not wasted.spent(self._waste_max):
            return record, False
        if case.outcome is Outcome.FAILED:
            return msgspec.structs.replace(record, not_before_s=0), True
        # Yesterday's is over already.
        return msgspec.structs.replace(record, not_before_s=(day + 1) * DAY_S), day == today

    def unchanged(self, case: Ended) -> RetryRecord | None:
        """What the log keeps of an end that is not the task's fault: what it held against it before, and no wait."""
        key = case.record.key
        wasted = self._waste_of(key.subject, self._day())
        earlier = self._earlier(key)
        attempts = 0 if earlier is None else earlier.attempts
        if not attempts and not wasted:
            return None
        record = RetryRecord(
            source=key.source,
            id=key.id,
            window=key.window,
            attempts=attempts,
            not_before_s=earlier.until_s if earlier is not None and attempts else 0,
            reason=case.detail,
        )
        return _with(record, wasted)

    def ended(self, case: Ended, retry: RetryRecord | None, *, dead: bool = False) -> None:
        """After the log has it."""
        key = case.record.key
        wasted = Waste() if retry is None else retry.waste
        if not wasted:
            self._wasted.pop(key.subject, None)
        elif wasted.day >= self._waste_of(key.subject).day:
            self._wasted[key.subject] = wasted
        if retry is not None and not dead:
            self._store(retry)
        elif self._stored.get(key.subject) == key.name:
            del self._stored[key.subject]
        if case.outcome in DONE:
            if not wasted:
                # An earlier window's, which nothing is to be remembered of any more.
                self._drop_stored(key.subject)
            self._clear(key.subject)
            return
        self._next_attempt[key.subject] = (key.window, case.record.attempt + 1)
        if case.early:
            window, earlier = self._early.get(key.subject, (key.window, 0))
            self._early[key.subject] = (key.window, earlier + 1 if window == key.window else 1)
        if retry is not None and retry.not_before_s:
            self._back_off(retry)

    def held_back(self, execution: Execution, reason: int) -> int:
        """Backs off what a simulation would not let run; returns the second to look at it again."""
        earlier = self._earlier(execution)
        attempts = 1 + (earlier.attempts if earlier is not None else 0)
        # Those that were held back together are not to come back together.
        wait_s = self._pause_s(attempts) * self._context.rng.uniform(0.5, 1.0)
        until_s = self._context.ledgers.latest[1] + math.ceil(wait_s)
        self.backoffs[execution.subject] = Backoff(execution.window, until_s, attempts, reason)
        return until_s

    def revive(self, execution: Execution) -> None:
        """A clean slate, as an operator asked: nothing counts against the subject any more."""
        self._wasted.pop(execution.subject, None)
        self._drop_stored(execution.subject)
        self._clear(execution.subject)

    def records_of(self, subject: Subject) -> set[str]:
        """The executions of the subject whose retry records are in the log, or may still be."""
        names = {name for name in self.void if Execution.parse(name).subject == subject}
        stored = self._stored.get(subject)
        return names if stored is None else names | {stored}

    def purged(self, dead: RetryRecord) -> RetryRecord:
        """What is kept instead of a dead letter that an operator purged: it rests until the day after today."""
        day = self._day()
        kept = RetryRecord(
            source=dead.source,
            id=dead.id,
            window=dead.window,
            attempts=dead.attempts,
            not_before_s=(day + 1) * DAY_S,
            reason=dead.reason,
            error=dead.error,
            gated=dead.gated,
        )
        return _with(kept, self._waste_of(dead.key.subject, day))

    def take(self, retry: RetryRecord) -> None:
        """After the log has a record that no envelope's end gave it."""
        self._store(retry)
        self._back_off(retry)

    def forget_removed(self, subjects: Iterable[Subject]) -> None:
        """Forgets subjects that are gone, here and in the log."""
        for subject in subjects:
            backoff = self.backoffs.get(subject)
            if backoff is not None:
                self.void.add(Execution(*subject, backoff.window).name)
            self._wasted.pop(subject, None)
            self._drop_stored(subject)
            self._clear(subject)

    def look_at(self, executions: Iterable[Execution]) -> None:
        """Before these are planned: drops the back-off of a window that somebody else has run meanwhile, and holds back
        what has failed often enough today.
        """
        day = self._day()
        if day != self._today:
            self._today = day
            self._forget_days_before(day)
        for execution in executions:
            subject = execution.subject
            backoff = self.backoffs.get(subject)
            if backoff is not None and backoff.window != execution.window:
                del self.backoffs[subject]
                name = execution._replace(window=backoff.window).name
                if not self._waste_of(subject, day) or self._stored.get(subject) != name:
                    self.void.add(name)
                    if self._stored.get(subject) == name:
                        del self._stored[subject]
            if self._waste_of(subject, day).spent(self._waste_max):
                until_s = (day + 1) * DAY_S
                self.backoffs[subject] = Backoff(execution.window, until_s, 0, QUARANTINED)

    def not_before_s(self, attempts: int) -> int:
        """The second after which attempt number `attempts` + 1 may be made."""
        spread = 1 + JITTER_SHARE * self._context.rng.random()
        return self._context.ledgers.latest[1] + math.ceil(self._pause_s(attempts) * spread)

    def _pause_s(self, attempts: int) -> float:
        """How long `attempts` in a row are to be rested from, before chance spreads it."""
        wait: int = self._context.config.retry.base_ledgers * 2 ** min(attempts - 1, 10)
        return min(BACKOFF_LEDGERS_MAX, wait) * self._context.ledgers.target_s

    def _not_before_s(self, case: Ended, attempts: int) -> int:
        if case.failure is not None and case.failure.kind in STALE and attempts == 1:
            return self._context.ledgers.latest[1]
        return self.not_before_s(attempts)

    def _attempts(self, case: Ended) -> int:
        """How many attempts count against it now; 0 for what is held against nobody."""
        key = case.record.key
        if case.outcome not in RETRIED:
            return 0
        if case.early:
            # One may land early by nobody's fault. The ones after it waste money like any others.
            window, earlier = self._early.get(key.subject, (key.window, 0))
            return earlier if window == key.window else 0
        before = self._earlier(key)
        return 1 + (before.attempts if before is not None else 0)

    def _day(self) -> int:
        return self._context.ledgers.latest[1] // DAY_S

    def _waste_of(self, subject: Subject, day: int | None = None) -> Waste:
        """On that day, or on the last one of which something is known."""
        wasted = self._wasted.get(subject, Waste())
        return wasted if day is None or wasted.day == day else Waste(day)

    def _count(self, record: RetryRecord) -> None:
        """The later day counts, and on one day the greater numbers. Where no day was written down it was today."""
        subject, counted = record.key.subject, record.waste
        if not counted:
            return
        counted = counted._replace(day=counted.day or self._day())
        if counted.day >= self._waste_of(subject).day:
            self._wasted[subject] = Waste(*map(max, self._waste_of(subject, counted.day), counted))

    def _store(self, retry: RetryRecord) -> None:
        """Notes the one retry record of the subject; an earlier window's is to be dropped."""
        subject, name = retry.key.subject, retry.execution
        before = self._stored.get(subject)
        if before is not None and before != name:
            self.void.add(before)
        self._stored[subject] = name
        self.void.discard(name)

    def _drop_stored(self, subject: Subject) -> None:
        name = self._stored.pop(subject, None)
        if name is not None:
            self.void.add(name)

    def _forget_days_before(self, day: int) -> None:
        for subject, wasted in list(self._wasted.items()):
            if wasted.day >= day:
                continue
            del self._wasted[subject]
            if subject not in self.backoffs:
                self._drop_stored(subject)

    def _clear(self, subject: Subject) -> None:
        self.backoffs.pop(subject, None)
        self._next_attempt.pop(subject, None)
        self._early.pop(subject, None)

    def _earlier(self, execution: Execution) -> Backoff | None:
        earlier = self.backoffs.get(execution.subject)
        return earlier if earlier is not None and earlier.window == execution.window else None

    def _back_off(self, retry: RetryRecord) -> None:
        self.backoffs[retry.key.subject] = Backoff(
            retry.window, retry.not_before_s, retry.attempts, BACKING_OFF
        )


def _with(record: RetryRecord, wasted: Waste) -> RetryRecord:
    return msgspec.structs.replace(record, **wasted._asdict()) if wasted else record
