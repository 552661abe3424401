"""How much one cycle of a shard takes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import structlog

from sorofast.coordination.shard import MAX_COMMIT
from sorofast.engine.cycle import Run
from sorofast.engine.planning import Planning
from sorofast.executions.key import TASKS, Execution
from sorofast.registry.layout import execute_call
from sorofast.triggers.base import Due

REFUSED = 600
FREE = 1_500
CALL = execute_call(bytes(32), bytes(32))


def due(task_id: int) -> Due:
    return Due(
        execution=Execution(TASKS, task_id, 1_000),
        due_s=1_060,
        call=CALL,
        template=9,
        values=(task_id,),
    )


class World:
    """A shard with many channels: those of refused envelopes, which are to be built again, and free ones."""

    def __init__(self) -> None:
        self.subjects: set[Any] = set()
        self.templates: set[int] = set()
        self.backoffs: dict[Any, Any] = {}

    def rebids(self) -> list[Run]:
        return [Run(due(number), number, 8) for number in range(1, REFUSED + 1)]

    def free(self, ended: object = ()) -> list[tuple[int, int]]:
        return [(REFUSED + number, 7) for number in range(1, FREE + 1)]

    def due(self, until_s: int, limit: int) -> list[Due]:
        return [due(REFUSED + number) for number in range(1, limit + 1)]

    def next_due_s(self) -> None:
        return None

    def of(self, one: object) -> World:
        return self

    def park(self, one: Due, reason: int) -> None:
        pass

    def look_at(self, executions: object) -> None:
        pass

    async def let_through(self, plan: object) -> None:
        pass


async def test_a_cycle_never_plans_more_than_one_commit_takes() -> None:
    world = World()
    context = SimpleNamespace(
        config=SimpleNamespace(engine=SimpleNamespace(max_inflight=8_192)),
        in_flight=SimpleNamespace(total=lambda: REFUSED),
        tally=SimpleNamespace(due=0),
        ledgers=SimpleNamespace(latest=(100, 2_000), target_s=5.0),
        clock=SimpleNamespace(monotonic=lambda: 0.0),
        pause=SimpleNamespace(cause=None, let_through=world.let_through),
        templates=SimpleNamespace(usable=lambda _: True),
        log=structlog.get_logger(),
    )
    parts = [cast("Any", world)] * 3
    planning = Planning(cast("Any", context), 0, *parts)
    runs = await planning.plan(2_000, ())
    assert len(runs) == MAX_COMMIT
    assert sum(run.channel <= REFUSED for run in runs) == REFUSED
    assert len({run.channel for run in runs}) == MAX_COMMIT
