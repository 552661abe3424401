"""Every way an envelope can end, and what is known of one that has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sorofast.executions.records import WalRecord

__all__ = ["STALE", "ChannelView", "Ended", "Failure", "FailureClass", "Outcome"]


class Outcome(StrEnum):
    """What became of an envelope. UNKNOWN: nobody can tell any more; it can land no more either."""

    EXECUTED = "executed"
    NO_EFFECT = "no_effect"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class FailureClass(StrEnum):
    """What has to change before another attempt makes sense."""

    TARGET_FAILED = "target_failed"
    REGISTRY_REFUSED = "registry_refused"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a token contract
    STALE_FOOTPRINT = "stale_footprint"
    REFUNDABLE_FEE = "refundable_fee"
    NO_EFFECT = "no_effect"
    EARLY = "early"
    NODE_REFUSED = "node_refused"
    UNCLEAR = "unclear"


STALE = frozenset({FailureClass.STALE_FOOTPRINT, FailureClass.REFUNDABLE_FEE})
"""What a new simulation cures, so that it is tried again at once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not work: its class, the short name that groups dead letters, and a clause for people."""

    kind: FailureClass
    error: str
    words: str


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel's account entry as of `snapshot_ledger`: its sequence, and the ledger and close time that last changed
    it.
    """

    sequence: int
    sequence_ledger: int
    sequence_time_s: int
    snapshot_ledger: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An envelope whose fate is known. `view` is the channel that showed it, None where none did.

    `foreign` says that the channel's sequence is not what this envelope would have left. `ledger` and `time_s` are the
    ledger that included it and its close time, 0 where they are those of the view or unknown. `fee_stroops` is what was
    charged, None where nobody was asked.
    """

    record: WalRecord
    outcome: Outcome
    view: ChannelView | None
    detail: str
    foreign: bool = False
    ledger: int = 0
    time_s: int = 0
    fee_stroops: int | None = None
    failure: Failure | None = None
    codes: str = ""
    """`transaction code/operation code` of a failed or refused one."""
    landed: bytes = b""
    """Which of the record's hashes was included; empty where none was, or nobody knows which."""
    taken: bool = True
    """Whether a node took it into its queue. Of one that none took nothing follows for the network behind it."""

    @property
    def included(self) -> tuple[int, int] | None:
        """(ledger, close time) that included it; None where none did, or nobody knows which."""
        if self.ledger:
            return self.ledger, self.time_s
        never = self.outcome in (Outcome.EXPIRED, Outcome.REFUSED)
        if never or self.view is None or self.view.sequence != self.record.sequence:
            return None
        return self.view.sequence_ledger, self.view.sequence_time_s

    @property
    def early(self) -> bool:
        """It was included before it was due, so it cost a fee and did nothing."""
        included = self.included
        return self.outcome is Outcome.NO_EFFECT and included is not None and included[1] < self.record.due_s

    @property
    def doubts_template(self) -> bool:
        """Whether a failed run may have failed for what it was built from. Not where a contract refused or failed: a
        new simulation of the call would say the same.
        """
        return self.failure is None or self.failure.kind in (*STALE, FailureClass.UNCLEAR)

    @property
    def confirmed(self) -> int:
        """The channel's sequence after it, never below the one it was claimed on."""
        base = self.record.sequence - 1
        return base if self.view is None else max(base, self.view.sequence)
