"""The trigger sources of one shard, asked as one.

What a source reads of the chain it reads beside the shard's cycle: a cycle waits for it a moment, and what comes later
is there for the next one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from sorofast.coordination.state import pack_snapshots
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.engine.kept_out import KeptOut
from sorofast.errors import DecodeError, RpcError, RpcUnreachable
from sorofast.executions.key import Execution, Subject
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.triggers.absent import AbsentSource
from sorofast.triggers.base import Due, TriggerSource

__all__ = ["Sources"]

LOOK_TIMEOUT_S = 3.0
LOOK_WAIT_SHARE = 0.1
"""So much of a ledger's target a cycle waits for what the sources read."""


class Sources:
    """By the name that executions carry. A name that this process does not have is stood in for."""

    def __init__(self, context: WorkerContext, shard: int, sources: Sequence[TriggerSource]) -> None:
        self._context = context
        self._shard = shard
        self._sources: dict[str, TriggerSource] = {source.name: source for source in sources}
        self._kept_out = KeptOut(context.suspects, self.of, context.log)
        self._looking: dict[str, asyncio.Task[None]] = {}
        # Whose last look failed: that another one had nothing to ask shows nothing of it.
        self._failed: set[str] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many subjects they have."""
        return sum(len(source) for source in self._sources.values())

    def __iter__(self) -> Iterator[TriggerSource]:
        return iter(self._sources.values())

    def of(self, one: Due | WalRecord | RetryRecord | Execution) -> TriggerSource:
        """The source it belongs to."""
        if isinstance(one, Execution):
            return self._named(one.source)
        return self._named(one.execution.source if isinstance(one, Due) else one.key.source)

    def due(self, until_s: int, limit: int) -> list[Due]:
        """At most `limit` of each, soonest first, without those that are not handled."""
        dues = self._kept_out.sift(due for source in self for due in source.due(until_s, limit))
        return sorted(dues, key=lambda due: due.due_s) if len(self._sources) > 1 else dues

    def next_due_s(self) -> int | None:
        seconds = (source.next_due_s() for source in self)
        return min((second for second in seconds if second is not None), default=None)

    def reasons(self) -> Counter[int]:
        """How many subjects carry which reason code."""
        counts: Counter[int] = Counter()
        for source in self:
            counts.update(source.reasons())
        return counts

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        """Takes what a closed ledger changed; returns the subjects that are gone."""
        return [subject for source in self for subject in source.ingest(entry)]

    async def look(self, ledger: int) -> None:
        """Lets each read what it needs to know beyond the ledger's entry. One that is still at it is left to it."""
        begun: list[asyncio.Task[None]] = []
        for source in self:
            at_it = self._looking.get(source.name)
            if not self._closed and (at_it is None or at_it.done()):
                begun.append(self._context.background.begin(self._look(source, ledger), "look"))
                self._looking[source.name] = begun[-1]
        if begun:
            await asyncio.wait(begun, timeout=LOOK_WAIT_SHARE * self._context.ledgers.target_s)
        self._kept_out.bring_back()

    async def _look(self, source: TriggerSource, ledger: int) -> None:
        try:
            async with self._context.rpc.within(LOOK_TIMEOUT_S):
                await source.look(ledger)
        except (RpcUnreachable, RpcError, DecodeError) as error:
            self._context.tally.errors += 1
            self._failed.add(source.name)
            self._context.outages.failed("look_failed", error, trigger=source.name)
        else:
            if source.name in self._failed:
                self._failed.discard(source.name)
                self._context.outages.ok("look_failed", "looks_again")

    def close(self) -> None:
        """Nothing is read any more: the shard is somebody else's, or is loaded anew."""
        self._closed = True
        for task in self._looking.values():
            task.cancel()
        self._looking.clear()
        if self._failed:
            self._failed.clear()
            self._context.outages.let_go("look_failed")

    def snapshot(self) -> bytes | None:
        """What the next owner is to be left: the state of every source that keeps it this way."""
        parts = {source.name: part for source in self if (part := source.snapshot()) is not None}
        return pack_snapshots(parts) if parts else None

    def _named(self, name: str) -> TriggerSource:
        source = self._sources.get(name)
        if source is None:
            self._context.log.warning(
                "source_absent",
                source=name,
                shard=self._shard,
                consequence="what it left in the log is settled, and nothing new of it is run here",
            )
            source = self._sources[name] = AbsentSource(name)
        return source
