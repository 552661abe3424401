"""Signals to a run's processes, by what they are; and waiting for what they log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil

from sorofast.demo.fleet import Event, RunProcess

EVENT_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 5.0


class Processes:
    """The processes of one `sorofast run`."""

    def __init__(self, run: RunProcess) -> None:
        self._run = run

    @property
    def supervisor(self) -> int:
        return self._run.pid

    def worker(self, slot: int) -> int:
        """The worker that has that place now."""
        return self._run.worker_pids()[slot]

    def workers(self) -> list[int]:
        return self._run.worker_pids()

    def follower(self) -> int:
        """The worker that follows the chain."""
        pid = self._run.follower_pid()
        assert pid is not None, "no worker of this run follows the chain"
        return pid

    def others(self) -> list[int]:
        """The workers that do not follow the chain."""
        return [pid for pid in self.workers() if pid != self._run.follower_pid()]

    def everyone(self) -> list[int]:
        """Supervisor, workers and whatever else they started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self.supervisor)
            return [self.supervisor, *(child.pid for child in supervisor.children(recursive=True))]
        return self.workers()

    def kill(self, *pids: int) -> None:
        _signal(signal.SIGKILL, pids)

    def terminate(self, *pids: int) -> None:
        _signal(signal.SIGTERM, pids)

    def hang_up(self, *pids: int) -> None:
        _signal(signal.SIGHUP, pids)

    def stop(self, *pids: int) -> None:
        _signal(signal.SIGSTOP, pids)

    def go_on(self, *pids: int) -> None:
        _signal(signal.SIGCONT, pids)

    @contextlib.asynccontextmanager
    async def stopped(self, *pids: int) -> AsyncIterator[None]:
        """Within the block these processes stand still."""
        self.stop(*pids)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while set(self.states(*pids)) - {"stopped", "gone"}:
                    await asyncio.sleep(0.01)
            yield
        finally:
            self.go_on(*pids)

    def states(self, *pids: int) -> list[str]:
        """What the kernel says of each: `sleeping`, `stopped`, `gone`, …"""
        found = []
        for pid in pids:
            try:
                found.append(psutil.Process(pid).status())
            except psutil.NoSuchProcess:
                found.append("gone")
        return found

    async def logged(
        self,
        event: str,
        when: Callable[[Event], bool] | None = None,
        *,
        times: int = 1,
        timeout_s: float = EVENT_TIMEOUT_S,
    ) -> Event:
        """Waits until the event was logged so often, past ones included; the last of them."""
        found: list[Event] = []

        def wanted(one: Event) -> bool:
            if one.get("event") == event and (when is None or when(one)):
                found.append(one)
            return len(found) >= times

        return await self._run.wait_for(wanted, f"log {event} {times} times", timeout_s)

    def events(self, event: str) -> list[Event]:
        """What was logged of it so far."""
        return [one for one in self._run.events if one.get("event") == event]

    def command_lines(self) -> dict[str, bytes]:
        """The arguments of everyone, as anybody on the host could read them."""
        texts = {}
        for pid in self.everyone():
            with contextlib.suppress(OSError):
                texts[f"the arguments of process {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
        return texts


def _signal(number: signal.Signals, pids: Any) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
