"""A host whose clock is wrong, or jumps while the engine works: what the ledger says then.

The engine's processes, and only they, run under libfaketime: the network and Redis keep the true time. Their
monotonic clock is left alone, as a step of the wall clock leaves it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from helpers.demo import Trial, fleet_of, network_of, options_of
from sorofast.audit.report import Report
from sorofast.demo.fleet import Event

LOG = logging.getLogger(__name__)
LIBRARIES = [
    Path(folder) / "faketime" / "libfaketimeMT.so.1"
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/lib")
]
LIBRARY = next((path for path in LIBRARIES if path.exists()), None)
TASKS = 100
LEDGERS = 30
LEDGERS_BEFORE_STEP = 8
WORKERS = 2

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (package `faketime`)"),
]


class HostClock:
    """The wall clock of the engine's processes: the true one and an offset that may be changed at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def step_to(self, offset_s: float) -> None:
        """From now on the clock is so many seconds ahead of the true one, or behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+g}\n", encoding="utf-8")
        new.replace(self._file)

    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


async def run_with(
    offset_s: float,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    step_to_s: float | None = None,
) -> tuple[Report, list[Event]]:
    """A fleet's run on 1 s ledgers by a clock that is off from the start, and steps after a few ledgers if told
    to; and what it logged about its clock.
    """
    clock = HostClock(directory / "clock")
    clock.step_to(offset_s)
    options = options_of(tasks=TASKS, workers=WORKERS, intervals_s=(5, 15))
    async with (
        network_of(options) as network,
        fleet_of(network, directory / "fleet") as fleet,
        Trial(network, options) as trial,
    ):
        for name, value in clock.environment().items():
            monkeypatch.setenv(name, value)
        async with fleet.run(options.workers) as run:
            for name in clock.environment():
                monkeypatch.delenv(name)
            await run.ready()
            await trial.pass_until_due()
            await trial.pass_ledgers(LEDGERS_BEFORE_STEP)
            if step_to_s is not None:
                clock.step_to(step_to_s)
            await trial.pass_ledgers(LEDGERS)
            report = await trial.end(run)
    LOG.info("clock off by %+g s, then %s: %s", offset_s, step_to_s, report)
    said = [event for event in run.events if str(event["event"]).startswith("wall_clock")]
    return report, said


@pytest.mark.parametrize("offset_s", [0.0, 3.0, 15.0, -15.0, 3_600.0, -3_600.0])
async def test_a_clock_that_is_wrong_from_the_start_makes_nothing_early_and_nothing_missed(
    offset_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, said = await run_with(offset_s, tmp_path, monkeypatch)
    assert report.executed >= TASKS
    assert (report.early, report.missed, report.duplicates) == (0, 0, 0)
    # Each worker says so once when it begins; a run is shorter than the minute after which it is said again.
    assert [event["event"] for event in said] == ["wall_clock_wrong"] * (WORKERS if offset_s else 0)
    assert all((event["ahead_s"] > 0) == (offset_s > 0) for event in said)


@pytest.mark.parametrize("step_to_s", [3.0, 15.0, -15.0, 3_600.0, -3_600.0])
async def test_a_clock_that_steps_in_mid_run_makes_at_most_one_run_early_and_none_missed(
    step_to_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, said = await run_with(0.0, tmp_path, monkeypatch, step_to_s=step_to_s)
    assert report.executed >= TASKS
    assert report.early <= 1
    assert (report.missed, report.duplicates) == (0, 0)
    assert [event["event"] for event in said] == ["wall_clock_wrong"] * WORKERS
