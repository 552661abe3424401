"""The whole path, judged by the ledger; and the two ways in which that judgement must be able to fail."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from helpers.demo import Trial, at_work, fleet_of, network_of, options_of, run_demo


@pytest.mark.timeout(240)
async def test_two_hundred_tasks_are_executed_once_each_and_in_time() -> None:
    result = await run_demo(options_of(workers=2, duration_s=45, dependencies=True))
    report = result.report
    assert (report.missed, report.duplicates, report.early, report.failed) == (0, 0, 0, 0), report
    assert report.executed > 50, report
    assert report.due == report.executed + report.open
    assert result.passed
    assert report.fees_stroops > 0
    assert result.rpc_calls["sendTransaction"] >= report.executed
    assert set(result.rpc_calls_steady) <= set(result.rpc_calls)


@pytest.mark.timeout(240)
async def test_two_fleets_that_do_not_know_of_each_other_are_seen_to_do_work_twice(tmp_path: Path) -> None:
    options = options_of(workers=1, due_per_ledger=5)
    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "one") as one,
        fleet_of(network, tmp_path / "two") as two,
        Trial(network, options) as trial,
        one.run(1) as first,
        two.run(1) as second,
    ):
        await asyncio.gather(first.ready(), second.ready())
        await trial.pass_until_due()
        await trial.pass_ledgers(20)
        report = await trial.end(first, second)
    assert report.duplicates > 0, report
    # Whoever loses a race goes on with the task's next window all the same.
    assert report.missed == 0, report
    assert report.executed > 0


@pytest.mark.timeout(240)
async def test_suspended_workers_are_seen_to_miss_windows(tmp_path: Path) -> None:
    options = options_of(workers=2, due_per_ledger=5)
    async with at_work(options, tmp_path) as work:
        run, trial = work.run, work.trial
        run.signal_workers(signal.SIGSTOP)
        try:
            await trial.pass_ledgers(15)
        finally:
            run.signal_workers(signal.SIGCONT)
        await trial.pass_ledgers(5)
        report = await trial.end(run)
    assert report.missed > 0, report
    assert report.duplicates == 0, report
