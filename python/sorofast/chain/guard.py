"""How much sooner than the target the next close may come: what observed closes and paid mistakes teach.

Three memories, and the guard is the largest of them. Observed closes: the shortfall that one in 64 of the last
128 exceeded, since one early close in many is luck. The last two closes: a network that is catching up goes on
doing so for a while. And mistakes that were paid for, by this process or another of the fleet: those are
believed at once and forgotten slowly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["HALF_LIFE_LEDGERS", "MARGIN", "Fading", "Guard"]

OBSERVED_MAX = 128
EXCEEDED_BY_ONE_IN = 64
RECENT = 2
HALF_LIFE_LEDGERS = 128
# Decay begins at once, so what was learned starts a little above what was seen.
MARGIN = 1.25
# A close that comes sooner than this share of the target is no jitter: the network catches up, or somebody
# closes ledgers by hand. No guard would hold, and a large one would hold back everything for long.
BURST_SHARE = 0.5


class Fading:
    """Seconds that halve every HALF_LIFE_LEDGERS; only what is more than is left of them changes them."""

    def __init__(self) -> None:
        self._value_s = 0.0
        self._as_of = 0

    def at(self, ledger: int) -> float:
        elapsed = max(0, ledger - self._as_of)
        return float(self._value_s * 0.5 ** (elapsed / HALF_LIFE_LEDGERS))

    def raise_to(self, value_s: float, ledger: int) -> None:
        if value_s > self.at(ledger):
            self._value_s, self._as_of = value_s, ledger


class Guard:
    """The guard of one network, whose ledgers close `target_s` apart."""

    def __init__(self, target_s: float) -> None:
        self.max_s = target_s * BURST_SHARE
        self.paid = Fading()
        self._observed_s: deque[float] = deque(maxlen=OBSERVED_MAX)
        self._recent_s: deque[float] = deque(maxlen=RECENT)

    def observe(self, shortfall_s: float) -> None:
        """Takes how much sooner than predicted a ledger closed; 0.0 when it did not."""
        self._recent_s.append(shortfall_s)
        self._observed_s.append(shortfall_s if shortfall_s <= self.max_s else 0.0)

    def pay(self, shortfall_s: float, ledger: int) -> None:
        """Takes a shortfall that cost fees. A burst's is left to the memory of the last closes."""
        if 0 < shortfall_s <= self.max_s:
            self.paid.raise_to(min(self.max_s, shortfall_s * MARGIN), ledger)

    def learn_gaps(self, gaps_s: Sequence[float], target_s: float, ledger: int) -> None:
        """Takes the gaps between consecutive closes of before, as exact as headers have them.

        The gaps beside a burst belong to it.
        """
        shortfalls_s = [max(0.0, target_s - gap_s) for gap_s in gaps_s]
        padded_s = [0.0, *shortfalls_s, 0.0]
        usual_s = [
            shortfall_s
            for position, shortfall_s in enumerate(shortfalls_s)
            if max(padded_s[position : position + 3]) <= self.max_s
        ]
        self.paid.raise_to(_exceeded_by_few(usual_s), ledger)

    def at(self, ledger: int) -> float:
        """The guard in seconds, once that ledger has closed."""
        return max(_exceeded_by_few(self._observed_s), self.paid.at(ledger), *self._recent_s, 0.0)


def _exceeded_by_few(shortfalls_s: Iterable[float]) -> float:
    ordered = sorted(shortfalls_s, reverse=True)
    return ordered[len(ordered) // EXCEEDED_BY_ONE_IN] if ordered else 0.0
