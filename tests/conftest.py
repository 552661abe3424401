"""Tiers by folder, and the fixtures every tier shares.

`tests/unit` needs no service. `tests/integration` starts what it needs (Valkey, the sandbox, whole fleets) on
free ports and stops it by its own process id. `tests/faults` does the same and bends it: lost replies, killed
processes, wrong clocks. `tests/verify` and tests marked so take minutes and run only
with --verify.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from sorofast.testing.clock import StubClock

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--verify", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        relative = item.path.relative_to(TESTS) if item.path.is_relative_to(TESTS) else None
        tier = relative.parts[0] if relative is not None else ""
        if tier in {"unit", "integration", "verify", "faults"}:
            item.add_marker(getattr(pytest.mark, tier))
    if config.getoption("--verify"):
        return
    chosen = [item for item in items if item.get_closest_marker("verify") is None]
    left_out = [item for item in items if item.get_closest_marker("verify") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With REQUIRE=1 in the environment a test that would be skipped for a missing tool fails instead: a scenario of
    the rig, and whatever is marked `needs_tool`.
    """
    report = yield
    needs = any(item.get_closest_marker(name) is not None for name in ("faults", "needs_tool"))
    required = os.environ.get("REQUIRE") == "1" and needs
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"REQUIRE=1, and this was to be skipped: {reason}"
    return report


@pytest.fixture
def clock() -> StubClock:
    """A clock that stands still until the test advances it."""
    return StubClock()


@pytest.fixture
def repository() -> Path:
    """The root of the clone."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own STELLAR_* and SOROFAST_* variables must not decide a test."""
    for name in list(os.environ):
        if name.startswith(("SOROFAST_", "STELLAR_")):
            monkeypatch.delenv(name)
