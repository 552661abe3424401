"""One line when something fails, one a minute while it goes on failing, one when it is over.

A loop that meets a dead server fails many times a second, and every other loop of the process does too. What
the operator needs of that is when it began, that it lasts, and how long it took:

    follow_failed  reason=… (at once)
    follow_failed  reason=… for_s=60 failures=212
    rpc_back       after_s=71.3 failures=249

What fails and works by turns is told like what only fails: a kind begins and ends aloud once a minute at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock

__all__ = ["KINDS_MAX", "REMIND_EVERY_S", "Outages"]

REMIND_EVERY_S = 60.0
KINDS_MAX = 64
OTHERS = "other_failures"


@dataclass(slots=True)
class _Outage:
    began_s: float
    said_s: float
    failures: int = 1
    told: bool = True
    over: bool = False


class Outages:
    """Counts the failures of one process by kind. A kind is a short name of the code's own, such as
    `follow_failed`.

    More than KINDS_MAX kinds at once are told as one, so that a kind made of somebody's input cannot grow this.
    """

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._kinds: dict[str, _Outage] = {}

    def failed(self, kind: str, reason: object, **fields: object) -> None:
        """Notes one failure. `reason` and `fields` are those of the line, when there is one."""
        now_s = self._clock.monotonic()
        kind = self._with_room(kind)
        outage = self._kinds.get(kind)
        if outage is None:
            self._kinds[kind] = _Outage(now_s, now_s)
            self._log.warning(kind, reason=str(reason), **fields)
            return
        if outage.over and outage.told:
            outage.began_s, outage.failures, outage.told = now_s, 0, False
        outage.over = False
        outage.failures += 1
        if now_s - outage.said_s < REMIND_EVERY_S:
            return
        outage.said_s, outage.told = now_s, True
        if outage.failures > 1:
            fields |= {"for_s": round(now_s - outage.began_s), "failures": outage.failures}
        self._log.warning(kind, reason=str(reason), **fields)

    def ok(self, kind: str, back: str | None = None, **fields: object) -> bool:
        """Ends the outage of that kind, with one line named `back`; True if there was one.

        Cheap when there is none.
        """
        outage = self._kinds.get(kind)
        if outage is None or outage.over:
            return False
        outage.over = True
        if outage.told:
            after_s = round(self._clock.monotonic() - outage.began_s, 1)
            self._log.info(back or f"{kind}_over", **fields, after_s=after_s, failures=outage.failures)
        if kind != OTHERS and all(other.over for name, other in self._kinds.items() if name != OTHERS):
            self.ok(OTHERS)
        return True

    def _with_room(self, kind: str) -> str:
        """The kind itself, or OTHERS when there is no room for one more."""
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            self._kinds = {name: outage for name, outage in self._kinds.items() if not outage.over}
            if len(self._kinds) >= KINDS_MAX:
                return OTHERS
        return kind

    def lasting(self, kind: str) -> bool:
        """Whether that kind's last word was a failure."""
        outage = self._kinds.get(kind)
        return outage is not None and not outage.over

    @contextmanager
    def watching(
        self, kind: str, *errors: type[Exception], back: str | None = None, **fields: object
    ) -> Iterator[None]:
        """Notes how the block ended: one of `errors` is a failure and goes on upwards, a normal end is none."""
        try:
            yield
        except errors as error:
            self.failed(kind, error, **fields)
            raise
        self.ok(kind, back, **fields)
