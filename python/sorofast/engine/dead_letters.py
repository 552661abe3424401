"""A shard's dead letters, and what operators ask to be done with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from sorofast.coordination.leases import Term
from sorofast.coordination.requests import RETRY, Request
from sorofast.engine.context import WorkerContext
from sorofast.engine.retries import Retries
from sorofast.executions.key import Subject
from sorofast.executions.records import RetryRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import TriggerSource

__all__ = ["DeadLetters"]

NOT_DUE = code_of("not_due")
BACKING_OFF = code_of("backing_off")


class DeadLetters:
    """`letters` are those in the log; `source_of` finds whose they are."""

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

    def ended(self, execution: str, letter: RetryRecord | None) -> None:
        """After the log has it: the execution is a dead letter now, or none any more."""
        if letter is None:
            self._letters.pop(execution, None)
        else:
            self._letters[execution] = letter

    async def answer(
        self, term: Term, version: int, requests: Mapping[bytes, Request], busy: Collection[Subject]
    ) -> int:
        """Carries out the requests in the log, then here; returns the shard's version. What is `busy` is brought back
        by whatever settles its envelope. Executions that are no dead letters any more need nothing.

        Raises what `ShardStore.answer` raises.
        """
        gone: dict[str, tuple[RetryRecord, RetryRecord | None]] = {}
        for request in requests.values():
            for execution in request.executions:
                letter = self._letters.get(execution)
                if letter is not None and execution not in gone:
                    kept = None if request.action == RETRY else self._retries.purged(letter)
                    gone[execution] = letter, kept
        kept_all = [kept for _, kept in gone.values() if kept is not None]
        version = await self._context.store.answer(term, version, list(requests), list(gone), kept_all)
        for execution, (letter, kept) in gone.items():
            del self._letters[execution]
            self._carry_out(letter, kept, busy=letter.key.subject in busy)
        return version

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
