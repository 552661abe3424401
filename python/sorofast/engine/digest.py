"""Things that happen to many at once, told as one: the first lines at once, what comes after them once a minute.

task_skipped   task=7 reason=target_panics error=…
tasks_skipped  tasks=[9, 12, 31, …] number=214 reason=target_panics error=…
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.engine.report import News
from sorofast.observability.outages import REMIND_EVERY_S

__all__ = ["Digest"]

_BEGINS, _ENDS = "task_skipped", "task_runs_again"
_OF_MANY = {"task_skipped": "tasks_skipped", "task_runs_again": "tasks_run_again"}
TOGETHER_S = 1.0
"""What comes within this time is one line."""
KINDS_MAX = 128
SHOWN_MAX = 50
ITEMS_MAX = 10_000
FORGOTTEN_S = 3_600.0
"""What lasts is told again after so long, if somebody begins with it anew."""
# So many lines of one event and reason in a minute; and so many of its tasks have a line of their own.
LINES_MAX = 5
SINGLE_LINES_MAX = 5


@dataclass(slots=True)
class _Told:
    """One event and reason: what is to be told of it, and when."""

    news: News
    minute_s: float
    due_s: float = 0.0
    items: dict[int | str, Mapping[str, object]] = field(default_factory=dict)
    number: int = 0
    single: int = 0
    lines: int = 0


class Digest:
    """Call `tick` about every second, and `flush` in the end."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[tuple[str, str], _Told] = {}
        # What was said to begin and not yet to end, with its reason and when that was said.
        self._lasting: dict[int | str, tuple[str, float]] = {}

    def take(self, news: News) -> None:
        now_s = self._clock.monotonic()
        items = self._not_yet_said(news, now_s)
        if not items:
            return
        key = (news.event, news.reason)
        if key not in self._told and len(self._told) >= KINDS_MAX:
            key = (news.event, "")
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _Told(news, now_s)
        if now_s - told.minute_s >= REMIND_EVERY_S:
            told.minute_s, told.single, told.lines = now_s, 0, 0
        if not told.number:
            # The first since the last line: it is told soon, unless there was enough in this minute.
            enough = told.lines >= LINES_MAX
            told.due_s = told.minute_s + REMIND_EVERY_S if enough else now_s + TOGETHER_S
            told.news = news
        for item in items:
            if item not in told.items:
                told.number += 1
                if len(told.items) < ITEMS_MAX:
                    told.items[item] = news.fields

    def _not_yet_said(self, news: News, now_s: float) -> Sequence[int | str]:
        """Without what begins for this reason a second time: a worker that takes another one's place does not know that
        it was told.
        """
        if news.event == _ENDS:
            for item in news.items:
                self._lasting.pop(item, None)
        if news.event != _BEGINS:
            return news.items
        fresh = []
        for item in news.items:
            reason, said_s = self._lasting.get(item, ("", 0.0))
            if reason != news.reason or now_s - said_s > FORGOTTEN_S:
                fresh.append(item)
                self._lasting.pop(item, None)
                self._lasting[item] = (news.reason, now_s)
        while len(self._lasting) > ITEMS_MAX:
            del self._lasting[next(iter(self._lasting))]
        return fresh

    def tick(self) -> None:
        now_s = self._clock.monotonic()
        for key, told in list(self._told.items()):
            if told.number and told.due_s <= now_s:
                self._tell(told)
            elif not told.number and now_s - told.minute_s > REMIND_EVERY_S:
                del self._told[key]

    def flush(self) -> None:
        """Tells what is left."""
        for told in self._told.values():
            if told.number:
                self._tell(told)

    def _tell(self, told: _Told) -> None:
        news, items, number = told.news, told.items, told.number
        told.items, told.number = {}, 0
        tell = getattr(self._log, news.level)
        if news.event in _OF_MANY and told.single + len(items) <= SINGLE_LINES_MAX:
            told.single += len(items)
            told.lines += 1
            for item, fields in items.items():
                tell(news.event, **{_one(news.what): item}, reason=news.reason, **fields)
            return
        told.lines += 1
        event = _OF_MANY.get(news.event, news.event)
        shown = sorted(items, key=lambda item: (isinstance(item, str), item))[:SHOWN_MAX]
        many = {"number": number} if number > len(shown) else {}
        tell(event, **{news.what: shown}, **many, reason=news.reason, **news.fields)


def _one(what: str) -> str:
    return what.removesuffix("s")
