"""What time it is on the network, told from the closes and this process's monotonic clock.

A close time is the freezing clock floored to seconds, and a ledger is seen some time after its freeze. So the
network's clock shows at least `close time + time since it was seen`, whatever this host's wall clock says. The
best of the recent ledgers gives the bound: the one whose close time lost least to the floor and that was seen
soonest. What the bound cannot know is how long a ledger takes to become visible. The wall clock can, if it is
right, so it may lead the bound by as much as visibility explains, and no more: beyond that, or behind it, it is
wrong and not used. A step of the wall clock in mid-run is no reason to believe it either: it is followed
backwards at once, and forwards no faster than a time daemon slews. And once a run was early because of it, it is
not believed again until it has been set back.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["VISIBLE_WITHIN_S", "NetworkTime"]

VISIBLE_WITHIN_S = 2.0
"""A ledger is visible this long after its freeze at the latest, when all is well."""
REMEMBERED = 128
SLEW_S_PER_S = 0.001
UNLIKELY_SHARE = 0.05
# The first ledger that a process sees may be old, and one may come late. Two that agree are enough to judge by.
JUDGED_FROM = 3
# It takes more closes to say that the clock is ahead.
SAID_FROM = 5
SAID_OUT_OF = 64


class NetworkTime:
    """Starts knowing nothing. Times are Unix seconds on the network's clock, or monotonic seconds of this
    process where the name says so.
    """

    def __init__(self) -> None:
        self._bases_s: deque[float] = deque(maxlen=REMEMBERED)
        self._wall_s: float | None = None
        self._disproved_s = math.inf
        self._seen_s = 0.0
        # What each close would have shown if it had been seen as soon as it could be. Not forgotten for a ledger that
        # comes late: to say that a clock is wrong takes more than to leave it alone.
        self._soonest_s: deque[float] = deque(maxlen=SAID_OUT_OF)
        self._measured_s: float | None = None
        self.drift_s: float | None = None
        """How far the wall clock was ahead of the bound when the last ledger was seen; None before there is
        enough to tell.
        """

    def observe(
        self, close_time_s: int, seen_monotonic_s: float, wall_s: float | None, late_s: float = 0.0
    ) -> None:
        """Takes a ledger that has just been seen, the wall clock at that moment, and how much sooner the ledger could
        have been seen if nobody of ours had been slow.
        """
        base_s = close_time_s - seen_monotonic_s
        self._soonest_s.append(base_s + late_s)
        self._measured_s = None if wall_s is None else wall_s - seen_monotonic_s
        if self._bases_s and self._bound_s() - base_s - 1 > VISIBLE_WITHIN_S:
            # Either this ledger came very late, or the network's clock was set back. To wait costs little.
            self._bases_s.clear()
            self._wall_s = None
        self._bases_s.append(base_s)
        if wall_s is not None and len(self._bases_s) >= JUDGED_FROM:
            self._follow(wall_s - seen_monotonic_s, seen_monotonic_s)
        self._seen_s = seen_monotonic_s

    def now_s(self, monotonic_s: float) -> float:
        """What the network's clock shows at that moment, as far as it can be known, and rather less than more.

        0.0 before the first ledger.
        """
        return monotonic_s + self._bound_s() + self.lead_s if self._bases_s else 0.0

    def frozen_s(self, close_time_s: int, seen_monotonic_s: float) -> float:
        """When the ledger that was seen then froze: within the second that its close time names, and rather
        later than this in nineteen cases of twenty.
        """
        if not self._bases_s:
            return float(close_time_s)
        # Where closes walk through the second, the two bounds meet. Where each falls on the same part of it,
        # they leave that part open.
        lowest_s = self._bound_s()
        highest_s = _second(sorted(self._bases_s)) + 1
        likely_s = lowest_s + UNLIKELY_SHARE * max(0.0, highest_s - lowest_s)
        return min(max(float(close_time_s), seen_monotonic_s + likely_s), close_time_s + 0.999)

    def disprove_wall(self, shortfall_s: float) -> None:
        """The wall clock was ahead of the network's by at least that much when it was believed."""
        if self._wall_s is not None:
            self._disproved_s, self._wall_s = self._wall_s - shortfall_s, None

    @property
    def lead_s(self) -> float:
        """What the wall clock adds to the bound; 0.0 where it is not believed."""
        if self._wall_s is None or not self._bases_s:
            return 0.0
        return max(0.0, self._wall_s - self._bound_s())

    @property
    def unexplained_s(self) -> float:
        """By how much the wall clock is wrong at least, positive when it is ahead.

        One that is behind cannot be excused: a ledger is not seen before it closes. One that seems to be ahead may be
        right on a host that is slow to look, so of several closes the one that was seen soonest counts, less what we
        know to have been slow ourselves, and less what visibility explains.
        """
        drift_s = self.drift_s or 0.0
        if drift_s < 0:
            return drift_s
        if self._measured_s is None or len(self._soonest_s) < SAID_FROM:
            return 0.0
        return max(0.0, self._measured_s - max(self._soonest_s) - VISIBLE_WITHIN_S)

    def _bound_s(self) -> float:
        """Network time less monotonic time, at least. One ledger alone may carry a validator's fast clock,
        so it takes a second one to say so.
        """
        return _second(sorted(self._bases_s, reverse=True))

    def _follow(self, measured_s: float, seen_s: float) -> None:
        bound_s = self._bound_s()
        self.drift_s = measured_s - bound_s
        if measured_s > self._disproved_s or not 0 <= self.drift_s <= VISIBLE_WITHIN_S:
            self._wall_s = None
        elif self._wall_s is None or not 0 <= self._wall_s - bound_s <= VISIBLE_WITHIN_S:
            self._wall_s = measured_s
        else:
            slewed_s = self._wall_s + SLEW_S_PER_S * (seen_s - self._seen_s)
            self._wall_s = min(measured_s, slewed_s)


def _second(ordered: list[float]) -> float:
    """The second of them, or the only one: one outlier decides nothing."""
    return ordered[min(1, len(ordered) - 1)]
