"""When a task whose run did not work is tried again, and when no more.

What cost a fee backs off and, if it failed, ends as a dead letter after a few attempts. What cost nothing
backs off too, so that a task which cannot run does not occupy the simulator, but for ever: its next state
may let it run.
"""

from __future__ import annotations

import math

from sorofast.coordination.shard import ShardState
from sorofast.coordination.wal import RetryRecord, execution_name
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Backoff
from sorofast.engine.flights import Ended
from sorofast.engine.reasons import code_of
from sorofast.registry.row import Row
from sorofast.transactions.settle import Outcome

__all__ = ["Retries"]

BACKOFF_LEDGERS_MAX = 64
RETRIED = frozenset({Outcome.FAILED, Outcome.NO_EFFECT, Outcome.REFUSED})


class Retries:
    """The back-offs of one shard. `gated` tasks are sent only after a simulation saw them run."""

    def __init__(self, context: WorkerContext, state: ShardState) -> None:
        self.backoffs: dict[int, Backoff] = {}
        self.gated: set[int] = set()
        self.outrun: set[str] = set()
        self._context = context
        self._attempts: dict[str, int] = {}
        for record in state.retry:
            self._back_off(record)

    def attempt_of(self, execution: str) -> int:
        """The number of the next envelope of this execution."""
        return self._attempts.get(execution, 1)

    def record_of(self, case: Ended) -> tuple[RetryRecord | None, bool]:
        """What the log keeps of an envelope's end: a retry, or with True a dead letter; (None, False) if
        nothing.
        """
        record = case.record
        if case.outcome not in RETRIED or case.early:
            return None, False
        attempts = self._attempts_after(record.task_id, record.window)
        dead = case.outcome is Outcome.FAILED and attempts >= self._context.config.retry.max_attempts
        retry = RetryRecord(
            task_id=record.task_id,
            window=record.window,
            attempts=attempts,
            not_before_s=0 if dead else self.not_before_s(attempts),
            reason=case.detail or case.outcome.value,
        )
        return retry, dead

    def ended(self, case: Ended, retry: RetryRecord | None) -> None:
        """After the log has it."""
        record = case.record
        if case.outcome is Outcome.EXECUTED:
            self.backoffs.pop(record.task_id, None)
            self.gated.discard(record.task_id)
            self._attempts.pop(record.execution, None)
            return
        self._attempts[record.execution] = record.attempt + 1
        if case.outcome is Outcome.NO_EFFECT and not case.early:
            self.gated.add(record.task_id)
        if retry is not None:
            self._back_off(retry)

    def held_back(self, row: Row, reason: int) -> int:
        """Backs off a task that a simulation would not let run; returns the second to look at it again."""
        attempts = self._attempts_after(row.task_id, row.last_run_s)
        until_s = self.not_before_s(attempts)
        self.backoffs[row.task_id] = Backoff(row.last_run_s, until_s, attempts, reason)
        return until_s

    def forget_outrun(self, rows: list[Row]) -> None:
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

    def _attempts_after(self, task_id: int, window: int) -> int:
        earlier = self.backoffs.get(task_id)
        return 1 + (earlier.attempts if earlier is not None and earlier.window == window else 0)

    def _back_off(self, retry: RetryRecord) -> None:
        self.backoffs[retry.task_id] = Backoff(
            retry.window, retry.not_before_s, retry.attempts, code_of("backing_off")
        )
