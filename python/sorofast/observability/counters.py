"""Every counter, declared once: the engine counts in it, a worker's report carries it, and the log reads it."""

from __future__ import annotations

import msgspec

__all__ = ["Counts"]


class Counts(msgspec.Struct):
    """What one worker, or a whole fleet, did since it last reported."""

    due: int = 0
    """Executions that fell due."""
    sent: int = 0
    """Envelopes that were sent, repetitions included."""
    executed: int = 0
    """Executions that ran."""
    failed: int = 0
    """Envelopes that were included and failed."""
    no_effect: int = 0
    """Envelopes that were included and changed nothing."""
    expired: int = 0
    """Envelopes that no ledger took before their bound."""
    errors: int = 0
    """Calls that failed, and ends that nobody can tell."""
    skipped: dict[str, int] = {}
    """What waits for something, by reason."""
    ledgers_late: dict[int, int] = {}
    """Executions that ran, by how many ledgers late they were."""
    rpc_calls: dict[str, int] = {}
    """RPC calls, by method."""

    def merge(self, other: Counts) -> None:
        """Adds another's counts to these."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, int):
                setattr(self, name, mine + theirs)
                continue
            for key, number in theirs.items():
                mine[key] = mine.get(key, 0) + number
