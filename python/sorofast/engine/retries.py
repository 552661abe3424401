"""When an execution that did not work is tried again, and when no more.

What cost a fee backs off and, if it failed, ends as a dead letter after a few failures. What cost nothing backs off
too, so that what cannot run does not occupy the simulator, but for ever: its next state may let it run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sorofast.coordination.shard import ShardState
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Backoff
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import RetryRecord
from sorofast.reasons import code_of

__all__ = ["Retries"]

BACKOFF_LEDGERS_MAX = 64
RETRIED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT, Outcome.REFUSED})
BACKING_OFF = code_of("backing_off")


class Retries:
    """The back-offs of one shard. `void` are executions whose back-off in the log counts no more, to be dropped with
    the next commit: somebody else has run their window, or their subject is gone.
    """

    def __init__(self, context: WorkerContext, state: ShardState) -> None:
        self.backoffs: dict[Subject, Backoff] = {}
        self.void: set[str] = set()
        self._context = context
        self._next_attempt: dict[Subject, tuple[int | str, int]] = {}
        for record in state.retry:
            self._back_off(record)

    def attempt_of(self, execution: Execution) -> int:
        """The number of the execution's next envelope."""
        window, attempt = self._next_attempt.get(execution.subject, (execution.window, 1))
        return attempt if window == execution.window else 1

    def record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of an envelope's end: a retry, or with True a dead letter; (None, False) if nothing."""
        record = case.record
        if case.outcome not in RETRIED or case.early:
            return None, False
        earlier = self._earlier(record.key)
        attempts = 1 + (earlier.attempts if earlier is not None else 0)
        failures = (case.outcome is Outcome.FAILED) + (earlier.failures if earlier is not None else 0)
        dead = case.outcome is Outcome.FAILED and failures >= self._context.config.retry.max_attempts
        retry = RetryRecord(
            source=record.source,
            id=record.id,
            window=record.window,
            attempts=attempts,
            not_before_s=0 if dead else self.not_before_s(attempts),
            reason=case.detail or case.outcome.value,
            failures=failures,
        )
        return retry, dead

    def unchanged(self, case: Ended) -> RetryRecord | None:
        """What the log keeps of an end that is not the task's fault: what it held against it before, and no wait."""
        earlier = self._earlier(case.record.key)
        if earlier is None or not earlier.attempts:
            return None
        return RetryRecord(
            source=case.record.source,
            id=case.record.id,
            window=case.record.window,
            attempts=earlier.attempts,
            not_before_s=earlier.until_s,
            reason=case.detail,
            failures=earlier.failures,
        )

    def ended(self, case: Ended, retry: RetryRecord | None) -> None:
        """After the log has it."""
        key = case.record.key
        if case.outcome in (Outcome.EXECUTED, Outcome.SUPERSEDED):
            self.forget(key.subject)
            return
        self._next_attempt[key.subject] = (key.window, case.record.attempt + 1)
        if retry is not None:
            self._back_off(retry)

    def held_back(self, execution: Execution, reason: int) -> int:
        """Backs off what a simulation would not let run; returns the second to look at it again."""
        earlier = self._earlier(execution)
        attempts = 1 + (earlier.attempts if earlier is not None else 0)
        failures = earlier.failures if earlier is not None else 0
        close_s = self._context.ledgers.latest[1]
        # Those that were held back together are not to come back together.
        wait_s = (self.not_before_s(attempts) - close_s) * self._context.rng.uniform(0.5, 1.0)
        until_s = close_s + math.ceil(wait_s)
        self.backoffs[execution.subject] = Backoff(execution.window, until_s, attempts, reason, failures)
        return until_s

    def forget(self, subject: Subject) -> None:
        """Holds nothing against the subject any more."""
        self.backoffs.pop(subject, None)
        self._next_attempt.pop(subject, None)

    def forget_removed(self, subjects: Iterable[Subject]) -> None:
        """Forgets subjects that are gone, here and in the log."""
        for subject in subjects:
            backoff = self.backoffs.get(subject)
            if backoff is not None:
                self.void.add(Execution(*subject, backoff.window).name)
            self.forget(subject)

    def forget_outrun(self, executions: Iterable[Execution]) -> None:
        """Drops the back-off of a window that somebody else has run meanwhile, here and in the log."""
        for execution in executions:
            backoff = self.backoffs.get(execution.subject)
            if backoff is not None and backoff.window != execution.window:
                del self.backoffs[execution.subject]
                self.void.add(execution._replace(window=backoff.window).name)

    def not_before_s(self, attempts: int) -> int:
        """The second after which attempt number `attempts` + 1 may be made."""
        wait: int = self._context.config.retry.base_ledgers * 2 ** min(attempts - 1, 10)
        wait_s = math.ceil(min(BACKOFF_LEDGERS_MAX, wait) * self._context.ledgers.target_s)
        return self._context.ledgers.latest[1] + wait_s

    def _earlier(self, execution: Execution) -> Backoff | None:
        earlier = self.backoffs.get(execution.subject)
        return earlier if earlier is not None and earlier.window == execution.window else None

    def _back_off(self, retry: RetryRecord) -> None:
        self.backoffs[retry.key.subject] = Backoff(
            retry.window, retry.not_before_s, retry.attempts, BACKING_OFF, retry.failures
        )
