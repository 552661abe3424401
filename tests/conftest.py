"""Tiers by folder, and the fixtures every tier shares.

`tests/unit` needs no service. `tests/integration` starts what it needs (Valkey, the sandbox, whole fleets) on
free ports and stops it by its own process id. `tests/verify` and tests marked so take minutes and run only
with --verify.
"""

from __future__ import annotations

import os
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
        if tier in {"unit", "integration", "verify"}:
            item.add_marker(getattr(pytest.mark, tier))
    if config.getoption("--verify"):
        return
    chosen = [item for item in items if item.get_closest_marker("verify") is None]
    left_out = [item for item in items if item.get_closest_marker("verify") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


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
