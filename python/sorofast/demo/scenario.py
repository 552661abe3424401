"""One demo from start to end: network, fleet, some time, drain, audit."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sorofast.audit.report import Report
from sorofast.audit.seed import SeedOptions
from sorofast.demo.fleet import READY_TIMEOUT_S, Fleet, RunProcess
from sorofast.demo.network import DemoNetwork
from sorofast.demo.progress import Progress
from sorofast.errors import SorofastError
from sorofast.sandbox.process import SandboxOptions
from sorofast.wording import counted

_POLL_S = 0.2
# What is in flight at the end is dead after an envelope's lifetime; a chain that stands still is not waited
# for.
_QUIET_LEDGERS_MAX = 8


@dataclass(frozen=True)
class DemoOptions:
    """What to run. `duration_s` counts from when the fleet is ready; None runs until `stop` is set. `guard_s` is
    `engine.guard_s`, None for its default.
    """

    seed: SeedOptions
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    workers: int = 4
    duration_s: float | None = None
    guard_s: float | None = None


class Stop(asyncio.Event):
    """Set to end a demo early. `worth_an_audit` is true once the fleet works."""

    worth_an_audit = False


@dataclass(frozen=True)
class DemoResult:
    """The audit and what belongs beside it.

    `expired` is the engine's own count, the only one here: an envelope that never landed leaves no trace on
    a ledger. `rpc_calls` are all of the engine's, `rpc_calls_steady` those between the moment all shards
    were loaded and the drain, over `ledgers_steady` ledgers; the demo's own calls are in neither.
    """

    report: Report
    expired: int
    rpc_calls: dict[str, int]
    rpc_calls_steady: dict[str, int]
    ledgers_steady: int
    first_execution_s: float | None
    workers: int
    wall_s: float

    @property
    def passed(self) -> bool:
        """Nothing missed and nothing twice. What was sent too early cost a fee, and is reported as that."""
        return not (self.report.missed or self.report.duplicates)

    def as_dict(self) -> dict[str, Any]:
        """The one JSON object of the command."""
        counters = asdict(self.report)
        fields = {
            "expired": self.expired,
            "rpc_calls": self.rpc_calls,
            "rpc_calls_steady": self.rpc_calls_steady,
            "ledgers_steady": self.ledgers_steady,
            "first_execution_s": self.first_execution_s,
            "workers": self.workers,
            "wall_s": self.wall_s,
        }
        return counters | fields


def lead_s(options: DemoOptions) -> float:
    """Seconds between seeding and the first due task: the auditor reads the tasks, interpreters start,
    shards load, and a ledger or two pass.
    """
    return 3.0 + math.sqrt(options.workers) + options.seed.ledger_close_s + options.seed.tasks / 500


async def run_demo(options: DemoOptions, progress: Progress, stop: Stop) -> DemoResult:
    """Run a demo; `stop` ends its running time early. Everything it started has ended when this returns or
    raises.
    """
    directory = Path(tempfile.mkdtemp(prefix="sorofast-demo-"))
    fleet_directory = directory / "fleet"
    keep_log = False
    try:
        network = DemoNetwork(options.sandbox, options.seed)
        settings = {} if options.guard_s is None else {"engine": {"guard_s": options.guard_s}}
        fleet = Fleet(network, fleet_directory, progress=progress.channels, settings=settings)
        progress.step("starting a local network and uploading the contracts")
        async with network:
            progress.step(f"network at {network.urls.rpc_url}; starting Redis, creating channels")
            async with fleet:
                result = await _run_fleet(options, network, fleet, progress, stop)
        keep_log = not result.passed
        return result
    except SorofastError:
        keep_log = True
        raise
    finally:
        logs = list(fleet_directory.glob("run-*.log")) if keep_log else []
        for log in logs:
            log.rename(directory / log.name)
            progress.step(f"the engine's log is kept in {directory / log.name}")
        shutil.rmtree(fleet_directory if logs else directory, ignore_errors=True)


async def _run_fleet(
    options: DemoOptions, network: DemoNetwork, fleet: Fleet, progress: Progress, stop: Stop
) -> DemoResult:
    async with network.evidence() as evidence:
        first_due_s = await network.seed_tasks(lead_s(options))
        await evidence.begin()
        progress.step(
            f"{counted(options.seed.tasks, 'task')}, about {network.runs_per_ledger:.1f} due per ledger; starting "
            f"{counted(options.workers, 'worker')}"
        )
        at_start = await network.admin.stats()
        async with fleet.run(options.workers, progress.hear) as run:
            await run.ready(READY_TIMEOUT_S + options.seed.tasks / 500)
            steady_from = await network.admin.stats()
            settings = shlex.quote(str(fleet.config_path))
            progress.step(f"to look at it from another terminal: export SOROFAST_CONFIG={settings}")
            progress.step(f"fleet ready; first tasks fall due in {_seconds_until(first_due_s):.0f} s")
            stop.worth_an_audit = True
            with _shown(progress):
                await _pass_time(options.duration_s, stop, run)
            until = await network.admin.stats()
            code = await run.stop()
            at_end = await network.admin.stats()
            expired = run.expired
        if code != 0:
            raise SorofastError(f"sorofast run did not end well: {run.failure}")
        progress.step("auditing the ledger")
        await wait_until_quiet(network)
        report = await evidence.report(until.latest_ledger)
    return DemoResult(
        report=report,
        expired=expired,
        rpc_calls=calls_between(at_start.rpc_calls, at_end.rpc_calls),
        rpc_calls_steady=calls_between(steady_from.rpc_calls, until.rpc_calls),
        ledgers_steady=until.latest_ledger - steady_from.latest_ledger,
        first_execution_s=progress.first_execution_s,
        workers=options.workers,
        wall_s=round(progress.elapsed_s, 1),
    )


async def wait_until_quiet(network: DemoNetwork) -> None:
    """Wait until nothing is pending and one more ledger has closed, so that an audit sees all that was
    sent.
    """
    give_up = (await network.admin.stats()).latest_ledger + _QUIET_LEDGERS_MAX
    following: int | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout((_QUIET_LEDGERS_MAX + 2) * network.seed.ledger_close_s + 5.0):
            while following is None or (await network.admin.stats()).latest_ledger < following:
                stats = await network.admin.stats()
                if following is None and (not stats.pending or stats.latest_ledger >= give_up):
                    following = stats.latest_ledger + 1
                await asyncio.sleep(_POLL_S)


def calls_between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """How often each method was called in between; methods that were not are left out."""
    return {
        method: count - before.get(method, 0)
        for method, count in sorted(after.items())
        if count > before.get(method, 0)
    }


@contextlib.contextmanager
def stop_on_interrupt(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM end a running demo with its audit; before that, or the second time, they cancel
    the task that entered this. Needs a running loop.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def heard() -> None:
        if task is not None and (stop.is_set() or not stop.worth_an_audit):
            task.cancel()
        stop.set()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _shown(progress: Progress) -> Iterator[None]:
    progress.open()
    try:
        yield
    finally:
        progress.close()


async def _pass_time(duration_s: float | None, stop: Stop, run: RunProcess) -> None:
    """Until the time is up or somebody stops it. SorofastError when the run ends by itself."""
    ended = asyncio.create_task(run.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([ended, stopped], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise SorofastError(f"sorofast run ended by itself: {run.failure}")
    finally:
        for task in (ended, stopped):
            task.cancel()


def _seconds_until(moment_s: int) -> float:
    from sorofast.clock import SystemClock

    return max(0.0, moment_s - SystemClock().wall())
