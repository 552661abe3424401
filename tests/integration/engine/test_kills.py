"""Workers, followers and whole engines that die in the middle of their work, judged by the ledger."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.demo import Trial, at_work, fleet_of, network_of, options_of
from sorofast.audit.report import Report
from sorofast.demo.fleet import RunProcess

SHARDS = 16
# The aim is ten seconds; the bound leaves room for a machine that compiles something else besides.
TAKEOVER_MAX_S = 40.0
DRAIN_MAX_S = 20.0


class Holdings:
    """Which shards each slot of a run holds, by what the run logs."""

    def __init__(self) -> None:
        self.run: RunProcess | None = None
        self._held: dict[int, set[int]] = {}
        self._whole_at = 0.0

    def hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "shards_held":
            self._held[event["slot"]] = set(event["shards"])
        elif event["event"] == "worker_died":
            self._held[event["slot"]] = set()
        self._whole_at = time.monotonic() if len(set().union(*self._held.values())) == SHARDS else 0.0

    async def whole_again(self, run: RunProcess, since: float) -> float:
        """Waits until the run holds every shard; returns the seconds since then."""
        await run.wait_for(lambda _: self._whole_at > since, "hold every shard again", TAKEOVER_MAX_S)
        return self._whole_at - since


def nothing_lost(report: Report) -> None:
    assert (report.missed, report.duplicates, report.early, report.failed) == (0, 0, 0, 0), report
    assert report.executed > 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["worker", "follower"])
async def test_a_killed_worker_costs_no_run_and_doubles_none(
    tmp_path: Path, victim: str, record_property: Any
) -> None:
    options = options_of(workers=4, due_per_ledger=10)
    holdings = Holdings()
    async with at_work(options, tmp_path, holdings.hear) as work:
        run = work.run
        follower = run.follower_pid()
        assert follower is not None
        pid = follower if victim == "follower" else next(pid for pid in run.worker_pids() if pid != follower)
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await run.wait_for(lambda event: event["event"] == "worker_died", "notice the death", TAKEOVER_MAX_S)
        took_s = await holdings.whole_again(run, killed_at)
        record_property("takeover_s", round(took_s, 2))
        await work.trial.pass_ledgers(15)
        report = await work.trial.end(run)
    nothing_lost(report)


@pytest.mark.timeout(240)
async def test_two_engines_on_one_redis_share_the_registry_and_one_may_leave(tmp_path: Path) -> None:
    options = options_of(workers=2, due_per_ledger=10)
    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet") as fleet,
        Trial(network, options) as trial,
        fleet.run(1) as stays,
        fleet.run(1) as leaves,
    ):
        await stays.ready()
        await leaves.ready()

        def shares(event: dict[str, Any]) -> bool:
            return event["event"] == "shards_held" and len(event["shards"]) == SHARDS // 2

        for pid in (stays.pid, *stays.worker_pids()):
            limits = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
            core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
            assert core.split()[4:6] == ["0", "0"], "a crash would write the seeds to disk"
        await stays.wait_for(shares, "share the shards", TAKEOVER_MAX_S)
        await leaves.wait_for(shares, "share the shards", TAKEOVER_MAX_S)
        await trial.pass_until_due()
        await trial.pass_ledgers(5)
        assert await leaves.stop() == 0

        def holds_all(event: dict[str, Any]) -> bool:
            return event["event"] == "shards_held" and len(event["shards"]) == SHARDS

        await stays.wait_for(holds_all, "take over what the other left", TAKEOVER_MAX_S)
        await trial.pass_ledgers(15)
        report = await trial.end(stays)
    nothing_lost(report)


@pytest.mark.timeout(240)
async def test_a_whole_engine_that_is_killed_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    """Nobody frees the leases of a killed host: they run out, and the log says what was on its way."""
    options = options_of(workers=2, due_per_ledger=5)
    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet") as fleet,
        Trial(network, options) as trial,
        fleet.run(2) as other,
        fleet.run(2) as killed,
    ):
        await other.ready()
        await killed.ready()
        await trial.pass_until_due()
        await trial.pass_ledgers(4)
        workers = killed.worker_pids()
        os.kill(killed.pid, signal.SIGKILL)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        await trial.pass_ledgers(25)
        report = await trial.end(other)
    nothing_lost(report)


@pytest.mark.timeout(120)
async def test_a_worker_that_keeps_dying_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    options = options_of(workers=1, due_per_ledger=5)

    def kill(event: dict[str, Any]) -> None:
        if event["event"] == "worker_up":
            os.kill(event["pid"], signal.SIGKILL)

    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet") as fleet,
        Trial(network, options),
        fleet.run(1, kill) as run,
    ):
        assert await run.wait() == 1
    assert "died 5 times" in run.failure


@pytest.mark.timeout(240)
async def test_a_drain_ends_when_all_is_settled_whoever_of_the_workers_leaves_first(tmp_path: Path) -> None:
    options = options_of(workers=3, due_per_ledger=15, ledger_close="500ms")
    async with at_work(options, tmp_path) as work:
        drains_s = []
        for run in (work.run, work.fleet.run(3), work.fleet.run(3)):
            async with contextlib.AsyncExitStack() as stack:
                if run is not work.run:
                    await stack.enter_async_context(run)
                    await run.ready()
                    await run.wait_for(lambda event: event.get("in_flight", 0) > 0, "send something", 30)
                began = time.monotonic()
                assert await run.stop() == 0
                drains_s.append(time.monotonic() - began)
        report = await work.trial.end()
    assert report.duplicates == 0, report
    # An envelope lives for six ledgers; who waits for the timeout of thirty seconds waits for nobody.
    assert max(drains_s) < DRAIN_MAX_S, drains_s
