"""An engine with a Redis of its own is told to end, hung up, or loses one of its processes; the ledger judges."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from helpers.demo import Trial, fleet_of, network_of, options_of
from sorofast.audit.report import Report
from sorofast.demo.fleet import RunProcess

STOP_MAX_S = 10.0
ORPHAN_MAX_S = 3.0
OPEN_TERMINAL = """
import os, sys
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)  # the terminal of a session is the first one its leader opens
for descriptor in (0, 1, 2):
    os.dup2(terminal, descriptor)
os.execv(sys.executable, [sys.executable, "-m", "sorofast", *sys.argv[2:]])
"""


@dataclass(frozen=True)
class Place:
    """A network whose tasks fall due, and the settings of an engine that brings its own Redis."""

    trial: Trial
    config_path: Path

    def run(self, name: str, workers: int = 2) -> RunProcess:
        return RunProcess(self.config_path, workers, self.config_path.parent / f"{name}.log")


@asynccontextmanager
async def place_of(
    directory: Path, *, ledger_close: str = "1s", due_per_ledger: float = 8
) -> AsyncIterator[Place]:
    options = options_of(due_per_ledger=due_per_ledger, ledger_close=ledger_close)
    async with (
        network_of(options) as network,
        fleet_of(network, directory / "fleet") as fleet,
        Trial(network, options) as trial,
    ):
        kept = [
            line
            for line in fleet.config_path.read_text(encoding="utf-8").splitlines()
            if not line.startswith(("drain_timeout_s", "url ="))
        ]
        config_path = fleet.directory / "own.toml"
        own = [*kept, 'url = "embedded"', f'dir = "{directory / "own"}"', ""]
        config_path.write_text("\n".join(own), encoding="utf-8")
        yield Place(trial, config_path)


@asynccontextmanager
async def at_work(place: Place, name: str = "run") -> AsyncIterator[RunProcess]:
    """A run that has sent something."""
    async with place.run(name) as run:
        await run.ready()
        await run.wait_for(lambda event: event.get("in_flight", 0) > 0, "send something", 60)
        yield run


def everybody_of(run: RunProcess) -> list[psutil.Process]:
    """Supervisor, workers and the embedded server."""
    supervisor = psutil.Process(run.pid)
    everybody = [supervisor, *supervisor.children(recursive=True)]
    assert len(everybody) == run.workers + 2, everybody
    return everybody


def server_of(run: RunProcess) -> psutil.Process:
    return next(process for process in everybody_of(run) if "valkey" in process.name())


def tell(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


async def seconds_until_gone(processes: list[psutil.Process], deadline_s: float = 60.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(deadline_s):
        while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
            await asyncio.sleep(0.02)
    return time.monotonic() - began


def names(run: RunProcess) -> list[str]:
    return [str(event["event"]) for event in run.events]


async def finish(place: Place, ledgers: int = 8) -> Report:
    """The next run takes up what the last one left; then the ledger is asked."""
    async with place.run("next") as following:
        await following.ready()
        await place.trial.pass_ledgers(ledgers)
        return await place.trial.end(following)


def nothing_lost(report: Report) -> None:
    assert (report.duplicates, report.early, report.failed) == (0, 0, 0), report
    assert report.executed > 0, report


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name
)
async def test_a_signal_to_every_process_at_once_drains_in_order_with_redis_last(
    tmp_path: Path, number: signal.Signals, record_property: Any
) -> None:
    async with place_of(tmp_path) as place:
        async with at_work(place) as run:
            everybody = everybody_of(run)
            began = time.monotonic()
            tell(everybody, number)
            code = await run.wait()
            took_s = time.monotonic() - began
            record_property("drain_s", round(took_s, 2))
            said = names(run)
            assert code == 0, run.failure
            assert await seconds_until_gone(everybody) < 1.0
        report = await finish(place)
    nothing_lost(report)
    assert took_s < STOP_MAX_S, (took_s, said[-20:])
    assert not {"worker_died", "drain_forced", "leases_not_freed"} & set(said), said


@pytest.mark.timeout(120)
async def test_a_run_that_was_started_to_outlive_its_terminal_goes_on_when_that_is_closed(
    tmp_path: Path,
) -> None:
    """As under nohup, which has the hang-up ignored: no worker ends of it either."""
    async with place_of(tmp_path) as place:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            async with at_work(place) as run:
                tell(everybody_of(run), signal.SIGHUP)
                await place.trial.pass_ledgers(5)
                assert run.returncode is None
                assert await run.stop() == 0
                assert not {"worker_died", "drain_forced"} & set(names(run)), names(run)
        finally:
            signal.signal(signal.SIGHUP, before)
        report = await finish(place)
    nothing_lost(report)


@pytest.mark.timeout(240)
async def test_a_supervisor_whose_terminal_is_closed_drains_although_nobody_reads_its_log_any_more(
    tmp_path: Path,
) -> None:
    async with place_of(tmp_path) as place:
        master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPEN_TERMINAL, os.ttyname(slave),
            "run", "--config", str(place.config_path), "--workers", "2",
        )  # fmt: skip
        try:
            said = b""
            async with asyncio.timeout(60):
                while b"fleet_ready" not in said:
                    said += await asyncio.to_thread(os.read, master, 65_536)
            os.close(slave)
            await place.trial.pass_until_due()
            supervisor = psutil.Process(process.pid)
            everybody = [supervisor, *supervisor.children(recursive=True)]
            assert len(everybody) == 4
            os.close(master)
            began = time.monotonic()
            code = await asyncio.wait_for(process.wait(), 60)
            took_s = time.monotonic() - began
            orphans_s = await seconds_until_gone(everybody)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        report = await finish(place)
    assert (code, orphans_s < 1.0) == (0, True), (code, took_s, orphans_s)
    nothing_lost(report)
    assert took_s < STOP_MAX_S


@pytest.mark.timeout(240)
async def test_workers_of_a_killed_supervisor_end_at_once_and_the_next_run_finds_the_leases_free(
    tmp_path: Path, record_property: Any
) -> None:
    # A drain would wait for the next ledger.
    options = options_of(due_per_ledger=8, ledger_close="4s")
    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet") as fleet,  # whose Redis outlives the run
        Trial(network, options) as trial,
        fleet.run(2) as killed,
    ):
        await killed.ready()
        await killed.wait_for(lambda event: event.get("in_flight", 0) > 0, "send something", 60)
        orphans = [psutil.Process(pid) for pid in killed.worker_pids()]
        killed.send_signal(signal.SIGKILL)
        orphans_s = await seconds_until_gone(orphans)
        record_property("orphans_s", round(orphans_s, 2))
        members = {event["member"] for event in killed.events if event["event"] == "worker_up"}
        await killed.wait_for(
            lambda _: {one["member"] for one in killed.events if one["event"] == "orphaned"} == members,
            "name the members that were orphaned", 20,
        )  # fmt: skip
        async with fleet.run(2) as following:
            began = time.monotonic()
            await following.ready()
            ready_s = time.monotonic() - began
            await trial.pass_ledgers(6)
            report = await trial.end(following)
    assert orphans_s < ORPHAN_MAX_S
    assert ready_s < 15.0
    nothing_lost(report)


@pytest.mark.timeout(240)
async def test_workers_of_a_killed_supervisor_end_also_when_its_redis_went_with_it(tmp_path: Path) -> None:
    async with place_of(tmp_path) as place:
        async with at_work(place) as run:
            everybody = everybody_of(run)
            run.send_signal(signal.SIGKILL)
            orphans_s = await seconds_until_gone(everybody)
        report = await finish(place)
    assert orphans_s < ORPHAN_MAX_S
    nothing_lost(report)


@pytest.mark.timeout(240)
async def test_an_embedded_server_that_is_killed_is_started_again_and_the_work_goes_on(
    tmp_path: Path,
) -> None:
    async with place_of(tmp_path) as place, at_work(place) as run:
        for _ in range(2):
            old = server_of(run)
            seen = len(run.events)
            old.kill()
            await run.wait_for(
                lambda event, seen=seen: event["event"] == "redis_restarted"
                and event in list(run.events)[seen:],
                "start its Redis again", 20,
            )  # fmt: skip
            assert server_of(run).pid != old.pid
            await place.trial.pass_ledgers(6)
        assert "worker_died" not in names(run)
        reasons = [event["reason"] for event in run.events if event["event"] == "redis_died"]
        assert reasons == ["it ended by SIGKILL and gave no warning"] * 2
        report = await place.trial.end(run)
    nothing_lost(report)
    assert report.missed == 0, report


@pytest.mark.timeout(240)
async def test_a_drain_does_not_wait_for_a_network_that_is_gone_and_the_next_run_settles_what_was_left(
    tmp_path: Path,
) -> None:
    async with place_of(tmp_path) as place:
        async with at_work(place) as run:
            # Other tests of this process may keep a network of their own; this one's is the newest.
            networks = [child for child in psutil.Process().children() if "sandbox" in child.name()]
            network = max(networks, key=lambda child: child.create_time())
            network.suspend()
            try:
                began = time.monotonic()
                tell(everybody_of(run), signal.SIGTERM)
                assert await run.wait() == 0, run.failure
                took_s = time.monotonic() - began
            finally:
                network.resume()
        report = await finish(place)
    nothing_lost(report)
    assert took_s < STOP_MAX_S


@pytest.mark.timeout(240)
async def test_a_second_signal_ends_a_drain_at_once(tmp_path: Path) -> None:
    async with place_of(tmp_path, ledger_close="4s") as place:
        async with at_work(place) as run:
            everybody = everybody_of(run)
            run.send_signal(signal.SIGTERM)
            await run.wait_for(lambda event: event["event"] == "draining", "drain", 10)
            await asyncio.sleep(1.1)  # what comes within a second belongs to the first
            began = time.monotonic()
            run.send_signal(signal.SIGTERM)
            assert await run.wait() == 0, run.failure
            took_s = time.monotonic() - began
            assert await seconds_until_gone(everybody) < 1.0
        report = await finish(place, ledgers=5)
    nothing_lost(report)
    assert took_s < 2.0


@pytest.mark.timeout(240)
async def test_a_run_that_is_told_to_end_while_it_starts_ends_in_order(tmp_path: Path) -> None:
    async with place_of(tmp_path) as place, place.run("brief") as run:
        async with asyncio.timeout(30):
            while not any("valkey" in child.name() for child in psutil.Process(run.pid).children()):
                await asyncio.sleep(0.01)
        everybody = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        tell(everybody, signal.SIGTERM)
        assert await run.wait() == 0, run.failure
        assert await seconds_until_gone(everybody) < 1.0
