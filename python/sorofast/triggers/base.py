"""What the engine's cycle sees of whatever makes executions fall due.

A source owns its subjects (a registry's tasks, jobs) for one shard: it knows when each is due next, and why one is not
run. The engine takes what is due, and gives every one of them back: as started, as put off, or as ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.call import Call
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import WalRecord

__all__ = ["Due", "TriggerSource"]


@dataclass(frozen=True, slots=True)
class Due:
    """An execution that is due at `due_s` (unix seconds), with the call that runs it.

    `values` fill the call's holes, and `template` is the key of the call's template: equal keys, equal footprints. A
    Where it `shares`, the key's upper 32 bits are the call's kind: calls of one kind are one operation with other
    arguments behind it, so that one template may serve all whose arguments change nothing of what is touched. A
    `gated` one is sent only after a simulation saw it run, and it has to be its own where it is `alone`: then it may
    need something that no other run of the call does. `fresh` says that it falls due now, rather than having waited
    for something else.
    """

    execution: Execution
    due_s: int
    call: Call
    template: int
    values: tuple[int, ...]
    gated: bool = False
    alone: bool = False
    fresh: bool = True
    shares: bool = False


class TriggerSource(Protocol):
    """One source's subjects of one shard. Calls come one at a time, but for `look`: while that awaits something, the
    others may come.
    """

    @property
    def name(self) -> str:
        """The `source` of its executions."""

    async def look(self, ledger: int) -> None:
        """Reads, bounded, what it needs to know beyond what ledgers brought. Called once per ledger taken in, unless it
        is still at it; it may be cancelled after three seconds, and what the network may raise ends it for that time.
        """

    def due(self, until_s: int, limit: int) -> list[Due]:
        """At most `limit` executions due at `until_s` or before, soonest first. They are the engine's until it gives
        them back by one of the calls below.
        """

    def next_due_s(self) -> int | None:
        """The second at which the next one falls due that nobody holds."""

    def still_due(self, due: Due) -> bool:
        """Whether no ledger taken in since has shown that it ran or that its subject is gone."""

    def started(self, execution: Execution) -> None:
        """An envelope of it is in the log, from now on or since before this process."""

    def park(self, due: Due, reason: int) -> None:
        """Holds it back without a time, showing the reason: the engine calls `wait` later."""

    def wait(self, execution: Execution, at_s: int, reason: int) -> None:
        """Brings it back at `at_s` (unix seconds) at the earliest, or, if the subject has gone on to another window,
        that window when it is due.
        """

    def give_up(self, execution: Execution, reason: int) -> bool:
        """Does not bring it back any more; False when the subject has gone on to another window already."""

    def effect(self, record: WalRecord, at_s: int | None, meta: str | None) -> Outcome | None:
        """What the chain shows that an included envelope did: EXECUTED, NO_EFFECT or SUPERSEDED; None where it does not
        tell, or not yet. Asked where no event proved the run.

        `at_s` is the close time of the ledger that included it, None where only its sequence is known to be gone.
        `meta` is its TransactionMeta in base64, where a node still has it.
        """

    def outcome(self, case: Ended) -> Outcome:
        """The outcome as this source sees it, before it is recorded: whether somebody else was faster."""

    def ended(self, case: Ended) -> None:
        """After the log has it: moves the subject on if it was executed."""

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        """Takes what a closed ledger changed; returns the subjects that are gone."""

    def reasons(self) -> Mapping[int, int]:
        """How many subjects carry which reason code."""

    def snapshot(self) -> bytes | None:
        """All of it, for the next owner, who finds it by `ShardState.snapshot_of`; None where it keeps its state by
        itself. It may be lost, or older than what the source has told since: then the chain is read.
        """

    def __len__(self) -> int:
        """How many subjects there are."""
