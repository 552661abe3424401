"""What to do about the executions that fall due. Pure decisions: a snapshot in, a plan out, no clock and no I/O.

Everything that goes in comes out with exactly one fate: run now, simulate first, wait for the next ledger, or wait
until a time. What is not run carries the reason an operator will read.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from sorofast.executions.key import Execution, Subject
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import Due

__all__ = ["MAX_INFLIGHT", "NO_CHANNEL", "Backoff", "CycleView", "Plan", "Run", "plan_cycle"]

IN_FLIGHT = code_of("in_flight")
NO_CHANNEL = code_of("no_channel")
MAX_INFLIGHT = code_of("max_inflight")
BACKING_OFF = code_of("backing_off")
WAITING = code_of("waiting_for_ledger")


@dataclass(frozen=True, slots=True)
class Backoff:
    """A subject that is not to be tried before `until_s`, and then only after a simulation of its own, as long as its
    window is still `window`.
    """

    window: int | str
    until_s: int
    attempts: int
    reason: int


@dataclass(frozen=True, slots=True)
class CycleView:
    """What a plan is made from: the last close, and the second up to which due tasks were taken. `free` are
    (channel, confirmed sequence) pairs in order of preference.
    """

    close_s: int
    until_s: int
    free: Sequence[tuple[int, int]]
    inflight_room: int
    in_flight: Set[Subject]
    backoffs: Mapping[Subject, Backoff]
    has_template: Callable[[Due], bool]

    def after(self, runs: Sequence[Run]) -> CycleView:
        """With what `runs` leave of the channels and of the room in flight, where they are by then."""
        used = {run.channel for run in runs}
        free = [one for one in self.free if one[0] not in used]
        in_flight = self.in_flight | {run.due.execution.subject for run in runs}
        return replace(self, free=free, inflight_room=self.inflight_room - len(runs), in_flight=in_flight)


@dataclass(frozen=True, slots=True)
class Run:
    """One envelope to build: the execution, and the channel and sequence it is bound to. `before` is what is bound to
    them already, and was refused.
    """

    due: Due
    channel: int
    sequence: int
    before: WalRecord | None = None


@dataclass(slots=True)
class Plan:
    """What is in `next_ledger` is looked at again when a ledger closes; what is in `later`, at that second."""

    run: list[Run] = field(default_factory=list)
    simulate: list[tuple[Due, bool]] = field(default_factory=list)
    """With True what only a simulation of its own lets run, whatever its siblings do."""
    next_ledger: list[tuple[Due, int]] = field(default_factory=list)
    later: list[tuple[Due, int, int]] = field(default_factory=list)

    def keep(self, executions: Container[Execution], reason: int) -> None:
        """Puts off the runs of all others to the next ledger."""
        self.next_ledger += [(run.due, reason) for run in self.run if run.due.execution not in executions]
        self.run = [run for run in self.run if run.due.execution in executions]


def plan_cycle(dues: Iterable[Due], view: CycleView) -> Plan:
    """Decides about `dues`, which come in due order, so that what has waited longest gets the channels first.

    A call that has no template yet, an execution that is gated, and one that did not work before are simulated first,
    the last by itself: that a sibling runs says nothing of it.
    A simulation runs at the last closed ledger's time, so it waits until a ledger has closed at or after its due time.
    What falls due twice, because its entry changed while it waited for a simulation, is run once.
    """
    plan = Plan()
    begun: set[Subject] = set()
    channels = iter(view.free)
    room = view.inflight_room
    for due in dues:
        execution = due.execution
        backoff = view.backoffs.get(execution.subject)
        if execution.subject in view.in_flight or execution.subject in begun:
            plan.next_ledger.append((due, IN_FLIGHT))
            continue
        if backoff is not None and backoff.window != execution.window:
            backoff = None
        if backoff is not None and backoff.until_s > view.until_s:
            plan.later.append((due, backoff.until_s, backoff.reason))
            continue
        if backoff is not None or due.gated or not view.has_template(due):
            if due.due_s > view.close_s:
                plan.next_ledger.append((due, WAITING))
            else:
                plan.simulate.append((due, due.alone or backoff is not None))
            continue
        channel = next(channels, None)
        if channel is None:
            plan.next_ledger.append((due, NO_CHANNEL))
            continue
        if room <= 0:
            plan.next_ledger.append((due, MAX_INFLIGHT))
            continue
        room -= 1
        begun.add(execution.subject)
        plan.run.append(Run(due, channel[0], channel[1] + 1))
    return plan
