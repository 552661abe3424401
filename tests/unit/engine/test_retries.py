"""When a run that did not work is tried again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import msgspec

from sorofast.chain.ledger import LedgerClock
from sorofast.coordination.shard import ShardState
from sorofast.engine.context import WorkerContext
from sorofast.engine.retries import BACKOFF_LEDGERS_MAX, DAY_S, JITTER_SHARE, Retries
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.outcome import ChannelView, Ended, Failure, FailureClass, Outcome
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.reasons import code_of
from sorofast.settings import RetryConfig

CLOSE_S, TARGET_S, DUE_S, WINDOW = 90_000, 5, 89_990, 89_930
TODAY = CLOSE_S // DAY_S
RUN = Execution(TASKS, 7, WINDOW)
NEXT_RUN = RUN._replace(window=DUE_S)


def context(share: float = 0.0) -> WorkerContext:
    ledgers = LedgerClock(float(TARGET_S))
    ledgers.observe(100, CLOSE_S)
    # Retries reads nothing else of the context. This chance never lengthens a pause.
    config = SimpleNamespace(retry=RetryConfig(max_attempts=3, base_ledgers=2))
    chance = SimpleNamespace(random=lambda: share, uniform=lambda low, _: low)
    return cast("WorkerContext", SimpleNamespace(config=config, ledgers=ledgers, rng=chance))


def state(*retry: RetryRecord, dead: tuple[RetryRecord, ...] = ()) -> ShardState:
    return ShardState(1, [], {}, list(retry), list(dead), None, None)


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
    retries.ended(case, retry, dead=dead)
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


def test_runs_without_effect_in_a_row_back_off_and_end_as_a_dead_letter_until_the_next_day() -> None:
    retries = Retries(context(), state())
    seen = [settle(retries, ended(Outcome.NO_EFFECT, attempt=n)) for n in (1, 2, 3)]
    assert [(retry.not_before_s, retry.without_effect, dead) for retry, dead in seen if retry] == [
        (CLOSE_S + 2 * TARGET_S, 1, False),
        (CLOSE_S + 4 * TARGET_S, 2, False),
        ((TODAY + 1) * DAY_S, 3, True),
    ]
    letter = seen[-1][0]
    assert letter is not None
    for owner in (retries, Retries(context(), state(dead=(letter,)))):
        owner.look_at([NEXT_RUN])
        held = owner.backoffs[(TASKS, 7)]
        assert (held.until_s, held.reason) == ((TODAY + 1) * DAY_S, code_of("quarantined"))


def test_a_run_with_effect_begins_the_row_of_those_without_anew() -> None:
    retries = Retries(context(), state())
    for outcome in (Outcome.NO_EFFECT, Outcome.NO_EFFECT, Outcome.EXECUTED, *2 * [Outcome.NO_EFFECT]):
        assert settle(retries, ended(outcome))[1] is False
    assert settle(retries, ended(Outcome.NO_EFFECT))[1] is True


def test_runs_without_effect_that_few_others_make_up_for_end_as_a_dead_letter_too() -> None:
    def wasted_before_the_end(*row: Outcome) -> int:
        retries, wasted = Retries(context(), state()), 0
        for _ in range(100):
            for outcome in row:
                wasted += outcome is Outcome.NO_EFFECT
                if settle(retries, ended(outcome))[1]:
                    return wasted
        return 0

    yes, no = Outcome.EXECUTED, Outcome.NO_EFFECT
    assert 3 < wasted_before_the_end(no, yes) <= 8
    assert 3 < wasted_before_the_end(no, no, yes) <= 8
    assert wasted_before_the_end(no, yes, yes, yes, yes) == 0


def test_paid_failures_and_runs_without_effect_are_counted_together() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    settle(retries, ended(Outcome.NO_EFFECT))
    retry, dead = settle(retries, ended(Outcome.FAILED))
    assert retry is not None
    assert (retry.failures, retry.without_effect, retry.not_before_s, dead) == (2, 1, 0, True)


def test_what_had_no_effect_counts_for_the_next_owner_until_it_is_made_up_for() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.NO_EFFECT))
    left = record_in(retries, ended(Outcome.NO_EFFECT))
    after = Retries(context(), state(left))
    assert settle(after, ended(Outcome.NO_EFFECT))[1] is True
    after = Retries(context(), state(left))
    for run in range(8):
        settle(after, in_window(ended(Outcome.EXECUTED), WINDOW + run))
    assert settle(after, in_window(ended(Outcome.EXECUTED), WINDOW + 8)) == (None, False)
    assert after.void == {f"7:{WINDOW + run}" for run in range(7)}
    assert record_in(after, in_window(ended(Outcome.NO_EFFECT), WINDOW + 9)).without_effect == 1


def test_a_day_s_end_forgets_what_had_no_effect() -> None:
    now = context()
    retries = Retries(now, state())
    for _ in range(2):
        settle(retries, ended(Outcome.NO_EFFECT))
    now.ledgers.observe(101, (TODAY + 1) * DAY_S)
    retry, dead = settle(retries, ended(Outcome.NO_EFFECT, at_s=(TODAY + 1) * DAY_S))
    assert retry is not None
    assert (retry.day, retry.without_effect, dead) == (TODAY + 1, 1, False)


def test_a_pause_does_not_grow_for_ever() -> None:
    retries = Retries(context(), state())
    for _ in range(20):
        retry, _ = settle(retries, ended(Outcome.REFUSED))
    assert retry is not None
    assert retry.not_before_s == CLOSE_S + BACKOFF_LEDGERS_MAX * TARGET_S


def test_one_that_landed_too_early_is_tried_again_without_penalty_and_repeated_ones_back_off() -> None:
    retries = Retries(context(), state())
    early = ended(Outcome.NO_EFFECT, at_s=DUE_S - 1)
    assert record_in(retries, early).attempts == 0
    assert not retries.backoffs
    assert record_in(retries, early).not_before_s == CLOSE_S + 2 * TARGET_S
    retry, dead = settle(retries, early)
    assert retry is not None
    assert (retry.not_before_s, dead) == ((TODAY + 1) * DAY_S, True), "they are paid for like any others"


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
    settle(retries, ended(Outcome.REFUSED))
    retries.look_at([RUN])
    assert set(retries.backoffs) == {(TASKS, 7)}
    retries.look_at([NEXT_RUN])
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


def record_in(retries: Retries, case: Ended) -> RetryRecord:
    retry, _ = settle(retries, case)
    assert retry is not None
    return retry


def in_window(case: Ended, window: int) -> Ended:
    return replace(case, record=msgspec.structs.replace(case.record, window=window))


def test_a_day_s_paid_failures_are_counted_over_runs_and_windows() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    settle(retries, ended(Outcome.EXECUTED))
    settle(retries, in_window(ended(Outcome.FAILED), DUE_S))
    _, dead = settle(retries, in_window(ended(Outcome.FAILED), DUE_S))
    assert dead


def test_the_count_reaches_the_next_owner_whatever_was_the_last_end() -> None:
    for last in (Outcome.EXECUTED, Outcome.EXPIRED, Outcome.SUPERSEDED, Outcome.UNKNOWN):
        retries = Retries(context(), state())
        settle(retries, ended(Outcome.FAILED))
        left = record_in(retries, ended(last))
        after = Retries(context(), state(left))
        assert after.paid_failures((TASKS, 7)) == 1, last
        assert not after.backoffs, last


def test_a_dead_letter_counts_for_the_next_owner_and_keeps_later_windows_of_the_day_from_being_paid_for() -> (
    None
):
    retries = Retries(context(), state())
    for _ in range(2):
        settle(retries, ended(Outcome.FAILED))
    letter = record_in(retries, ended(Outcome.FAILED))
    after = Retries(context(), state(dead=(letter,)))
    after.look_at([NEXT_RUN])
    held = after.backoffs[(TASKS, 7)]
    assert (held.window, held.until_s, held.reason) == (DUE_S, (TODAY + 1) * DAY_S, code_of("quarantined"))


def test_another_day_begins_with_a_clean_count() -> None:
    now = context()
    retries = Retries(now, state())
    for _ in range(2):
        settle(retries, ended(Outcome.FAILED))
    settle(retries, ended(Outcome.EXECUTED))
    now.ledgers.observe(101, (TODAY + 1) * DAY_S)
    retries.look_at([NEXT_RUN])
    assert retries.paid_failures((TASKS, 7)) == 0
    assert retries.void == {f"7:{WINDOW}"}
    assert settle(retries, in_window(ended(Outcome.FAILED, at_s=(TODAY + 1) * DAY_S), DUE_S))[1] is False


def test_a_failure_from_before_midnight_counts_for_the_day_it_was_paid_on() -> None:
    now = context()
    retries = Retries(now, state())
    for _ in range(2):
        settle(retries, ended(Outcome.FAILED))
    now.ledgers.observe(101, (TODAY + 1) * DAY_S)
    retry, dead = settle(retries, ended(Outcome.FAILED))
    assert retry is not None
    assert (retry.day, retry.failures, dead) == (TODAY, 3, True)


def test_what_only_needs_a_new_simulation_is_tried_again_in_the_next_ledger_and_then_backs_off() -> None:
    retries = Retries(context(), state())
    stale = replace(
        ended(Outcome.FAILED), failure=Failure(FailureClass.STALE_FOOTPRINT, "StorageExceededLimit", "")
    )
    assert record_in(retries, stale).not_before_s == CLOSE_S
    assert record_in(retries, stale).not_before_s == CLOSE_S + 4 * TARGET_S


def test_pauses_are_spread_by_chance_within_a_bound() -> None:
    shortest = record_in(Retries(context(0.0), state()), ended(Outcome.NO_EFFECT)).not_before_s
    longest = record_in(Retries(context(1.0), state()), ended(Outcome.NO_EFFECT)).not_before_s
    assert longest - CLOSE_S == (shortest - CLOSE_S) * (1 + JITTER_SHARE)


def test_a_revived_task_has_a_clean_slate() -> None:
    retries = Retries(context(), state())
    for _ in range(3):
        settle(retries, ended(Outcome.FAILED))
    retries.revive(RUN)
    retries.look_at([RUN])
    assert not retries.backoffs
    assert settle(retries, ended(Outcome.FAILED))[1] is False


def test_a_purged_dead_letter_rests_until_the_next_day_also_with_the_next_owner() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    settle(retries, ended(Outcome.FAILED))
    kept = retries.purged(record_in(retries, ended(Outcome.FAILED)))
    retries.take(kept)
    for owner in (retries, Retries(context(), state(kept))):
        assert owner.backoffs[(TASKS, 7)].until_s == (TODAY + 1) * DAY_S


def test_a_subject_has_one_record_and_an_older_window_s_is_dropped() -> None:
    retries = Retries(context(), state())
    settle(retries, ended(Outcome.FAILED))
    retries.look_at([NEXT_RUN])
    assert not retries.void, "it holds what the day has cost so far"
    settle(retries, in_window(ended(Outcome.FAILED), DUE_S))
    assert retries.void == {f"7:{WINDOW}"}
