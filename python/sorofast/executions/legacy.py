"""Schema 1 of the log's records, as sorofast wrote it before records could be of anything but registry tasks.

Members that read nothing newer may live in the same fleet. While one does, everybody writes this; what this schema
cannot say (another source than tasks, a fee-bump, a plain call) waits until they are gone.
"""

from __future__ import annotations

import msgspec

__all__ = ["SCHEMA", "RetryRecord1", "WalRecord1"]

SCHEMA = 1


class WalRecord1(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """An envelope of `execute(keeper, task_id)`."""

    schema: int = SCHEMA
    task_id: int
    window: int
    attempt: int
    channel: int
    sequence: int
    max_ledger: int
    max_time_s: int
    hash: bytes
    envelope: str
    claimed_ledger: int
    epoch: int
    shape: int
    due_s: int
    first_run: bool = False


class RetryRecord1(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A task's run that failed."""

    schema: int = SCHEMA
    task_id: int
    window: int
    attempts: int
    not_before_s: int
    reason: str
    failures: int = 0
