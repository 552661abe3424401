"""Which tasks wait because a simulation would not let them run, so that each is told once and not at every try."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.engine.relay import Relay
from sorofast.executions.key import Execution, Subject, name_of_subject

__all__ = ["Skips"]

KEPT_MAX = 50_000
"""Tasks of one worker that are known to be told of; what is skipped beyond them is counted by its reason alone."""
FORGOTTEN_S = 3_600.0
"""What was not tried again for so long has become something else: inactive, or somebody else's."""


@dataclass(slots=True)
class _Skipped:
    reason: str
    shard: int
    since_s: float
    seen_s: float


class Skips:
    """Of one worker. Everything is told under debug; what begins and what is over, always."""

    def __init__(self, relay: Relay, clock: Clock, log: FilteringBoundLogger) -> None:
        self._relay = relay
        self._clock = clock
        self._log = log
        self._skipped: dict[Subject, _Skipped] = {}

    def note(self, shard: int, execution: Execution, reason: str, error: str | None) -> None:
        """It does not run now for this reason, a short name; `error` says it in words."""
        subject, now_s = execution.subject, self._clock.monotonic()
        known = self._skipped.get(subject)
        if known is not None and known.reason == reason:
            known.seen_s = now_s
            self._log.debug("task_skipped", **execution.fields(), reason=reason, error=error)
            return
        if known is None and len(self._skipped) >= KEPT_MAX:
            return
        self._skipped[subject] = _Skipped(reason, shard, now_s if known is None else known.since_s, now_s)
        fields = {name: value for name, value in execution.fields().items() if name == "window"}
        self._relay.news("task_skipped", reason, "tasks", [_item(subject)], fields={**fields, "error": error})

    def runs(self, subject: Subject) -> None:
        """It is sent now, or there is nothing left of it to run."""
        known = self._skipped.pop(subject, None)
        if known is not None:
            after_s = round(self._clock.monotonic() - known.since_s, 1)
            self._relay.news(
                "task_runs_again",
                known.reason,
                "tasks",
                [_item(subject)],
                level="info",
                fields={"after_s": after_s},
            )

    def gone(self, subject: Subject) -> None:
        """There is no such task any more."""
        self._skipped.pop(subject, None)

    def let_go(self, shard: int) -> None:
        """The shard is somebody else's now, who will find out for itself."""
        self._skipped = {one: known for one, known in self._skipped.items() if known.shard != shard}

    def counts(self) -> dict[str, int]:
        """How many are skipped, by reason."""
        stale_s = self._clock.monotonic() - FORGOTTEN_S
        if any(known.seen_s < stale_s for known in self._skipped.values()):
            self._skipped = {one: known for one, known in self._skipped.items() if known.seen_s >= stale_s}
        return dict(Counter(known.reason for known in self._skipped.values()))


def _item(subject: Subject) -> int | str:
    source, name = subject
    return name if isinstance(name, int) else name_of_subject((source, name))
