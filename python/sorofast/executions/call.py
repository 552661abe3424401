"""What an execution does on the network: one operation, the same for all of a source's subjects but for its holes."""

from __future__ import annotations

from dataclasses import dataclass

from sorofast import _core
from sorofast.executions.records import Operation, Proof

__all__ = ["Call"]


@dataclass(frozen=True, slots=True)
class Call:
    """`operation` has a named hole for each number that differs from run to run. With `must_write` a simulation counts
    only if it writes the task whose id is in the hole of that name.
    """

    operation: _core.Operation
    described: Operation
    """The same for records and people."""
    proof: Proof
    must_write: str | None = None
