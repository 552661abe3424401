"""Since when tasks that wait for others could run, told from the ledger alone. Pure.

The contract runs a task once every task it waits for exists and has run, be it before it was registered. Somebody who
watches the ledger knows that when the ledger with the last of these runs has closed, so from the next one on the task
is due like any other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Dependencies", "DependencyChange"]


@dataclass(frozen=True, slots=True)
class DependencyChange:
    """In `ledger` the task began to wait for `depends_on`, or ceased to."""

    ledger: int
    task_id: int
    depends_on: int
    added: bool


class Dependencies:
    """By task id: `waits_for` whom at the beginning; `ran` the ledger at whose end a task had first run, 0 if it had
    when the history began; `cancelled` the ledger in which a task was removed. `changes` are in order.
    """

    def __init__(
        self,
        waits_for: Mapping[int, Iterable[int]],
        ran: Mapping[int, int],
        changes: Iterable[DependencyChange] = (),
        cancelled: Mapping[int, int] | None = None,
    ) -> None:
        self._ran = ran
        self._cancelled = cancelled or {}
        of_task: dict[int, list[DependencyChange]] = {}
        for change in changes:
            of_task.setdefault(change.task_id, []).append(change)
        waiting = {task_id: set(others) for task_id, others in waits_for.items()}
        # Task → in which ledgers something of its dependencies changed, and since when it was free afterwards.
        self._turns: dict[int, tuple[list[int], list[int | None]]] = {
            task_id: self._turns_of(waiting.get(task_id, set()), of_task.get(task_id, []))
            for task_id in waiting.keys() | of_task.keys()
            if waiting.get(task_id) or task_id in of_task
        }

    def free_since(self, task_id: int, ledger: int) -> int | None:
        """The ledger at whose end the task had become free, 0 if it always was, as of the end of `ledger`; None while
        it is blocked.
        """
        ledgers, since = self._turns.get(task_id, ((), (0,)))
        return since[bisect_right(ledgers, ledger)]

    def freed_for(self, task_id: int, ran_in: int) -> int | None:
        """The same for a task that ran in that ledger: None if it cannot have."""
        ledgers, _ = self._turns.get(task_id, ((), (0,)))
        # Within one ledger a task may be freed, run and be blocked again.
        place = bisect_left(ledgers, ran_in)
        if place < len(ledgers) and ledgers[place] == ran_in:
            before = self.free_since(task_id, ran_in - 1)
            return ran_in if before is None else before
        return self.free_since(task_id, ran_in)

    def _turns_of(
        self, waits_for: set[int], changes: list[DependencyChange]
    ) -> tuple[list[int], list[int | None]]:
        others = waits_for | {change.depends_on for change in changes}
        moments = {change.ledger for change in changes}
        for other in others:
            moments |= {turn[other] for turn in (self._ran, self._cancelled) if other in turn}
        ledgers = sorted(moments - {0})
        current = set(waits_for)
        states: list[int | None] = [0 if self._all_have_run(current, 0) else None]
        place = 0
        for ledger in ledgers:
            while place < len(changes) and changes[place].ledger <= ledger:
                change = changes[place]
                (current.add if change.added else current.discard)(change.depends_on)
                place += 1
            if not self._all_have_run(current, ledger):
                states.append(None)
            else:
                states.append(ledger if states[-1] is None else states[-1])
        return ledgers, states

    def _all_have_run(self, others: Iterable[int], ledger: int) -> bool:
        """Whether they all exist and had run at the end of that ledger."""
        return all(
            other in self._ran
            and self._ran[other] <= ledger
            and not (other in self._cancelled and self._cancelled[other] <= ledger)
            for other in others
        )
