"""SIGTERM and SIGINT, turned into events."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stop_on_signals"]


@contextmanager
def stop_on_signals(*events: asyncio.Event) -> Iterator[None]:
    """Sets all `events` when the process is asked to end. Call inside a running loop."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for event in events:
            event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
