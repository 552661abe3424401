"""The event loop every process of ours runs on, uvloop, and how its tasks are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import structlog
import uvloop

from sorofast.clock import Clock

__all__ = ["Background", "LoopLag", "cancel_and_wait", "run_loop", "unless_set"]

LAG_LOOK_S = 0.25
CANCEL_TRIES_MAX = 3
CANCEL_TIMEOUT_S = 1.0

Result = TypeVar("Result")


class LoopLag:
    """How late the event loop is: because it is busy, or because the system gives the process no time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worst_s = 0.0

    async def watch(self) -> None:
        """Looks until cancelled."""
        while True:
            before_s = self._clock.monotonic()
            await asyncio.sleep(LAG_LOOK_S)
            late_s = self._clock.monotonic() - before_s - LAG_LOOK_S
            self._worst_s = max(self._worst_s, late_s)

    def worst_s(self) -> float:
        """The worst since this was asked last."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s


def run_loop(main: Coroutine[object, object, Result]) -> Result:
    """Runs `main` to its end on a fresh loop and closes the loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def unless_set(event: asyncio.Event, work: Coroutine[object, object, Result]) -> Result | None:
    """The result of `work`, or None when the event was set first; then the work is cancelled and has ended."""
    working = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    return None if working.cancelled() else working.result()


class Background:
    """Tasks that go on beside what began them. Whoever closes what they use ends them first."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Begins one. What it ends of that nobody asks for is logged: it is a mistake of ours."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        """How many go on."""
        return len(self._tasks)

    async def end(self) -> list[str]:
        """Cancels them all and waits, but not for ever; returns the names of those that go on."""
        return await cancel_and_wait(list(self._tasks))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            structlog.get_logger().error("background_task_broke", task=task.get_name(), exc_info=error)


async def cancel_and_wait(tasks: Sequence[asyncio.Task[Any]]) -> list[str]:
    """Cancels tasks and waits for them, but not for ever; returns the names of those that go on.

    A library may swallow a cancellation that meets an answer, so a task that goes on is cancelled again. What a task
    raises is not looked at.
    """
    for _ in range(CANCEL_TRIES_MAX):
        left = [task for task in tasks if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_TIMEOUT_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
    return sorted(task.get_name() for task in tasks if not task.done())
