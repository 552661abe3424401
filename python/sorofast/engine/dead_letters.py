"""A shard's dead letters: what operators ask to be done with them, and what ends by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from sorofast import __version__
from sorofast.coordination.leases import Term
from sorofast.coordination.requests import RETRY, Request
from sorofast.engine.context import WorkerContext
from sorofast.engine.retries import DAY_S, Retries
from sorofast.executions.key import Subject
from sorofast.executions.records import RECORD_SCHEMA, RetryRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import TriggerSource

__all__ = ["DeadLetters"]

NOT_DUE = code_of("not_due")
BACKING_OFF = code_of("backing_off")
QUARANTINED = code_of("quarantined")
CHANGES_MAX = 1_000
"""As many are changed in one script."""


class DeadLetters:
    """`letters` are those in the log; `source_of` finds whose they are. One that has a time ends then."""

    def __init__(
        self,
        context: WorkerContext,
        retries: Retries,
        letters: Iterable[RetryRecord],
        source_of: Callable[[RetryRecord], TriggerSource],
    ) -> None:
        self._context = context
        self._retries = retries
        self._letters = {letter.execution: letter for letter in letters}
        self._source_of = source_of

    def put_aside(self, letter: RetryRecord) -> bool:
        """Keeps its subject from running as long as it stands; False when that has gone on to another window."""
        source = self._source_of(letter)
        if not letter.not_before_s:
            return source.give_up(letter.key, QUARANTINED)
        source.wait(letter.key, letter.not_before_s, QUARANTINED)
        return True

    def ended(self, execution: str, letter: RetryRecord | None) -> None:
        """After the log has it: the execution is a dead letter now, or none any more."""
        if letter is None:
            self._letters.pop(execution, None)
        else:
            self._letters[execution] = letter

    def changes(self) -> bool:
        """Whether there is something to be done with them that nobody has asked for."""
        return bool(self._over() or self._undated())

    async def answer(
        self, term: Term, version: int, requests: Mapping[bytes, Request], busy: Collection[Subject]
    ) -> int:
        """Carries out the requests and `changes` in the log, then here; returns the shard's version. What is `busy` is
        brought back by whatever settles its envelope. Executions that are no dead letters any more need nothing.

        Raises what `ShardStore.answer` raises.
        """
        gone: dict[str, tuple[RetryRecord, RetryRecord | None]] = {}
        for request in requests.values():
            for execution in request.executions:
                letter = self._letters.get(execution)
                if letter is not None and execution not in gone:
                    kept = None if request.action == RETRY else self._retries.purged(letter)
                    gone[execution] = letter, kept
        over = [letter for letter in self._over() if letter.execution not in gone]
        dated = [letter for letter in self._undated() if letter.execution not in gone]
        # What else the log holds against them would count again for the next owner, if this one died now.
        forgotten = {
            name
            for letter, kept in gone.values()
            if kept is None
            for name in self._retries.records_of(letter.key.subject)
        }
        version = await self._context.store.answer(
            term,
            version,
            list(requests),
            [*gone, *(letter.execution for letter in over)],
            [kept for _, kept in gone.values() if kept is not None],
            forgotten=sorted(forgotten),
            rewritten=dated,
        )
        for execution, (letter, kept) in gone.items():
            del self._letters[execution]
            self._carry_out(letter, kept, busy=letter.key.subject in busy)
        for letter in over:
            del self._letters[letter.execution]
            self._context.log.info("dead_letter_over", **letter.key.fields(), reason=letter.reason)
        self._letters |= {letter.execution: letter for letter in dated}
        return version

    def _over(self) -> list[RetryRecord]:
        """Those whose day is over. Their subjects come back by themselves."""
        now_s = self._context.ledgers.latest[1]
        return [letter for letter in self._letters.values() if 0 < letter.not_before_s <= now_s][:CHANGES_MAX]

    def _undated(self) -> list[RetryRecord]:
        """Those that an older version wrote, without the day whose failures they count, as of today: else each owner
        would take them for its own day's, and their subjects' later windows would rest for ever.
        """
        if self._context.store.schema < RECORD_SCHEMA:
            return []
        day = self._context.ledgers.latest[1] // DAY_S
        undated = [letter for letter in self._letters.values() if letter.failures and not letter.day]
        return [
            msgspec.structs.replace(letter, writer=__version__, day=day) for letter in undated[:CHANGES_MAX]
        ]

    def _carry_out(self, letter: RetryRecord, kept: RetryRecord | None, *, busy: bool) -> None:
        event = "dead_letter_retried" if kept is None else "dead_letter_purged"
        self._context.log.info(event, **letter.key.fields(), reason=letter.reason)
        if kept is None:
            self._retries.revive(letter.key)
        else:
            self._retries.take(kept)
        if not busy:
            at_s, reason = (0, NOT_DUE) if kept is None else (kept.not_before_s, BACKING_OFF)
            self._source_of(letter).wait(letter.key, at_s, reason)
