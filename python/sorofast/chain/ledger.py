"""The ledger's clock: which runs can still make the next ledger.

A set freezes about `target` after the last close, and the ledger's close time is the freezing clock floored
to seconds. Once ledger N is seen, everything due by close(N) + target - guard will be due when N+1 closes,
so it is sent at once, though it is not due yet. What falls due after that is sent when the network's clock,
as `network_time` tells it, has passed it: whatever ledger takes it then freezes later still. The wall clock of
this host decides nothing here by itself.

An envelope that arrives before its task is due costs a fee for nothing. Closes that come sooner than the
target do that, so the guard is learned (`guard`), and so is how far the network's clock is not to be trusted.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sorofast.chain.guard import MARGIN, Fading, Guard
from sorofast.chain.network_time import VISIBLE_WITHIN_S, NetworkTime

__all__ = ["LedgerClock", "Lessons", "stalled_after_s"]

OBSERVED_MAX = 128
# An envelope may wait so many ledgers for its turn, and still be early for the same reason.
WAITED_LEDGERS_MAX = 6
CLOCK_LAG_MAX_S = VISIBLE_WITHIN_S + 1
STALLED_TARGETS = 10
STALLED_MIN_S = 30.0
LATE_TARGETS = 5
LATE_MIN_S = 15.0
# Just past the moment, so that what was waited for is due.
PAST_S = 0.002


def stalled_after_s(target_s: float) -> float:
    """Without a ledger for so long, a network does not just take its time."""
    return max(LATE_MIN_S, LATE_TARGETS * target_s)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What paid mistakes have taught, in seconds: members of a fleet share it. `horizon_s` is about when the
    next ledger closes, `clock_lag_s` about what the network's clock shows.
    """

    horizon_s: float = 0.0
    clock_lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """An observed ledger: its close time, when in that second it froze, what the wall clock was believed to
    add, and the last second that was sent for the ledger after it.
    """

    ledger: int
    close_s: int
    frozen_s: float
    lead_s: float
    horizon_s: int


