"""What every scenario starts from."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from helpers.faults.clocks import MISSING, HostClock, find_libfaketime
from helpers.faults.scene import Scenario, Scene, Setup, scene


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """`async with scenario(tasks=20, …) as s:`; the arguments are those of `Setup`, and `start`."""

    def make(*, start: bool = True, **options: Any) -> AbstractAsyncContextManager[Scene]:
        return scene(Setup(**options), tmp_path, start=start)

    return make


@pytest.fixture
def host_clock(tmp_path: Path) -> HostClock:
    """A wall clock for a run that can be stepped; `scenario(host_clock=host_clock)`. Skips without libfaketime."""
    library = find_libfaketime()
    if library is None:
        pytest.skip(MISSING)
    return HostClock(tmp_path, library)
