"""Every way an envelope can end, and what is known of one that has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sorofast.executions.records import WalRecord

__all__ = ["ChannelView", "Ended", "Outcome"]


class Outcome(StrEnum):
    """What became of an envelope."""

    EXECUTED = "executed"
    NO_EFFECT = "no_effect"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNKNOWN = "unknown"


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
    """An envelope whose fate is known. `view` is the channel that showed it, None for a refusal.

    `foreign` says that somebody else has used the channel since.
    """

    record: WalRecord
    outcome: Outcome
    view: ChannelView | None
    detail: str
    foreign: bool = False

    @property
    def early(self) -> bool:
        """It was included before it was due, so it cost a fee and did nothing."""
        return (
            self.outcome is Outcome.NO_EFFECT
            and self.view is not None
            and self.view.sequence_time_s < self.record.due_s
        )

    @property
    def confirmed(self) -> int:
        """The channel's sequence after it."""
        return self.view.sequence if self.view is not None else self.record.sequence - 1
