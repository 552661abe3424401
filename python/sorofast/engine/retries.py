"""When a task whose run did not work is tried again, and when no more.

What cost a fee backs off and, if it failed, ends as a dead letter after a few failures. What cost nothing
backs off too, so that a task which cannot run does not occupy the simulator, but for ever: its next state
may let it run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sorofast.coordination.shard import ShardState
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Backoff
from sorofast.engine.flights import Ended
from sorofast.executions.outcome import Outcome
from sorofast.executions.records import RetryRecord, execution_name
from sorofast.reasons import code_of
from sorofast.registry.row import Row

__all__ = ["Retries"]

BACKOFF_LEDGERS_MAX = 64
RETRIED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT, Outcome.REFUSED})
BACKING_OFF = code_of("backing_off")


class Retries:
    """The back-offs of one shard. `gated` tasks are sent only after a simulation saw them run.

    `outrun` are executions whose back-off in the log is void, to be dropped with the next commit.
    """

    def __init__(self, context: WorkerContext, state: ShardState) -> None:
        self.backoffs: dict[int, Backoff] = {}
        self.gated: set[int] = set()
        self.outrun: set[str] = set()
        self._context = context
        self._next_attempt: dict[int, tuple[int, int]] = {}
        for record in state.retry:
            self._back_off(record)

    def attempt_of(self, row: Row) -> int:
        """The number of the next envelope for the task's present window."""
        window, attempt = self._next_attempt.get(row.task_id, (row.last_run_s, 1))
        return attempt if window == row.last_run_s else 1

    def record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of an envelope's end: a retry, or with True a dead letter; (None, False) if
        nothing.
        """
        record = case.record
        if case.outcome not in RETRIED or case.early:
            return None, False
        earlier = self._earlier(record.task_id, record.window)
        attempts = 1 + (earlier.attempts if earlier is not None else 0)
        failures = (case.outcome is Outcome.FAILED) + (earlier.failures if earlier is not None else 0)
        dead = case.outcome is Outcome.FAILED and failures >= self._context.config.retry.max_attempts
        retry = RetryRecord(
            task_id=record.task_id,
            window=record.window,
            attempts=attempts,
            not_before_s=0 if dead else self.not_before_s(attempts),
            reason=case.detail or case.outcome.value,
            failures=failures,
        )
        return retry, dead

    def ended(self, case: Ended, retry: RetryRecord | None) -> None:
        """After the log has it."""
        record = case.record
        if case.outcome in (Outcome.EXECUTED, Outcome.SUPERSEDED):
            self.forget(record.task_id)
            return
        self._next_attempt[record.task_id] = (record.window, record.attempt + 1)
        if case.outcome is Outcome.NO_EFFECT and not case.early:
            self.gated.add(record.task_id)
        if retry is not None:
            self._back_off(retry)

    def held_back(self, row: Row, reason: int) -> int:
        """Backs off a task that a simulation would not let run; returns the second to look at it again."""
        earlier = self._earlier(row.task_id, row.last_run_s)
        attempts = 1 + (earlier.attempts if earlier is not None else 0)
        failures = earlier.failures if earlier is not None else 0
        until_s = self.not_before_s(attempts)
        self.backoffs[row.task_id] = Backoff(row.last_run_s, until_s, attempts, reason, failures)
        return until_s

    def forget(self, task_id: int) -> None:
        """Holds nothing against the task any more."""
        self.backoffs.pop(task_id, None)
        self.gated.discard(task_id)
        self._next_attempt.pop(task_id, None)

    def forget_removed(self, task_ids: Iterable[int]) -> None:
        """Forgets tasks that are no longer in the registry, here and in the log."""
        for task_id in task_ids:
            backoff = self.backoffs.get(task_id)
            if backoff is not None:
                self.outrun.add(execution_name(task_id, backoff.window))
            self.forget(task_id)

    def forget_outrun(self, rows: Iterable[Row]) -> None:
        """Drops the back-off of a window that somebody else has run meanwhile, here and in the log."""
        for row in rows:
            backoff = self.backoffs.get(row.task_id)
            if backoff is not None and backoff.window != row.last_run_s:
                del self.backoffs[row.task_id]
                self.outrun.add(execution_name(row.task_id, backoff.window))

    def not_before_s(self, attempts: int) -> int:
        """The second after which attempt number `attempts` + 1 may be made."""
        wait: int = self._context.config.retry.base_ledgers * 2 ** min(attempts - 1, 10)
        wait_s = math.ceil(min(BACKOFF_LEDGERS_MAX, wait) * self._context.ledgers.target_s)
        return self._context.ledgers.latest[1] + wait_s

    def _earlier(self, task_id: int, window: int) -> Backoff | None:
        earlier = self.backoffs.get(task_id)
        return earlier if earlier is not None and earlier.window == window else None

    def _back_off(self, retry: RetryRecord) -> None:
        self.backoffs[retry.task_id] = Backoff(
            retry.window, retry.not_before_s, retry.attempts, BACKING_OFF, retry.failures
        )
