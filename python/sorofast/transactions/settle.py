"""From a closed ledger to what became of an envelope. Pure: no clock, no network, no Redis.

The channel's account is the witness. A sequence is consumed, and the fee charged, exactly when a
transaction of that channel is included, whatever its outcome; one that is dropped costs neither. So the
channel's sequence number and the ledger that last changed it decide, together with the registry's events
once those are complete through that ledger. Not finding a transaction proves nothing by itself, and a success proves
no run: `execute` succeeds without effect when the task is not due.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum

from sorofast.chain.models import Lookup
from sorofast.executions.outcome import ChannelView
from sorofast.executions.records import WalRecord

__all__ = ["Found", "Verdict", "judge", "judge_lookup", "lands_in"]


class Verdict(StrEnum):
    """What a channel's state says before anybody is asked about the transaction itself."""

    PENDING = "pending"
    EXPIRED = "expired"
    EXECUTED = "executed"
    LOOK_UP = "look_up"
    FOREIGN = "foreign"
    LOST = "lost"


class Found(StrEnum):
    """What a node says about the transaction itself."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABSENT = "absent"
    """The node holds every ledger that can have included it, and none did."""
    FORGOTTEN = "forgotten"
    """Ledgers that can have included it are past what the node keeps."""
    BEHIND = "behind"
    """The node has not reached those ledgers yet."""


def judge(
    record: WalRecord,
    view: ChannelView | None,
    events_through: int,
    successes: Container[bytes],
    *,
    lost: bool = False,
) -> Verdict:
    """Judges `record` by its channel. `successes` holds the hashes of transactions that paid a keeper; `lost` says that
    reads which should show the channel no longer do.

    PENDING: it may still land, or the events do not reach the ledger yet. EXPIRED: it never can. LOOK_UP:
    it was included without a success event. FOREIGN: the channel has gone past our sequence, so another
    transaction used it as well. LOST: the channel's account is not there, or cannot be as it is shown. The last three
    are looked up.
    """
    ran = any(one in successes for one in record.hashes)
    if view is None or view.sequence < record.sequence:
        # The bound is exclusive: an envelope is valid only in ledgers below it.
        over = view is not None and view.snapshot_ledger >= record.max_ledger - 1
        if over and view is not None and view.sequence == record.sequence - 1:
            return Verdict.EXPIRED
        if lost or over:
            return Verdict.EXECUTED if ran else Verdict.LOST
        return Verdict.PENDING
    if ran:
        return Verdict.EXECUTED
    if view.sequence > record.sequence:
        return Verdict.FOREIGN
    return Verdict.LOOK_UP if events_through >= view.sequence_ledger else Verdict.PENDING


def lands_in(record: WalRecord, verdict: Verdict, view: ChannelView | None) -> tuple[int, int]:
    """The first and last ledger that can have included it; they may be in the wrong order where none can."""
    if verdict is Verdict.LOOK_UP and view is not None:
        return view.sequence_ledger, view.sequence_ledger
    last = record.max_ledger - 1
    return record.claimed_ledger + 1, last if view is None else min(last, view.snapshot_ledger)


def judge_lookup(record: WalRecord, verdict: Verdict, view: ChannelView | None, lookup: Lookup) -> Found:
    """What the answer to getTransaction says about an envelope that `judge` found unclear."""
    if lookup.status == "SUCCESS":
        return Found.SUCCEEDED
    if lookup.status == "FAILED":
        return Found.FAILED
    first, last = lands_in(record, verdict, view)
    if lookup.latest_ledger < last:
        return Found.BEHIND
    return Found.FORGOTTEN if lookup.oldest_ledger > first else Found.ABSENT
