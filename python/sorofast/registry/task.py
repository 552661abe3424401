"""One task as the engine's tables hold it: the packed row of the Rust core, unpacked for people and for tests."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

from sorofast import _core

__all__ = ["TaskFlag", "TaskRow", "unpack_rows"]

_ROW = struct.Struct("<QQQqQIIIHH")
_TIME_MAX_S = 2**64 - 1


class TaskFlag(IntFlag):
    """Bits of `TaskRow.flags`."""

    ACTIVE = 1
    HAS_RESOLVER = 2
    HAS_WHITELIST = 4
    KEEPER_ALLOWED = 8
    BLOCKED_BY = 16
    UNDECODABLE = 32


@dataclass(frozen=True, slots=True)
class TaskRow:
    """What planning needs of a task. Times are Unix seconds as the contract stores them; gas saturates at 64 bits."""

    task_id: int
    interval_s: int
    last_run_s: int
    gas_stroops: int
    shape: int
    live_until_ledger: int
    last_modified_ledger: int
    snapshot_ledger: int
    flags: TaskFlag
    reason: int

    @property
    def due_s(self) -> int | None:
        """When the task is next due; None when that time does not exist (it overflows, or the row was not decoded)."""
        due_s = self.last_run_s + self.interval_s
        if TaskFlag.UNDECODABLE in self.flags or due_s > _TIME_MAX_S:
            return None
        return due_s


def unpack_rows(rows: bytes) -> Iterator[TaskRow]:
    """Rows in the order they are packed in."""
    if _ROW.size != _core.ROW_SIZE or len(rows) % _ROW.size:
        raise ValueError(f"{len(rows)} bytes are not whole task rows of {_core.ROW_SIZE} bytes")
    for fields in _ROW.iter_unpack(rows):
        yield TaskRow(*(*fields[:8], TaskFlag(fields[8]), fields[9]))
