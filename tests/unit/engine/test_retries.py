"""When a run that did not work is tried again."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

from sorofast.chain.ledger import LedgerClock
from sorofast.coordination.shard import ShardState
from sorofast.engine.context import WorkerContext
from sorofast.engine.retries import BACKOFF_LEDGERS_MAX, Retries
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Outcome
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.reasons import code_of
from sorofast.settings import RetryConfig

CLOSE_S, TARGET_S, DUE_S, WINDOW = 10_000, 5, 9_990, 9_930
RUN = Execution(TASKS, 7, WINDOW)
NEXT_RUN = RUN._replace(window=DUE_S)


def context() -> WorkerContext:
    ledgers = LedgerClock(float(TARGET_S))
    ledgers.observe(100, CLOSE_S)
    # Retries reads nothing else of the context.
    config = SimpleNamespace(retry=RetryConfig(max_attempts=3, base_ledgers=2))
    return cast("WorkerContext", SimpleNamespace(config=config, ledgers=ledgers, rng=random.Random(1)))


def state(*retry: RetryRecord) -> ShardState:
    return ShardState(1, [], {}, list(retry), [], None, None)


def record(attempt: int = 1) -> WalRecord:
    return WalRecord(
        id=7,
        window=WINDOW,
        attempt=attempt,
        channel=3,
        sequence=11,
        max_ledger=110,
        max_time_s=20_000,
        hash=bytes(32),
        envelope="AAAA",
        claimed_ledger=99,
        epoch=1,
        template=9,
        due_s=DUE_S,
    )


def ended(outcome: Outcome, *, at_s: int = CLOSE_S, attempt: int = 1) -> Ended:
    return Ended(record(attempt), outcome, ChannelView(11, 100, at_s, 100), "")


def settle(retries: Retries, case: Ended) -> tuple[RetryRecord | None, bool]:
    retry, dead = retries.record_of(case)
    retries.ended(case, retry)
    return retry, dead


def test_a_paid_failure_backs_off_further_each_time_and_ends_as_a_dead_letter() -> None:
    retries = Retries(context(), state())
    seen = [settle(retries, ended(Outcome.FAILED, attempt=n)) for n in (1, 2, 3)]
    assert [(retry.attempts, retry.not_before_s, dead) for retry, dead in seen if retry] == [
        (1, CLOSE_S + 2 * TARGET_S, False),
        (2, CLOSE_S + 4 * TARGET_S, False),
        (3, 0, True),
    ]
    assert retries.attempt_of(RUN) == 4
    assert retries.attempt_of(NEXT_RUN) == 1


def test_the_attempts_of_the_last_owner_count() -> None:
    left = RetryRecord(
        id=7, window=WINDOW, attempts=2, not_before_s=CLOSE_S + 20, reason="failed", failures=2
    )
    retries = Retries(context(), state(left))
    assert settle(retries, ended(Outcome.FAILED))[1] is True


def test_no_effect_backs_off_but_never_dies() -> None:
    retries = Retries(context(), state())
    for _ in range(20):
        retry, dead = settle(retries, ended(Outcome.NO_EFFECT))
        assert retry is not None
        assert not dead
    assert retry.not_before_s == CLOSE_S + BACKOFF_LEDGERS_MAX * TARGET_S


def test_one_that_landed_too_early_is_tried_again_without_penalty() -> None:
    retries = Retries(context(), state())
    assert settle(retries, ended(Outcome.NO_EFFECT, at_s=DUE_S - 1)) == (None, False)
    assert not retries.backoffs


def test_an_expired_envelope_costs_nothing_and_is_built_again_as_another_attempt() -> None:
    retries = Retries(context(), state())
    assert settle(retries, ended(Outcome.EXPIRED)) == (None, False)
    assert retries.attempt_of(RUN) == 2


def test_a_run_clears_what_was_held_against_the_task() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.NO_EFFECT))
    settle(retries, ended(Outcome.EXECUTED))
    assert not retries.backoffs
    assert retries.attempt_of(RUN) == 1


def test_a_window_that_somebody_else_ran_takes_its_back_off_along() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    retries.forget_outrun([RUN])
    assert set(retries.backoffs) == {(TASKS, 7)}
    retries.forget_outrun([NEXT_RUN])
    assert not retries.backoffs
    assert retries.void == {f"7:{WINDOW}"}


def test_what_cost_nothing_does_not_count_as_a_paid_failure() -> None:
    retries = Retries(context(), state())
    for _ in range(5):
        retries.held_back(RUN, code_of("simulation_no_effect"))
    assert settle(retries, ended(Outcome.FAILED))[1] is False


def test_a_lost_race_is_held_against_nobody() -> None:
    retries = Retries(context(), state())
    assert settle(retries, ended(Outcome.SUPERSEDED)) == (None, False)
    assert not retries.backoffs


def test_a_removed_task_takes_its_back_off_along() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    retries.forget_removed([(TASKS, 7), (TASKS, 8)])
    assert not retries.backoffs
    assert retries.void == {f"7:{WINDOW}"}
