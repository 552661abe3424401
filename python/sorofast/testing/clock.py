"""A clock that moves only when it is told to."""

from __future__ import annotations


class StubClock:
    """Satisfies `sorofast.clock.Clock`. Both times start where the test says and advance together."""

    def __init__(self, wall_s: float = 1_700_000_000.0, monotonic_s: float = 0.0) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s

    def monotonic(self) -> float:
        return self._monotonic_s

    def wall(self) -> float:
        return self._wall_s

    def advance(self, seconds: float) -> None:
        """Move both clocks on; time never goes back here."""
        if seconds < 0:
            raise ValueError(
                "a clock advances by zero or more seconds; use jump_wall() for a step of the wall clock"
            )
        self._wall_s += seconds
        self._monotonic_s += seconds

    def jump_wall(self, seconds: float) -> None:
        """Step the wall clock alone, either way, as an administrator or NTP may."""
        self._wall_s += seconds
