"""Says which keys in Redis hold what cannot be read, so that a worker may pass it over and go on.

redis_unreadable   key=… field=… reason=… fix=…   (at once, and once a minute while it is met again)
redis_readable_again   key=…
"""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.observability.outages import Outages

__all__ = ["UnreadableKeys"]

PLACES_MAX = 256
REASON_MAX = 300


class UnreadableKeys:
    """Places in Redis, each a key and perhaps a field of it. Beyond PLACES_MAX of them the oldest are forgotten."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._places: dict[tuple[str, str], Outages] = {}

    def found(self, key: str, reason: object, fix: str, field: str = "") -> None:
        """What stands there was passed over."""
        place = (key, field[:REASON_MAX])
        outages = self._places.get(place)
        if outages is None:
            while len(self._places) >= PLACES_MAX:
                del self._places[next(iter(self._places))]
            named = {"key": key, "field": place[1]} if field else {"key": key}
            outages = self._places[place] = Outages(self._log.bind(**named), self._clock)
        outages.failed("redis_unreadable", str(reason)[:REASON_MAX], fix=fix)

    def fine(self, key: str, field: str = "") -> None:
        """What stands there could be read. Cheap where nothing was wrong."""
        if self._places and (outages := self._places.pop((key, field), None)) is not None:
            outages.ok("redis_unreadable", "redis_readable_again")
