"""The ledger's clock: which runs can still make the next ledger.

A set freezes about `target` after the last close, and the ledger's close time is the freezing clock floored
to seconds. Once ledger N is seen, everything due by close(N) + target - guard will be due when N+1 closes,
so it is sent at once, though it is not due yet. Closes that come sooner than the target make such an
envelope arrive before its task is due, which costs a fee for nothing. The guard is therefore learned: it is
the shortfall that one in twenty of the recently observed closes exceeded.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

__all__ = ["LedgerClock"]

OBSERVED_MAX = 128
SHORTFALL_QUANTILE = 0.05


class LedgerClock:
    """Closes as observed, oldest first, and what they predict. Times are whole Unix seconds unless said
    otherwise.
    """

    def __init__(self, target_s: float) -> None:
        self.target_s = target_s
        self._ledgers: deque[int] = deque(maxlen=OBSERVED_MAX)
        self._closes_s: deque[int] = deque(maxlen=OBSERVED_MAX)
        self._shortfalls_s: deque[int] = deque(maxlen=OBSERVED_MAX)

    def observe(self, ledger: int, close_time_s: int) -> None:
        """Takes a closed ledger. Ledgers come in order; one that was seen before is passed over."""
        if self._ledgers and ledger <= self._ledgers[-1]:
            return
        if self._ledgers and ledger == self._ledgers[-1] + 1:
            gap_s = close_time_s - self._closes_s[-1]
            self._shortfalls_s.append(max(0, math.floor(self.target_s) - gap_s))
        self._ledgers.append(ledger)
        self._closes_s.append(close_time_s)

    @property
    def latest(self) -> tuple[int, int]:
        """(ledger, close time); (0, 0) before the first."""
        return (self._ledgers[-1], self._closes_s[-1]) if self._ledgers else (0, 0)

    @property
    def guard_s(self) -> int:
        """How much earlier than the target a close may come, as learned; 0 until closes have shown
        otherwise.
        """
        if not self._shortfalls_s:
            return 0
        ordered = sorted(self._shortfalls_s, reverse=True)
        return ordered[math.floor(SHORTFALL_QUANTILE * len(ordered))]

    def horizon_s(self) -> int:
        """The last second that the next ledger is expected to reach."""
        ledger, close_s = self.latest
        if ledger == 0:
            return 0
        return max(close_s, math.floor(close_s + self.target_s) - self.guard_s)

    def ledgers_late(self, due_s: int, ran_in: int) -> int | None:
        """How many ledgers after the first whose close time reached `due_s` the run landed; None if out of
        memory.
        """
        if not self._ledgers or ran_in < self._ledgers[0]:
            return None
        first = bisect_left(self._closes_s, due_s)
        if first == 0 and self._closes_s[0] > due_s:
            return None
        if first == len(self._closes_s):
            return 0
        return max(0, ran_in - self._ledgers[first])
