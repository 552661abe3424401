"""What is in a bad state for longer: how much of it, once a minute, and when none of it is left.

tasks_still_skipped  number=37 reasons={'target_panics': 34, 'gas_below_fee': 3} for_s=120
no_task_skipped      after_s=154.0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.observability.outages import REMIND_EVERY_S

__all__ = ["CHANNELS", "TASKS", "Standing"]

TASKS = "tasks"
CHANNELS = "channels"
_EVENTS = {
    TASKS: ("tasks_still_skipped", "no_task_skipped"),
    CHANNELS: ("channels_still_quarantined", "no_channel_quarantined"),
}
REASONS_MAX = 16
OVER_AFTER_S = 15.0
"""A channel on trial counts as usable meanwhile, and may be refused again."""


@dataclass(slots=True)
class _State:
    members: dict[str, Mapping[str, int]] = field(default_factory=dict)
    since_s: float = 0.0
    said_s: float = 0.0
    seen_s: float = 0.0
    bad: bool = False


class Standing:
    """`take` what each member counts, with every ledger; `tick` about every second. Whoever begins to be in a bad state
    is told elsewhere (`engine.digest`).
    """

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._states = {name: _State() for name in _EVENTS}

    def take(self, member: str, counts: Mapping[str, Mapping[str, int]]) -> None:
        for name, state in self._states.items():
            mine = counts.get(name)
            if mine:
                state.members[member] = mine
            else:
                state.members.pop(member, None)

    def forget(self, member: str) -> None:
        for state in self._states.values():
            state.members.pop(member, None)

    def tick(self) -> None:
        now_s = self._clock.monotonic()
        for name, state in self._states.items():
            still, over = _EVENTS[name]
            reasons: Counter[str] = Counter()
            for counts in state.members.values():
                reasons.update(counts)
            if reasons:
                state.seen_s = now_s
            if reasons and not state.bad:
                state.bad, state.since_s, state.said_s = True, now_s, now_s
            elif not reasons and state.bad and now_s - state.seen_s >= OVER_AFTER_S:
                state.bad = False
                self._log.info(over, after_s=round(state.seen_s - state.since_s, 1))
            elif reasons and now_s - state.said_s >= REMIND_EVERY_S:
                state.said_s = now_s
                self._log.warning(
                    still,
                    number=reasons.total(),
                    reasons=dict(reasons.most_common(REASONS_MAX)),
                    for_s=round(now_s - state.since_s),
                )
