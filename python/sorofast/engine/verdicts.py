"""What asking about a run can come to, and what one shard of a worker need not ask because another one just has."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum

from sorofast.transactions.diagnostics import Diagnosis

__all__ = ["Heard", "Said", "Verdict"]

HEARD_MAX = 4_096


class Verdict(StrEnum):
    """What asking says about a run. WAITS: it would run once something else has landed. UNKNOWN: nobody answered about
    it.
    """

    RUN = "run"
    WAITS = "waits"
    NO_EFFECT = "no_effect"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer about one run, with the code of the reason that a waiting task shows. `once`: it holds for that run
    only. `template` is what the run is to be built from, where that is not its call's.
    """

    verdict: Verdict
    reason: int
    why: Diagnosis | None = None
    once: bool = False
    template: int | None = None
    others_wait: bool = True
    """Whether the next of the call is asked about in a ledger's time only, when what this run changes is there."""
    heard: bool = False
    """Somebody else's run of the same call was asked about."""
    restore: tuple[bytes, ...] = ()
    """What has to be restored before it runs: whole ledger keys."""
    again_ledger: int = 0
    """The ledger in which it makes sense to ask again."""

    @property
    def of_the_call(self) -> bool:
        """Whether it holds for every run of the same call in the same ledger."""
        return self.verdict is Verdict.NO_EFFECT or (self.verdict is Verdict.RUN and not self.once)


class Heard:
    """The answers of the newest ledger, by call."""

    def __init__(self) -> None:
        self._said: OrderedDict[int, tuple[int, Said]] = OrderedDict()
        self._nothing: OrderedDict[int, int] = OrderedDict()
        self._turns: dict[int, asyncio.Lock] = {}

    def turn(self, template: int) -> asyncio.Lock:
        """Held while somebody asks about the call, so that who comes next hears the answer."""
        if len(self._turns) > HEARD_MAX:
            self._turns = {key: turn for key, turn in self._turns.items() if turn.locked()}
        return self._turns.setdefault(template, asyncio.Lock())

    def of(self, template: int, ledger: int) -> Said | None:
        """What was said about every run of the call on that ledger's state."""
        at, said = self._said.get(template, (-1, None))
        return None if said is None or at != ledger else replace(said, heard=True)

    def taught_nothing(self, key: int, ledger: int) -> bool:
        """Whether an answer on that ledger's state said nothing about any other run."""
        return self._nothing.get(key) == ledger

    def note_nothing(self, key: int, ledger: int) -> None:
        self._nothing[key] = ledger
        self._nothing.move_to_end(key)
        while len(self._nothing) > HEARD_MAX:
            self._nothing.popitem(last=False)

    def note(self, template: int, ledger: int, said: Said) -> None:
        if not said.of_the_call:
            return
        self._said[template] = (ledger, said)
        self._said.move_to_end(template)
        while len(self._said) > HEARD_MAX:
            self._said.popitem(last=False)
