"""SIGTERM, SIGINT and SIGHUP, turned into events."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SAME_REQUEST_S", "stop_on_signals"]

SAME_REQUEST_S = 1.0
"""Who tells a whole group of processes to end often tells one of them twice: by name, and as one of the group."""


@contextmanager
def stop_on_signals(*events: asyncio.Event, again: asyncio.Event | None = None) -> Iterator[None]:
    """Sets all `events` when the process is asked to end, and `again` when it is asked once more, by SIGTERM
    or SIGINT, more than SAME_REQUEST_S later.

    A hang-up asks to end too, unless the process was started to outlive it (nohup), and never hurries: closing
    a terminal may send several. Call inside a running loop.
    """
    loop = asyncio.get_running_loop()
    asked_at_s: float | None = None

    def stop(number: signal.Signals) -> None:
        nonlocal asked_at_s
        if asked_at_s is None:
            asked_at_s = loop.time()
            for event in events:
                event.set()
        elif again is not None and number != signal.SIGHUP and loop.time() - asked_at_s > SAME_REQUEST_S:
            again.set()

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
