"""Stands in for a source that this process does not have: another version's, or one that was switched off.

What the source left in the log is still settled, by the ledger like everything else, and its channels come free.
Nothing of it falls due here.
"""

from __future__ import annotations

from collections.abc import Mapping

from sorofast.coordination.streams import LedgerEntry
from sorofast.executions.key import Execution, Subject
from sorofast.executions.outcome import Ended, Outcome
from sorofast.executions.records import WalRecord
from sorofast.triggers.base import Due

__all__ = ["AbsentSource"]


class AbsentSource:
    """Satisfies `TriggerSource` and knows no subject."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 0

    async def look(self, ledger: int) -> None:
        return

    def due(self, until_s: int, limit: int) -> list[Due]:
        return []

    def next_due_s(self) -> int | None:
        return None

    def still_due(self, due: Due) -> bool:
        return False

    def started(self, execution: Execution) -> None:
        return

    def park(self, due: Due, reason: int) -> None:
        return

    def wait(self, execution: Execution, at_s: int, reason: int) -> None:
        return

    def give_up(self, execution: Execution, reason: int) -> bool:
        """It stays given up for whoever has the source again."""
        return True

    def effect(self, record: WalRecord, at_s: int | None, meta: str | None) -> Outcome | None:
        return None

    def outcome(self, case: Ended) -> Outcome:
        return case.outcome

    def ended(self, case: Ended) -> None:
        return

    def ingest(self, entry: LedgerEntry) -> list[Subject]:
        return []

    def reasons(self) -> Mapping[int, int]:
        return {}

    def snapshot(self) -> bytes | None:
        return None
