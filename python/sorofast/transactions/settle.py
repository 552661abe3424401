"""From a closed ledger to what became of an envelope. Pure: no clock, no network, no Redis.

The channel's account is the witness. A sequence is consumed, and the fee charged, exactly when a
transaction of that channel is included, whatever its outcome; one that is dropped costs neither. So the
channel's sequence number and the ledger that last changed it decide, together with the registry's events
once those are complete through that ledger. Not finding a transaction proves nothing, and a success proves
no run: `execute` succeeds without effect when the task is not due.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum

from sorofast.chain.models import Lookup
from sorofast.executions.outcome import ChannelView, Outcome
from sorofast.executions.records import WalRecord

__all__ = ["Verdict", "judge", "judge_lookup"]


class Verdict(StrEnum):
    """What a channel's state says before anybody is asked about the transaction itself."""

    PENDING = "pending"
    EXPIRED = "expired"
    EXECUTED = "executed"
    LOOK_UP = "look_up"
    FOREIGN = "foreign"


def judge(record: WalRecord, view: ChannelView, events_through: int, successes: Container[bytes]) -> Verdict:
    """Judges `record` by its channel. `successes` holds the hashes of transactions that paid a keeper.

    PENDING: it may still land, or the events do not reach the ledger yet. EXPIRED: it never can. LOOK_UP:
    it was included without a success event. FOREIGN: the channel has gone past our sequence, so somebody
    else used it; look it up as well.
    """
    if view.sequence < record.sequence:
        # The bound is exclusive: an envelope is valid only in ledgers below it.
        over = view.snapshot_ledger >= record.max_ledger - 1 and view.sequence == record.sequence - 1
        return Verdict.EXPIRED if over else Verdict.PENDING
    if record.hash in successes:
        return Verdict.EXECUTED
    if view.sequence > record.sequence:
        return Verdict.FOREIGN
    return Verdict.LOOK_UP if events_through >= view.sequence_ledger else Verdict.PENDING


def judge_lookup(verdict: Verdict, lookup: Lookup, view: ChannelView) -> Outcome | None:
    """The outcome of an included envelope by getTransaction; None while the node asked does not cover its
    ledger.

    UNKNOWN means that the sequence was consumed by a transaction that is not ours: the channel is shared
    with somebody.
    """
    if lookup.status == "SUCCESS":
        return Outcome.NO_EFFECT
    if lookup.status == "FAILED":
        return Outcome.FAILED
    if not lookup.covers(view.sequence_ledger):
        return None
    # Past our own sequence the ledger that consumed it is not known, only a later one is; retention covers
    # both in practice.
    return Outcome.UNKNOWN
