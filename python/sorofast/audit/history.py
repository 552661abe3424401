"""What an audit is made from: plain values, which `evidence` gathers and `report` counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sorofast.audit.dependencies import DependencyChange

__all__ = ["ENVELOPE_LEDGERS", "Applied", "History", "Ledger", "Paid", "TaskStart"]

ENVELOPE_LEDGERS = 5


@dataclass(frozen=True, slots=True)
class Ledger:
    sequence: int
    close_time_s: int


@dataclass(frozen=True, slots=True)
class TaskStart:
    """A task as it stood when ledger `ledger` had closed: where its first window begins. Tasks of one `kind` differ in
    nothing that a run depends on; None for one that is like no other.
    """

    interval_s: int
    last_run_s: int
    ledger: int
    blocked_by: tuple[int, ...] = ()
    kind: bytes | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """One KeeperPaid event: the proof that a task ran."""

    task_id: int
    keeper: str
    fee: int


@dataclass(frozen=True, slots=True)
class Applied:
    """One applied transaction that matters here: an `execute` of ours, or anybody's transaction in which
    tasks ran.

    `execute_of` is the task id when it is our own `execute`, None for everybody else's. `paid` are its
    KeeperPaid events.
    """

    ledger: int
    order: int
    execute_of: int | None
    succeeded: bool
    fee_stroops: int
    max_ledger: int | None = None
    paid: tuple[Paid, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """Everything an audit is made from.

    `ledgers` are all closed ledgers from the one at whose end the audit begins, in order. `until_ledger` is
    the last one in which the fleet was meant to work. `applied` is in apply order. `dependency_changes` are in order,
    and `cancelled` has the ledgers in which tasks were removed.
    """

    keeper: str
    tasks: Mapping[int, TaskStart]
    ledgers: Sequence[Ledger]
    applied: Sequence[Applied]
    until_ledger: int
    envelope_ledgers: int = ENVELOPE_LEDGERS
    dependency_changes: Sequence[DependencyChange] = ()
    cancelled: Mapping[int, int] = field(default_factory=dict)
