"""The packed task row that crosses between Rust, Redis and Python: 56 bytes, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntFlag
from typing import NamedTuple

__all__ = ["ROW_STRUCT", "Flag", "Row", "ids_of", "pack_ids", "rows_of"]

ROW_STRUCT = struct.Struct("<QQQqQIIIHH")
_ID_STRUCT = struct.Struct("<Q")
_TIME_MAX_S = 2**64 - 1


class Flag(IntFlag):
    """Bits of `Row.flags`."""

    ACTIVE = 1
    HAS_RESOLVER = 2
    HAS_WHITELIST = 4
    KEEPER_ALLOWED = 8
    BLOCKED_BY = 16
    UNDECODABLE = 32


class Row(NamedTuple):
    """A task as the engine needs it. Times are Unix seconds as the contract stores them, gas is stroops (saturated at
    64 bits), `shape` is the hash of what it calls, `reason` the code of why it does not run.
    """

    task_id: int
    interval_s: int
    last_run_s: int
    gas_stroops: int
    shape: int
    live_until_ledger: int
    last_modified_ledger: int
    snapshot_ledger: int
    flags: int
    reason: int

    @property
    def due_s(self) -> int:
        """When a row of the due index is due; any row's sum, whether or not it means something."""
        return self.last_run_s + self.interval_s

    @property
    def next_due_s(self) -> int | None:
        """When the task is next due; None when that time does not exist: it overflows, or the row did not decode."""
        return None if self.flags & Flag.UNDECODABLE or self.due_s > _TIME_MAX_S else self.due_s

    @property
    def execution(self) -> str:
        """The unit that lands at most once: the task, and the run its next one replaces."""
        return f"{self.task_id}:{self.last_run_s}"

    def pack(self) -> bytes:
        return ROW_STRUCT.pack(*self)


def rows_of(packed: bytes) -> Iterator[Row]:
    """The rows of a packed sequence, in order. ValueError, at the first row, when it does not hold whole rows."""
    if len(packed) % ROW_STRUCT.size:
        raise ValueError(f"{len(packed)} bytes are not whole task rows of {ROW_STRUCT.size} bytes")
    for fields in ROW_STRUCT.iter_unpack(packed):
        yield Row(*fields)


def pack_ids(ids: Iterable[int]) -> bytes:
    """Task ids as packed little-endian u64."""
    return b"".join(task_id.to_bytes(8, "little") for task_id in ids)


def ids_of(packed: bytes) -> list[int]:
    """The inverse of `pack_ids`."""
    return [task_id for (task_id,) in _ID_STRUCT.iter_unpack(packed)]
