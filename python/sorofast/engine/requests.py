"""What carrying out operators' requests does to a shard's dead letters. Pure: the caller writes it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sorofast.coordination.requests import RETRY, Request
from sorofast.engine.retries import Retries
from sorofast.executions.key import Execution
from sorofast.executions.records import RetryRecord

__all__ = ["Asked", "requests_of"]


@dataclass(slots=True)
class Asked:
    """Dead letters that go, executions that get a clean slate, and what is kept of those that were put away."""

    gone: list[RetryRecord] = field(default_factory=list)
    revived: list[Execution] = field(default_factory=list)
    kept: list[RetryRecord] = field(default_factory=list)

    def event(self, dead: RetryRecord) -> str:
        """How the log tells what became of a dead letter."""
        return "dead_letter_retried" if dead.key in self.revived else "dead_letter_purged"


def requests_of(requests: Iterable[Request], dead: Mapping[str, RetryRecord], retries: Retries) -> Asked:
    """Those of the requested executions that are still dead letters; others have gone on and need nothing."""
    asked = Asked()
    for request in requests:
        for execution in request.executions:
            letter = dead.get(execution)
            if letter is None or letter in asked.gone:
                continue
            asked.gone.append(letter)
            if request.action == RETRY:
                asked.revived.append(letter.key)
            else:
                asked.kept.append(retries.purged(letter))
    return asked
