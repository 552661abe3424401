"""Time, injected. Monotonic seconds for deadlines, wall seconds where the chain or a log needs a date.

Nothing in the engine calls `time` itself, so that a test can hold time still
(`sorofast.testing.clock.StubClock`).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine may ask about time; both answers are in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back, means nothing in another process."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump, and may differ from other hosts."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