class LedgerClock:
    """Closes as observed, oldest first, and what they predict.

    Close and due times are whole Unix seconds on the network's clock; monotonic times are this process's.
    `clock_guard_s` is by how much the network's clock must have passed a second before that second counts as
    due; unless `eager`, nothing else makes it due.
    """

    def __init__(self, target_s: float, *, clock_guard_s: float = 0.5, eager: bool = True) -> None:
        self.target_s = target_s
        self._clock_guard_s = clock_guard_s
        self._eager = eager
        self._network = NetworkTime()
        self._guard = Guard(target_s)
        self._clock_lag = Fading()
        self._lag_before: tuple[int, float] = (0, 0.0)
        self._seen: deque[_Seen] = deque(maxlen=OBSERVED_MAX)
        self._seen_at_s: float | None = None

    def observe(
        self,
        ledger: int,
        close_time_s: int,
        seen_monotonic_s: float | None = None,
        wall_s: float | None = None,
        late_s: float = 0.0,
    ) -> None:
        """Takes a closed ledger, when it was seen, what the wall clock showed then, and by how much that may be later
        than it could have been seen, for reasons of our own.

        Ledgers come in order; one that was seen before is passed over. Without `seen_monotonic_s` only the
        close time counts.
        """
        if self._seen and ledger <= self._seen[-1].ledger:
            return
        frozen_s = float(close_time_s)
        if seen_monotonic_s is not None:
            self._network.observe(close_time_s, seen_monotonic_s, wall_s, late_s)
            frozen_s = self._network.frozen_s(close_time_s, seen_monotonic_s)
        if self._seen and ledger == self._seen[-1].ledger + 1:
            self._guard.observe(self._shortfall_s(self._seen[-1], close_time_s, frozen_s))
        self._seen_at_s = seen_monotonic_s
        horizon_s = max(close_time_s, math.floor(frozen_s + self.target_s - self._guard.at(ledger)))
        self._seen.append(_Seen(ledger, close_time_s, frozen_s, self._network.lead_s, horizon_s))

    # What is due

    @property
    def latest(self) -> tuple[int, int]:
        """(ledger, close time); (0, 0) before the first."""
        return (self._seen[-1].ledger, self._seen[-1].close_s) if self._seen else (0, 0)

    @property
    def seen_monotonic_s(self) -> float | None:
        """When the latest was seen; None before the first."""
        return self._seen_at_s

    @property
    def guard_s(self) -> float:
        """How much earlier than the target a close may come, as learned; 0 until closes have shown
        otherwise.
        """
        return self._guard.at(self.latest[0])

    def horizon_s(self) -> int:
        """The last second that the next ledger is expected to reach."""
        if not self._seen:
            return 0
        last = self._seen[-1]
        # Lessons since then may lower it, never raise it: the guard in force at the close is what was promised.
        lowered_s = math.floor(last.frozen_s + self.target_s - self.guard_s)
        return max(last.close_s, min(last.horizon_s, lowered_s))

    def now_s(self, monotonic_s: float) -> float:
        """The network's clock, at least. It stands still when no ledger has closed for long: then nothing
        says that it goes on.
        """
        if self._seen_at_s is None:
            return float(self.latest[1])
        known_until_s = self._seen_at_s + max(STALLED_MIN_S, STALLED_TARGETS * self.target_s)
        return max(float(self.latest[1]), self._network.now_s(min(monotonic_s, known_until_s)))

    def due_until_s(self, monotonic_s: float) -> int:
        """The last second that counts as due at that moment."""
        passed_s = math.floor(self._passed_s(monotonic_s))
        return max(self.latest[1], passed_s, self.horizon_s() if self._eager else 0)

    def wait_s(self, due_s: int, monotonic_s: float) -> float:
        """How long until `due_s` counts as passed, if no ledger closes meanwhile."""
        return max(0.0, due_s - self._passed_s(monotonic_s) + PAST_S)

    def hold_s(self, due_s: int, monotonic_s: float) -> float:
        """How long an envelope that is ready has to wait before it is sent; 0.0 for what counts as due."""
        return 0.0 if due_s <= self.due_until_s(monotonic_s) else self.wait_s(due_s, monotonic_s)

    # What was learned

    def early(self, due_s: int, ran_in: int) -> None:
        """Takes a run that was paid for nothing: ledger `ran_in` closed before the task was due at `due_s`.

        What sent it, the horizon or the clock, is more careful from now on, and forgets slowly. Runs that
        are earlier than either could have made them teach nothing.
        """
        recent = list(self._seen)
        landed = next((i for i, seen in enumerate(recent) if seen.ledger == ran_in), 0)
        seen = recent[landed] if landed else None
        if seen is None or not 0 < due_s - seen.close_s <= self.target_s + CLOCK_LAG_MAX_S:
            return
        for before, after in pairwise(recent[max(0, landed - WAITED_LEDGERS_MAX) : landed + 1]):
            if self._eager and due_s <= before.horizon_s:
                shortfall_s = self._shortfall_s(before, after.close_s, after.frozen_s)
                self._guard.pay(shortfall_s, self.latest[0])
                return
        shortfall_s = due_s - seen.frozen_s
        if recent[landed - 1].lead_s > 0:
            self._network.disprove_wall(shortfall_s)
            return
        # Many runs of one ledger are one lesson.
        if self._lag_before[0] != ran_in:
            self._lag_before = (ran_in, self._clock_lag.at(self.latest[0]))
        learned_s = self._lag_before[1] + shortfall_s * MARGIN
        self._clock_lag.raise_to(min(learned_s, CLOCK_LAG_MAX_S), self.latest[0])

    def learn_headers(self, closes_ms: Sequence[tuple[int, int]]) -> None:
        """Takes ledgers of before, each with its close time in Unix milliseconds, oldest first."""
        gaps_s = [
            (close_ms - before_ms) / 1000
            for (before, before_ms), (ledger, close_ms) in pairwise(closes_ms)
            if ledger == before + 1
        ]
        self._guard.learn_gaps(gaps_s, self.target_s, self.latest[0])

    @property
    def lessons(self) -> Lessons:
        """What to tell the fleet, as of the latest ledger."""
        ledger = self.latest[0]
        return Lessons(self._guard.paid.at(ledger), self._clock_lag.at(ledger))

    def take(self, lessons: Lessons) -> None:
        """Takes what the fleet has learned, as of the latest ledger."""
        ledger = self.latest[0]
        self._guard.paid.raise_to(min(lessons.horizon_s, self._guard.max_s), ledger)
        self._clock_lag.raise_to(min(lessons.clock_lag_s, CLOCK_LAG_MAX_S), ledger)

    @property
    def drift_s(self) -> float | None:
        """How far the wall clock was ahead of what the last close shows; visibility explains up to two
        seconds of it. None before there is enough to tell.
        """
        return self._network.drift_s

    @property
    def unexplained_drift_s(self) -> float:
        """By how much the wall clock is wrong at least: positive when it is ahead, negative when behind."""
        return self._network.unexplained_s

    def ledgers_late(self, due_s: int, ran_in: int) -> int | None:
        """How many ledgers after the first whose close time reached `due_s` the run landed; None if out of
        memory.
        """
        if not self._seen or ran_in < self._seen[0].ledger:
            return None
        first = bisect_left(self._seen, due_s, key=lambda seen: seen.close_s)
        if first == 0 and self._seen[0].close_s > due_s:
            return None
        if first == len(self._seen):
            return 0
        return max(0, ran_in - self._seen[first].ledger)

    def _passed_s(self, monotonic_s: float) -> float:
        return self.now_s(monotonic_s) - self._clock_guard_s - self._clock_lag.at(self.latest[0])

    def _shortfall_s(self, before: _Seen, close_s: int, frozen_s: float) -> float:
        """How much sooner than the target the ledger after `before` froze, if a whole second shows it."""
        predicted_s = before.frozen_s + self.target_s
        return predicted_s - frozen_s if close_s < math.floor(predicted_s) else 0.0
