"""Benchmarks of the core: each checks its results before it times them.

`pytest benches/python --benchmark-only` runs them and ends with what the core gains over stellar-sdk, both having
worked on the same bytes in the same run.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sorofast import _core

# The builders that the tests use, and our own modules.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

PER_ITEM: dict[str, dict[str, float]] = {}
"""Group → who → seconds an item."""
FIGURES: dict[str, str] = {}
"""What is measured, and what came out, where it is no time."""
ROUNDS = 5
"""Of what needs a preparation before each round."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --benchmark-only nothing here is a test."""
    return None if config.getoption("--benchmark-only") else True


@pytest.fixture
def compare(benchmark: Any) -> Callable[[str, str, int, Callable[[], object]], None]:
    """Times `work` on `items` items and keeps the fastest round, which a busy host disturbs least."""

    def run(group: str, who: str, items: int, work: Callable[[], object]) -> None:
        benchmark.group = group
        benchmark.name = f"{group}: {who}"
        benchmark(work)
        benchmark.extra_info["items"] = items
        if not benchmark.disabled:
            PER_ITEM.setdefault(group, {})[who] = benchmark.stats.stats.min / items

    return run


@pytest.fixture
def compare_rounds(benchmark: Any) -> Callable[..., None]:
    """Times `work(prepare())` as `compare` does; every round's outcome passes `check`, outside the time."""

    def run(
        group: str,
        who: str,
        items: int,
        prepare: Callable[[], Any],
        work: Callable[[Any], Any],
        check: Callable[[Any], None],
    ) -> None:
        outcomes: list[Any] = []

        def checked() -> None:
            while outcomes:
                check(outcomes.pop())

        def setup() -> tuple[tuple[Any], dict[str, Any]]:
            checked()
            return (prepare(),), {}

        benchmark.group = group
        benchmark.name = f"{group}: {who}"
        benchmark.pedantic(lambda given: outcomes.append(work(given)), setup=setup, rounds=ROUNDS)
        checked()
        benchmark.extra_info["items"] = items
        if not benchmark.disabled:
            PER_ITEM.setdefault(group, {})[who] = benchmark.stats.stats.min / items

    return run


@pytest.fixture
def figures() -> dict[str, str]:
    """Where a benchmark puts a line for the end of the run."""
    return FIGURES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not PER_ITEM:
        return
    write = terminalreporter.write_line
    host = f"{platform.machine()}, Python {platform.python_version()}"
    terminalreporter.section("per item")
    write(
        f"core {_core.CORE_VERSION}, stellar-sdk {version('stellar-sdk')}, {host}; fastest rounds of this run"
    )
    for group, seconds in PER_ITEM.items():
        line = ", ".join(f"{who} {value * 1e6:.3f} µs" for who, value in seconds.items())
        if {"core", "stellar-sdk"} <= seconds.keys():
            line += f" — {seconds['stellar-sdk'] / seconds['core']:.0f} times as fast"
        if "sandbox" in seconds:
            line += f" — {1 / seconds['sandbox']:,.0f} a second"
        write(f"{group}: {line}")
    for what, figure in FIGURES.items():
        write(f"{what}: {figure}")
