"""What a proxy does to the traffic that passes it: rules that match, strike, and can be waited for.

A rule knows how often it has struck (`hits`), strikes at most `count` times, and wakes whoever awaits
`struck()`. A scenario that bends something asserts that it was bent: a rule that never struck proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Passing = TypeVar("Passing")

DELAY = "delay"
DROP_REQUEST = "drop_request"
DROP_REPLY = "drop_reply"
TRUNCATE = "truncate"
BLACK_HOLE = "black_hole"
REPEAT = "repeat"
PATCH = "patch"
REWRITE = "rewrite"
ANSWER = "answer"
LAG = "lag"
STATUS = "status"


@dataclass(eq=False)
class Rule(Generic[Passing]):
    """One thing that happens to what matches, `count` times (None: until lifted), from the `skip`-th match on."""

    kind: str
    matches: Callable[[Passing], bool]
    what: str = ""
    count: int | None = None
    skip: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    hits: int = 0
    lifted: bool = False
    seen: int = 0
    struck_by: list[Passing] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def takes(self, passing: Passing) -> bool:
        """Whether it strikes now; counts what it let pass. What it says yes to must be struck."""
        if self.lifted or (self.count is not None and self.hits >= self.count) or not self.matches(passing):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.hits += 1
        return True

    async def strike(self, passing: Passing) -> None:
        """Tells whoever waits that it has struck."""
        async with self._changed:
            self.struck_by.append(passing)
            self._changed.notify_all()

    async def struck(self, times: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until it has struck so often; AssertionError at the deadline."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: len(self.struck_by) >= times)
        except TimeoutError:
            raise AssertionError(
                f"{self.what or self.kind} struck {len(self.struck_by)} times in {timeout_s:.0f} s, not {times}"
            ) from None

    def lift(self) -> None:
        """It strikes no more. What it holds back already stays held."""
        self.lifted = True


class Rules(Generic[Passing]):
    """All rules of one proxy, in the order they were made."""

    def __init__(self) -> None:
        self._rules: list[Rule[Passing]] = []

    def __iter__(self) -> Iterator[Rule[Passing]]:
        return iter(self._rules)

    def add(self, rule: Rule[Passing]) -> Rule[Passing]:
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Lift every rule; their counters stay readable for whoever holds them."""
        for rule in self._rules:
            rule.lift()
        self._rules.clear()

    async def striking(self, passing: Passing) -> tuple[float, Rule[Passing] | None]:
        """Seconds to wait (delays add up), and of the other rules the first that strikes."""
        delay_s = 0.0
        for rule in list(self._rules):
            if rule.kind == DELAY and rule.takes(passing):
                delay_s += float(rule.options["seconds"])
                await rule.strike(passing)
        for rule in list(self._rules):
            if rule.kind != DELAY and rule.takes(passing):
                await rule.strike(passing)
                return delay_s, rule
        return delay_s, None
