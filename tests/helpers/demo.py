"""Whole fleets in front of a local network, in a few lines: for tests that kill, stop or double them.

async with at_work(options_of(workers=4), tmp_path) as work:
    os.kill(work.run.worker_pids()[0], signal.SIGKILL)
    await work.trial.pass_ledgers(30)
    report = await work.trial.end(work.run)
assert report.missed == 0
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sorofast.audit.report import Report
from sorofast.audit.seed import SeedOptions
from sorofast.demo.fleet import Event, Fleet, RunProcess
from sorofast.demo.network import DemoNetwork
from sorofast.demo.progress import Progress
from sorofast.demo.scenario import DemoOptions, DemoResult, Stop, lead_s, wait_until_quiet
from sorofast.demo.scenario import run_demo as run_whole_demo
from sorofast.sandbox.durations import parse_duration_s
from sorofast.sandbox.process import SandboxOptions

_POLL_S = 0.1


def options_of(
    *,
    tasks: int = 200,
    workers: int = 2,
    due_per_ledger: float | None = None,
    intervals_s: tuple[int, int] = (20, 120),
    ledger_close: str = "1s",
    ledger_jitter: str | None = None,
    duration_s: float | None = None,
    seed: int = 0,
    dependencies: bool = False,
) -> DemoOptions:
    """Options of a demo; the network takes a free port."""
    return DemoOptions(
        seed=SeedOptions(
            tasks=tasks,
            ledger_close_s=parse_duration_s(ledger_close, "ledger_close"),
            intervals_s=intervals_s,
            due_per_ledger=due_per_ledger,
            seed=seed,
            dependencies=dependencies,
        ),
        sandbox=SandboxOptions(ledger_close=ledger_close, ledger_jitter=ledger_jitter),
        workers=workers,
        duration_s=duration_s,
    )


async def run_demo(options: DemoOptions) -> DemoResult:
    """A whole demo, from nothing to its audit."""
    return await run_whole_demo(options, Progress(), Stop())


def network_of(options: DemoOptions) -> DemoNetwork:
    """The network of a demo with these options."""
    return DemoNetwork(options.sandbox, options.seed)


def fleet_of(network: DemoNetwork, directory: Path, *, channels: int | None = None) -> Fleet:
    """A fleet with a Redis and channels of its own; `directory` must be another one for every fleet."""
    return Fleet(network, directory, channels=channels)


@dataclass(frozen=True)
class Work:
    """One fleet at work on its network, its first tasks being due."""

    network: DemoNetwork
    fleet: Fleet
    trial: Trial
    run: RunProcess


@asynccontextmanager
async def at_work(
    options: DemoOptions, directory: Path, listener: Callable[[Event], None] | None = None
) -> AsyncIterator[Work]:
    """A network, a fleet with its Redis in `directory`, and a run of it whose first tasks are due."""
    async with (
        network_of(options) as network,
        fleet_of(network, directory / "fleet") as fleet,
        Trial(network, options) as trial,
        fleet.run(options.workers, listener) as run,
    ):
        await run.ready()
        await trial.pass_until_due()
        await trial.pass_ledgers(4)
        yield Work(network, fleet, trial, run)


class Trial:
    """An audited span of time on a network: it seeds the tasks when entered. `report` is there after
    `end()`.
    """

    def __init__(self, network: DemoNetwork, options: DemoOptions) -> None:
        self._network = network
        self._options = options
        self._evidence = network.evidence()
        self._stack = AsyncExitStack()
        self.first_due_s = 0
        self._report: Report | None = None

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._evidence)
        self.first_due_s = await self._network.seed_tasks(lead_s(self._options))
        await self._evidence.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def report(self) -> Report:
        """The audit; only after `end()`."""
        assert self._report is not None, "the trial has not ended"
        return self._report

    async def latest_ledger(self) -> int:
        return (await self._network.admin.stats()).latest_ledger

    async def pass_ledgers(self, count: int) -> int:
        """Wait until `count` more ledgers have closed; returns the latest. Fails when they take four times
        as long.
        """
        latest = await self.latest_ledger()
        wanted = latest + count
        async with asyncio.timeout(4 * count * self._network.seed.ledger_close_s + 10):
            while True:
                latest = await self.latest_ledger()
                if latest >= wanted:
                    return latest
                await asyncio.sleep(_POLL_S)

    async def pass_until_due(self) -> None:
        """Wait until the first tasks have fallen due."""
        async with asyncio.timeout(120):
            while True:
                closed = await self._network.admin.ledgers(await self.latest_ledger())
                if closed[-1].close_time >= self.first_due_s:
                    return
                await asyncio.sleep(_POLL_S)

    async def end(self, *runs: RunProcess) -> Report:
        """Drain the runs, wait for what they left on its way, and audit."""
        until = await self.latest_ledger()
        codes = await asyncio.gather(*(run.stop() for run in runs))
        assert codes == [0] * len(runs), [run.failure for run in runs]
        await wait_until_quiet(self._network)
        self._report = await self._evidence.report(until)
        return self._report
