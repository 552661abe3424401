"""A worker's outages: kept here for whoever asks this worker, and told to the supervisor, who says them for the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.engine.report import Failing, News, Report, Working
from sorofast.errors import RpcUnreachable
from sorofast.observability.outages import KINDS_MAX, QUIET_S, cause_of

__all__ = ["InForce", "OutageNotes", "Relay"]

TOLD_EVERY_S = 1.0
REASON_CHARS_MAX = 500
ITEMS_MAX = 200


class OutageNotes(Protocol):
    """Takes note of failures: `Relay` in a worker, `Outages` where whoever fails is the one who says it."""

    def failed(self, kind: str, reason: object, **fields: object) -> None: ...

    def ok(self, kind: str, back: str | None = None, **fields: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class InForce:
    """A kind of failure that lasts, in monotonic seconds of this process."""

    kind: str
    cause: str
    reason: str
    since_s: float


@dataclass(slots=True)
class _Failing:
    cause: str
    reason: str
    since_s: float
    failed_s: float
    told_s: float
    untold: int = 0


class Relay:
    """Satisfies `OutageNotes`. A kind that goes on failing is told every TOLD_EVERY_S. More than KINDS_MAX at once are
    not told.
    """

    def __init__(
        self, tell: Callable[[Report], None], member: str, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._tell = tell
        self._member = member
        self._clock = clock
        self._log = log
        self._kinds: dict[str, _Failing] = {}

    def failed(self, kind: str, reason: object, **fields: object) -> None:
        took_s = reason.took_s if isinstance(reason, RpcUnreachable) else 0.0
        self.failed_since(kind, self._clock.monotonic() - took_s, reason, **fields)

    def failed_since(self, kind: str, began_s: float, reason: object, **fields: object) -> None:
        """Notes what began to fail in that monotonic second, before anybody could notice."""
        now_s = self._clock.monotonic()
        cause, text = cause_of(reason), str(reason)[:REASON_CHARS_MAX]
        fields = {"trigger" if name == "source" else name: value for name, value in fields.items()}
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= KINDS_MAX:
                return
            self._kinds[kind] = known = _Failing(cause, text, began_s, now_s, now_s - TOLD_EVERY_S)
        elif known.cause != cause:
            # It fails of something else now, which is an outage of its own.
            self._tell(Working(member=self._member, kind=kind))
            known.told_s, known.since_s = now_s - TOLD_EVERY_S, began_s
        known.cause, known.reason, known.failed_s = cause, text, now_s
        known.untold += 1
        if now_s - known.told_s < TOLD_EVERY_S:
            return
        known.told_s, untold, known.untold = now_s, known.untold, 0
        self._tell(
            Failing(
                member=self._member,
                kind=kind,
                cause=cause,
                reason=text,
                since_s=known.since_s,
                failures=untold,
                fields=fields,
            )
        )

    def ok(self, kind: str, back: str | None = None, **fields: object) -> bool:
        if self._kinds.pop(kind, None) is None:
            return False
        self._tell(Working(member=self._member, kind=kind, back=back, fields=fields))
        return True

    def let_go(self, *kinds: str) -> None:
        """Nobody here looks any more whether these work; somebody else may."""
        for kind in kinds:
            if self._kinds.pop(kind, None) is not None:
                self._tell(Working(member=self._member, kind=kind, seen=False))

    def in_force(self) -> list[InForce]:
        """What fails now. What a server did not answer, and nobody has asked it since, is let go of after a while."""
        now_s = self._clock.monotonic()
        quiet = [kind for kind, one in self._kinds.items() if one.cause and now_s - one.failed_s > QUIET_S]
        for kind in quiet:
            self.ok(kind)
        return [InForce(kind, one.cause, one.reason, one.since_s) for kind, one in self._kinds.items()]

    # What is told together with the same that happened elsewhere

    def news(
        self,
        event: str,
        reason: str,
        what: str,
        items: Sequence[int | str],
        *,
        level: str = "warning",
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Something that happened to these; under debug it is told here too, by itself."""
        self._log.debug(event, **{what: list(items)}, reason=reason, **(fields or {}))
        for start in range(0, len(items), ITEMS_MAX):
            part = list(items[start : start + ITEMS_MAX])
            self._tell(
                News(
                    member=self._member,
                    event=event,
                    reason=reason[:REASON_CHARS_MAX],
                    what=what,
                    items=part,
                    level=level,
                    fields=dict(fields or {}),
                )
            )
