"""The event loop every process of ours runs on: uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

__all__ = ["run_loop"]

Result = TypeVar("Result")


def run_loop(main: Coroutine[object, object, Result]) -> Result:
    """Runs `main` to its end on a fresh loop and closes the loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
