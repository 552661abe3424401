"""How everything that runs in the background starts and stops: once, in order, and as often as it is asked to.

A service is begun by `start`, which returns once it serves, and ended by `stop`, which returns once it is gone.
Both may be called in any state, again, and by several callers at a time: stopping what never started does
nothing, stopping what is about to start ends that, and who asks second waits for the same end as who asked
first. What a service ends of by itself is told by `ended`, and by nothing else.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Service", "Signpost"]

Value = TypeVar("Value")
ASK_AGAIN_S = 20.0
SIGNPOST_MAX = 1_000


class Service(ABC):
    """Something with a life of its own, in one task. Subclasses give `_serve`."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._serving = asyncio.Event()
        self._asked = False

    @abstractmethod
    async def _serve(self, started: Callable[[], None]) -> None:
        """The whole life: gets ready, calls `started`, serves, and puts away what it took, also when cancelled."""

    def _ask_to_stop(self, task: asyncio.Task[None]) -> None:
        """Makes `_serve` come to its end; called again every ASK_AGAIN_S until it has."""
        task.cancel()

    @property
    def running(self) -> bool:
        """Whether it is between `start` and its end."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Returns once it serves, or was stopped before it did; raises what kept it from serving.

        While it runs, nothing begins a second time.
        """
        begins = not self.running
        if begins:
            self._serving, self._asked = asyncio.Event(), False
            self._task = asyncio.create_task(self._serve(self._serving.set), name=type(self).__name__)
        task, serving = self._task, asyncio.create_task(self._serving.wait())
        try:
            if task is not None:
                await asyncio.wait({task, serving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if begins:
                await self.stop()
            raise
        finally:
            serving.cancel()
        if task is not None and task.done() and not task.cancelled() and not self._asked:
            task.result()

    async def stop(self) -> None:
        """Returns once it is gone. Raises nothing that the service ended of."""
        task = self._task
        if task is None:
            return
        if not task.done() and not self._asked:
            self._asked = True
            self._ask_to_stop(task)
        while not task.done():
            # A library may swallow a cancellation. Once a while is enough: asking cuts short how it puts things away.
            await asyncio.wait({task}, timeout=ASK_AGAIN_S)
            if not task.done():
                self._ask_to_stop(task)
        if not task.cancelled():
            task.exception()

    async def ended(self) -> None:
        """Waits for the end of what was started, and raises what it ended of. Being stopped is no error."""
        task = self._task
        if task is not None:
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()


class Signpost(Generic[Value]):
    """A moment in the life of a service that a test waits for instead of polling.

    Nobody listens outside of tests, and then passing one does nothing. Moments that nobody waits for are kept,
    up to SIGNPOST_MAX.
    """

    def __init__(self) -> None:
        self._seen: asyncio.Queue[Value] | None = None

    def listen(self) -> None:
        """Begins to keep what passes."""
        self._seen = asyncio.Queue(SIGNPOST_MAX)

    def passed(self, value: Value) -> None:
        """Called by the service, at that moment."""
        if self._seen is not None and not self._seen.full():
            self._seen.put_nowait(value)

    async def wait(self, timeout_s: float = 10.0) -> Value:
        """The next moment that passed since `listen`, in order. TimeoutError when none comes."""
        if self._seen is None:
            raise RuntimeError("call listen() before what is waited for can happen")
        async with asyncio.timeout(timeout_s):
            return await self._seen.get()
