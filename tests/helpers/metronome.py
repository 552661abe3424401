"""A second trigger source, made of nothing but the protocol: bumps a counter contract at fixed times."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from sorofast import _core
from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.executions.call import Call
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import Operation, Proof, WalRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import Due, TriggerSource

NAME = "metronome"
SCV_U64 = 5


class Metronome:
    """`keys` of one counter contract, each bumped once in every `every_s` seconds from `first_s` on.

    A plain call: the chain keeps no last run, so which seconds were served is in here and in the log.
    """

    name = NAME

    def __init__(
        self, contract: bytes, keys: Iterable[int], first_s: int, every_s: int, *, slow_s: float = 0.0
    ) -> None:
        """What it reads takes it `slow_s`."""
        operation = _core.Operation.invoke(contract, "bump", ["key"])
        self._call = Call(operation, Operation("invoke", contract, "bump"), Proof.SUCCESS)
        self._template = struct.unpack(">Q", contract[:8])[0]
        self._every_s = every_s
        self._slow_s = slow_s
        self._next: dict[str, int] = {str(key): first_s for key in keys}
        self._at: dict[str, int] = dict(self._next)
        self._reasons: dict[str, int] = dict.fromkeys(self._next, code_of("not_due"))
        self.ends: Counter[tuple[Execution, Outcome]] = Counter()

    def __len__(self) -> int:
        return len(self._next)

    async def look(self, ledger: int) -> None:
        """All it needs it has."""
        await asyncio.sleep(self._slow_s)

    def due(self, until_s: int, limit: int) -> list[Due]:
        ready = sorted((at_s, key) for key, at_s in self._at.items() if at_s <= until_s)[:limit]
        found = []
        for _, key in ready:
            del self._at[key]
            fresh = self._reasons[key] == code_of("not_due")
            self._reasons[key] = code_of("in_flight")
            second = self._next[key]
            execution = Execution(NAME, key, second)
            found.append(Due(execution, second, self._call, self._template, (int(key),), fresh=fresh))
        return found

    def next_due_s(self) -> int | None:
        return min(self._at.values(), default=None)

    def still_due(self, due: Due) -> bool:
        return self._in_window(due.execution)

    def started(self, execution: Execution) -> None:
        self._at.pop(str(execution.id), None)

    def park(self, due: Due, reason: int) -> None:
        self._at.pop(str(due.execution.id), None)
        self._reasons[str(due.execution.id)] = reason

    def wait(self, execution: Execution, at_s: int, reason: int) -> None:
        key = str(execution.id)
        if key in self._next:
            same = self._in_window(execution)
            self._at[key] = max(at_s, self._next[key]) if same else self._next[key]
            self._reasons[key] = reason if same else code_of("not_due")

    def give_up(self, execution: Execution, reason: int) -> bool:
        if not self._in_window(execution):
            return False
        self._at.pop(str(execution.id), None)
        self._reasons[str(execution.id)] = reason
        return True

    def effect(self, record: WalRecord, at_s: int | None, meta: str | None) -> Outcome | None:
        """The chain keeps nothing of it but the transaction, and that is asked first."""
        return None

    def outcome(self, case: Ended) -> Outcome:
        return case.outcome

    def ended(self, case: Ended) -> None:
        self.ends[case.record.key, case.outcome] += 1
        if case.outcome is Outcome.EXECUTED and self._in_window(case.record.key):
            key = str(case.record.id)
            self._next[key] += self._every_s
            self._at[key] = self._next[key]
            self._reasons[key] = code_of("not_due")

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        return []

    def reasons(self) -> Mapping[int, int]:
        return Counter(self._reasons.values())

    def snapshot(self) -> bytes | None:
        return msgspec.json.encode(self._next) if self._next else None

    def restore(self, snapshot: bytes) -> None:
        """Goes on where another one has stopped."""
        self._next = msgspec.json.decode(snapshot, type=dict[str, int])
        self._at = dict(self._next)

    def _in_window(self, execution: Execution) -> bool:
        return self._next.get(str(execution.id)) == int(execution.window)


def loader(
    metronome: Metronome, shard: int
) -> Callable[[WorkerContext, int, ShardState, LedgerEntry], Awaitable[tuple[TriggerSource, int]]]:
    """Gives the metronome to one shard, and the others one without keys."""

    async def load(
        context: WorkerContext, shard_number: int, state: ShardState, at: LedgerEntry
    ) -> tuple[TriggerSource, int]:
        if shard_number != shard:
            return Metronome(bytes(32), (), 0, 1), at.ledger
        snapshot = state.snapshot_of(NAME)
        if snapshot is not None:
            metronome.restore(snapshot)
        return metronome, at.ledger

    return load
