"""Tells a worker's death by one task, which that task has to answer for, from deaths that the run has to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.coordination.suspects import DEATHS_MAX, REMEMBERED_S, SuspectStore
from sorofast.errors import RedisUnreachable
from sorofast.executions.key import TASKS, Subject
from sorofast.exits import how_it_ended

__all__ = ["Deaths"]

EXPLAINED_MAX = 30
EXPLAINED_WINDOW_S = 60.0
"""Ten tasks that kill are each a fault of their own; so many deaths within a minute beyond theirs are the engine's."""


class Deaths:
    """What the deaths of one supervisor's workers say about what they had in hand."""

    def __init__(self, store: SuspectStore, clock: Clock, log: FilteringBoundLogger) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._explained_s: deque[float] = deque(maxlen=EXPLAINED_MAX)

    async def explain(self, member: str, exit_code: int, in_hand: Sequence[Subject]) -> bool:
        """Notes the death against what the worker had in hand. True if that explains it: the run need not end for it.

        Call before its leases are freed, so that whoever takes them over knows.
        """
        if not in_hand:
            return False
        reason = how_it_ended(exit_code)
        try:
            deaths = await self._store.note(member, reason, in_hand)
        except RedisUnreachable as error:
            self._log.warning("death_not_noted", member=member, error=str(error))
            return False
        for subject, number in deaths.items():
            if number >= DEATHS_MAX:
                self._log.error(
                    "task_quarantined",
                    **_fields(subject),
                    reason=f"{number} workers died while they handled it, the last one {reason}",
                    fix="look at what it calls and at its arguments; 'sorofast dead retry' lets it in again, and so do "
                    f"{REMEMBERED_S // 3600} hours without a death",
                )
        now = self._clock.monotonic()
        self._explained_s.append(now)
        return len(self._explained_s) < EXPLAINED_MAX or now - self._explained_s[0] > EXPLAINED_WINDOW_S


def _fields(subject: Subject) -> dict[str, int | str]:
    source, name = subject
    return {"task": name} if source == TASKS else {"source": source, "id": name}
