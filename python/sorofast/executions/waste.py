"""What a subject has cost on one day for nothing, and when that is enough."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MADE_UP_BY", "Waste"]

MADE_UP_BY = 4
"""So many runs with effect make up for one that was paid for without."""
OWED_TIMES = 2
"""How many times as many runs without effect as may follow each other may be paid for without being made up for."""


class Waste(NamedTuple):
    """Runs that were included and paid for on a UTC `day` of ledger close time (days since 1970, 0 where it is not
    known). `without_effect` counts those since the last run with effect; `owed` is what runs with effect have not made
    up for yet of all of them, in parts of MADE_UP_BY: a call that has its effect every second time is waste too.
    """

    day: int = 0
    failures: int = 0
    without_effect: int = 0
    owed: int = 0

    def __bool__(self) -> bool:
        return bool(self.failures or self.without_effect or self.owed)

    def with_failure(self) -> Waste:
        return self._replace(failures=self.failures + 1)

    def with_no_effect(self) -> Waste:
        return self._replace(without_effect=self.without_effect + 1, owed=self.owed + MADE_UP_BY)

    def with_effect(self) -> Waste:
        return self._replace(without_effect=0, owed=max(0, self.owed - 1))

    def spent(self, most: int) -> bool:
        """Whether nothing more is to be paid for on that day: `most` runs failed or, in a row, had no effect."""
        return self.failures + self.without_effect >= most or self.owed >= OWED_TIMES * MADE_UP_BY * most
