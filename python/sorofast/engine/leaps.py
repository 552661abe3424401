"""Whether what a node says of the newest ledger can be true, after the time that has passed since the last one.

Nodes behind one address may be of different minds, or of different networks. A ledger that is published is believed by
the whole fleet, and none before it is published any more: one wrong answer would stop the fleet until the network has
come that far. So a leap that no pace explains is looked at several times; what a network really did, it goes on saying.
"""

from __future__ import annotations

from sorofast.chain.models import Health

__all__ = ["LEAP_LOOKS", "Leaps"]

LEAP_LOOKS = 5
"""So many looks in a row that say the same kind of thing are believed."""
PACE_MAX = 4.0
"""A network that catches up closes its ledgers that many times as fast as its target says, for longer than a burst."""
BURST_LEDGERS = 16
SLIP_MAX_S = 60
"""Validators take no close time that is further ahead of their own clocks."""


class Leaps:
    """Seconds are this process's monotonic ones, but for close times."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._taken_s: float | None = None
        self._doubted = 0

    def taken(self, health: Health, now_s: float) -> None:
        """That ledger has been published."""
        self._last = (health.latest_ledger, health.close_time_s)
        self._taken_s, self._doubted = now_s, 0

    def remember(self, ledger: int, close_time_s: int, seen_s: float | None) -> None:
        """What the fleet has seen last, and when; None where nobody here knows."""
        self._last, self._taken_s, self._doubted = (ledger, close_time_s), seen_s, 0

    def settled(self) -> None:
        """A node showed nothing new: whoever showed a leap before it stands alone."""
        self._doubted = 0

    def doubt(self, health: Health, now_s: float, target_s: float) -> str | None:
        """Why this newer ledger is to be looked at again; None if it can be, or was seen often enough."""
        last = self._last
        if last is None:
            return None
        ledger, close_time_s = last
        ahead = health.latest_ledger - ledger
        later_s = health.close_time_s - close_time_s
        # Where nobody knows when that was, the network's own times have to fit together.
        passed_s = float(later_s) if self._taken_s is None else now_s - self._taken_s
        if ahead <= BURST_LEDGERS + PACE_MAX * passed_s / target_s and 0 <= later_s <= passed_s + SLIP_MAX_S:
            self._doubted = 0
            return None
        self._doubted += 1
        if self._doubted >= LEAP_LOOKS:
            return None
        seen = "was seen before" if self._taken_s is None else f"was seen {passed_s:.1f} s ago"
        return (
            f"a node shows ledger {health.latest_ledger}, closed {later_s} s after ledger {ledger}, which {seen}; "
            "it is asked again before that is believed"
        )
