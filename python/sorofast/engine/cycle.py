"""What to do about the tasks that fall due. Pure decisions: a snapshot in, a plan out, no clock and no I/O.

Every row that goes in comes out with exactly one fate: run now, simulate first, wait for the next ledger,
or wait until a time. What is not run carries the reason an operator will read.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sorofast.reasons import code_of
from sorofast.registry.row import Row

__all__ = ["Backoff", "CycleView", "Plan", "Run", "plan_cycle"]

IN_FLIGHT = code_of("in_flight")
NO_CHANNEL = code_of("no_channel")
MAX_INFLIGHT = code_of("max_inflight")
BACKING_OFF = code_of("backing_off")
WAITING = code_of("waiting_for_ledger")


@dataclass(frozen=True, slots=True)
class Backoff:
    """A task that is not to be tried before `until_s`, as long as its window is still `window`."""

    window: int
    until_s: int
    attempts: int
    reason: int
    failures: int = 0


@dataclass(frozen=True, slots=True)
class CycleView:
    """What a plan is made from: the last close, and the second up to which due tasks were taken. `free` are
    (channel, confirmed sequence) pairs in order of preference.
    """

    close_s: int
    until_s: int
    free: Sequence[tuple[int, int]]
    inflight_room: int
    in_flight: Container[int]
    backoffs: Mapping[int, Backoff]
    gated: Container[int]
    has_template: Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Run:
    """One envelope to build: the task, and the channel and sequence it is bound to."""

    row: Row
    channel: int
    sequence: int
    simulated: bool = False


@dataclass(slots=True)
class Plan:
    """`next_ledger` rows are looked at again when a ledger closes; `later` rows return to the index at that
    second.
    """

    run: list[Run] = field(default_factory=list)
    simulate: list[tuple[Row, int, int]] = field(default_factory=list)
    next_ledger: list[tuple[Row, int]] = field(default_factory=list)
    later: list[tuple[Row, int, int]] = field(default_factory=list)


def plan_cycle(rows: Iterable[Row], view: CycleView) -> Plan:
    """Decides about `rows`, which come in due order, so that what has waited longest gets the channels
    first.

    A task whose call has no template yet, or whose resolver said no last time, is simulated first. A
    simulation runs at the last closed ledger's time, so such a task waits until a ledger has closed at or
    after its due time. It holds its channel meanwhile, so that what the simulation allows can be sent at
    once.
    """
    plan = Plan()
    channels = iter(view.free)
    room = view.inflight_room
    for row in rows:
        backoff = view.backoffs.get(row.task_id)
        if row.task_id in view.in_flight:
            plan.next_ledger.append((row, IN_FLIGHT))
            continue
        if backoff is not None and backoff.window == row.last_run_s and backoff.until_s > view.until_s:
            plan.later.append((row, backoff.until_s, backoff.reason))
            continue
        direct = view.has_template(row.shape) and row.task_id not in view.gated
        if not direct and row.due_s > view.close_s:
            plan.next_ledger.append((row, WAITING))
            continue
        channel = next(channels, None)
        if channel is None:
            plan.next_ledger.append((row, NO_CHANNEL))
            continue
        if room <= 0:
            plan.next_ledger.append((row, MAX_INFLIGHT))
            continue
        room -= 1
        if direct:
            plan.run.append(Run(row, channel[0], channel[1] + 1))
        else:
            plan.simulate.append((row, channel[0], channel[1] + 1))
    return plan
