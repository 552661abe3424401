"""Every way an envelope can end."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Outcome"]


class Outcome(StrEnum):
    """What became of an envelope."""

    EXECUTED = "executed"
    NO_EFFECT = "no_effect"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNKNOWN = "unknown"
