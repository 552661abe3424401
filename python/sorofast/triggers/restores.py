"""Restores that are executions of their own: what the fleet needs restored, done by one shard a need.

The shard follows from the entries alone, so the same restore is never on its way twice: its log takes an execution
once. A need stays until a simulation finds nothing of it archived. Where it takes more than one transaction may carry,
one follows the other, each a window of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from sorofast import _core
from sorofast.coordination.restores import RestoreNeed, need_id
from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.call import Call
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import Operation, Proof, WalRecord
from sorofast.transactions.causes import fleet_cause
from sorofast.triggers.base import Due

__all__ = ["RESTORES", "RestoreSource", "number_of"]

RESTORES = "restores"
_NAME = re.compile(r"[0-9a-f]{16}")
NOT_DONE = frozenset({Outcome.FAILED, Outcome.REFUSED})


class Needs(Protocol):
    """The fleet's needs as a worker knows them, and what becomes of them."""

    @property
    def needs(self) -> Mapping[int, RestoreNeed]: ...
    def expired(self, need: RestoreNeed) -> bool: ...
    def refuse(self, number: int, why: str) -> None: ...
    def rest(self, number: int, until_s: int) -> None: ...
    def worked(self, number: int) -> None: ...
    def drop(self, number: int) -> None: ...


class RestoreSource:
    """Satisfies `TriggerSource` for the needs whose number falls to `shard`, out of `shards`. `ledger` is the newest
    taken.

    A window is the ledger in which one operation of a need was first taken up.
    """

    name = RESTORES

    def __init__(
        self, restores: Needs, shard: int, shards: int, ledger: int, log: FilteringBoundLogger
    ) -> None:
        self._restores = restores
        self._shard = shard
        self._shards = shards
        self._ledger = ledger
        self._close_s = 0
        self._log = log
        # What the engine has, or has in the log; and the others of which an operation has begun.
        self._held: set[int] = set()
        self._in_flight: set[int] = set()
        self._windows: dict[int, int | str] = {}
        self._not_before_s: dict[int, int] = {}
        self._gone: list[Subject] = []

    def __len__(self) -> int:
        """None that stay: a need comes and goes."""
        return 0

    async def look(self, ledger: int) -> None:
        self._ledger = max(self._ledger, ledger)
        for number, need in list(self._restores.needs.items()):
            if not self._is_ours(number) or number in self._in_flight:
                continue
            if self._restores.expired(need):
                self._restores.drop(number)
            elif self._not_before_s.get(number, 0) > self._close_s:
                self._restores.rest(number, self._not_before_s[number])
        self._held = {number for number in self._held if self._stands(number) or number in self._in_flight}
        for number in (self._windows.keys() | self._not_before_s.keys()) - self._restores.needs.keys():
            # What failed too often today is remembered until tomorrow, whoever needs it again.
            if number not in self._in_flight and self._not_before_s.get(number, 0) <= self._close_s:
                self._windows.pop(number, None)
                self._not_before_s.pop(number, None)
                self._gone.append((RESTORES, _name(number)))

    def due(self, until_s: int, limit: int) -> list[Due]:
        ready = [number for number in self._waiting() if self._not_before_s.get(number, 0) <= until_s]
        return [self._due(number) for number in ready[:limit]]

    def next_due_s(self) -> int | None:
        return min(
            (self._not_before_s.get(number, self._close_s) for number in self._waiting()), default=None
        )

    def still_due(self, due: Due) -> bool:
        number = number_of(due.execution)
        return self._stands(number) and self._windows.get(number) == due.execution.window

    def started(self, execution: Execution) -> None:
        number = number_of(execution)
        self._held.add(number)
        self._in_flight.add(number)
        self._windows[number] = execution.window

    def park(self, due: Due, reason: int) -> None:
        self._held.add(number_of(due.execution))

    def wait(self, execution: Execution, at_s: int, reason: int) -> None:
        number = number_of(execution)
        self._held.discard(number)
        self._in_flight.discard(number)
        self._not_before_s[number] = at_s

    def give_up(self, execution: Execution, reason: int) -> bool:
        """What it is needed for is still there, so it is tried again when its day's failures are forgotten."""
        return False

    def effect(self, record: WalRecord, at_s: int | None, meta: str | None) -> Outcome | None:
        """The chain keeps nothing of it but the transaction. Whether it is still needed the next simulation tells."""
        return None

    def outcome(self, case: Ended) -> Outcome:
        return case.outcome

    def ended(self, case: Ended) -> None:
        record = case.record
        number = number_of(record.key)
        self._held.discard(number)
        self._in_flight.discard(number)
        if case.outcome is Outcome.EXECUTED:
            self._windows.pop(number, None)
            self._not_before_s.pop(number, None)
            self._restores.worked(number)
            ledger = case.included[0] if case.included is not None else None
            self._log.info(
                "restored",
                **record.key.fields(),
                what=record.operation.purpose,
                ledger=ledger,
                fee_stroops=case.fee_stroops,
                hash=record.hash.hex(),
            )
        elif case.outcome in NOT_DONE and fleet_cause(case.codes) is None:
            self._restores.refuse(number, f"the operation that restores them failed: {case.detail}")

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        if entry.ledger >= self._ledger:
            self._ledger, self._close_s = entry.ledger, entry.close_time_s
        gone, self._gone = self._gone, []
        return gone

    def reasons(self) -> Mapping[int, int]:
        """Of a need the calls that wait for it tell."""
        return {}

    def snapshot(self) -> bytes | None:
        return None

    def _waiting(self) -> list[int]:
        """What nobody holds, in the order in which it was asked for."""
        needs = self._restores.needs
        ours = [number for number in needs if number not in self._held and self._stands(number)]
        return sorted(ours, key=lambda number: needs[number].asked_ledger)

    def _stands(self, number: int) -> bool:
        """Whether it is ours, and nothing speaks against it."""
        need = self._restores.needs.get(number)
        return need is not None and self._is_ours(number) and not need.refused_at(self._ledger)

    def _is_ours(self, number: int) -> bool:
        return _core.shard_of(number, self._shards) == self._shard

    def _due(self, number: int) -> Due:
        need = self._restores.needs[number]
        self._held.add(number)
        window = self._windows.setdefault(number, self._ledger)
        purpose = f"{len(need.keys)} archived entries for {need.whose}"
        described = Operation("restore", purpose=purpose)
        return Due(
            execution=Execution(RESTORES, _name(number), window),
            # It is late from the moment on in which it could be sent.
            due_s=self._close_s or need.asked_s,
            call=Call(_core.Operation.restore(), described, Proof.SUCCESS),
            template=number,
            values=(),
        )


def _name(number: int) -> str:
    return f"{number:016x}"


def number_of(execution: Execution) -> int:
    """The number of the need that an execution is for. One that another version named otherwise is a need of its own,
    which ends with its transaction as every other.
    """
    name = str(execution.id)
    return int(name, 16) if _NAME.fullmatch(name) else need_id([name.encode()])
