"""What is written down, and said, of an envelope that has ended."""

from __future__ import annotations

from sorofast.engine.context import WorkerContext
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import RetryRecord, Settle

__all__ = ["say", "settle_of"]

_EVENTS = {
    Outcome.FAILED: "run_failed",
    Outcome.NO_EFFECT: "run_without_effect",
    Outcome.UNKNOWN: "run_unknown",
}


def settle_of(context: WorkerContext, case: Ended, retry: RetryRecord | None, *, dead: bool) -> Settle:
    """What the log is told. `fee_stroops` in its history is what was charged, None where nobody was asked, as for a run
    that its event proved; `reserved_stroops` is the most that it can have been.
    """
    included = case.included
    ledger, time_s = included if included is not None else (0, 0)
    return Settle(
        record=case.record,
        outcome=case.outcome.value,
        confirmed=case.confirmed,
        history={
            "ledger": ledger,
            "time_s": time_s,
            "reason": case.detail,
            "error": case.failure.error if case.failure is not None else "",
            "class": case.failure.kind.value if case.failure is not None else "",
            "fee_stroops": case.fee_stroops,
            "reserved_stroops": case.record.fee_stroops,
            "ledgers_late": context.late(case),
            "channel": case.record.channel,
            "due_s": case.record.due_s,
            "dead": dead,
            "retry_s": retry.not_before_s if retry is not None else 0,
            "operation": case.record.operation.kind,
            "purpose": case.record.operation.purpose,
        },
        retry=retry,
        dead=dead,
        landed=case.landed,
    )


def say(context: WorkerContext, case: Ended, retry: RetryRecord | None, *, dead: bool) -> None:
    """One line for a run that cost something and did not work, or of which nobody can tell; details under debug."""
    record, included = case.record, case.included
    fields: dict[str, object] = {**record.key.fields(), "hash": (case.landed or record.hash).hex()}
    if included is not None:
        fields["ledger"] = included[0]
    event = _EVENTS.get(case.outcome)
    if event is None:
        context.log.debug("run_ended", **fields, outcome=case.outcome.value, reason=case.detail)
        return
    if dead:
        until = " until the next UTC day" if retry is not None and retry.not_before_s else ""
        then = f"a dead letter{until}: see 'sorofast dead list'"
    elif retry is not None and retry.not_before_s > context.ledgers.latest[1]:
        then = f"tried again in {retry.not_before_s - context.ledgers.latest[1]} s"
    else:
        then = "tried again"
    context.log.warning(
        event,
        **fields,
        attempt=record.attempt,
        reason=case.detail,
        error=case.failure.error if case.failure is not None else None,
        fee_stroops=case.fee_stroops,
        then=then,
    )
