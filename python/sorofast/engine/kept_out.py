"""What one shard does not handle, since it has killed workers: taken out of what is due, and brought back later."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from structlog.typing import FilteringBoundLogger

from sorofast.coordination.suspects import Suspects
from sorofast.executions.key import Subject
from sorofast.reasons import code_of
from sorofast.triggers.base import Due, TriggerSource

__all__ = ["KeptOut"]

NONE = code_of("none")
QUARANTINED = code_of("quarantined")


class KeptOut:
    """At most as many as there are suspects. `source` gives the source of an execution."""

    def __init__(
        self, suspects: Suspects, source: Callable[[Due], TriggerSource], log: FilteringBoundLogger
    ) -> None:
        self._suspects = suspects
        self._source = source
        self._log = log
        self._held: dict[Subject, Due] = {}

    def bring_back(self) -> None:
        """Those against whom nothing is held any more are due again."""
        for subject, due in list(self._held.items()):
            if not self._suspects.quarantined(subject):
                del self._held[subject]
                self._log.info("task_quarantine_over", **due.execution.fields())
                self._source(due).wait(due.execution, due.due_s, NONE)

    def sift(self, dues: Iterable[Due]) -> list[Due]:
        """Those of `dues` that may be handled."""
        wanted = []
        for due in dues:
            if self._suspects.quarantined(due.execution.subject):
                self._held[due.execution.subject] = due
                self._source(due).give_up(due.execution, QUARANTINED)
            else:
                wanted.append(due)
        return wanted
