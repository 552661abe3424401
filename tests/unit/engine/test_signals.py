"""What SIGTERM, SIGINT and SIGHUP mean, each sent to this very process."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from sorofast.engine import signals
from sorofast.engine.signals import stop_on_signals


async def sent(number: signal.Signals) -> None:
    """Returns once the loop has seen it."""
    os.kill(os.getpid(), number)
    for _ in range(20):
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_asks_to_end(number: signal.Signals) -> None:
    stop, go, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with stop_on_signals(stop, go, again=again):
        await sent(number)
        assert (stop.is_set(), go.is_set(), again.is_set()) == (True, True, False)


async def test_a_second_one_hurries_but_not_the_echo_of_the_first_nor_a_hang_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, again = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stop, again=again):
        await sent(signal.SIGHUP)
        await sent(signal.SIGTERM)
        assert stop.is_set()
        assert not again.is_set(), "both belong to one request"
        monkeypatch.setattr(signals, "SAME_REQUEST_S", 0.0)
        await sent(signal.SIGHUP)
        assert not again.is_set()
        await sent(signal.SIGINT)
        assert again.is_set()


async def test_a_process_started_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = asyncio.Event()
    try:
        with stop_on_signals(stop):
            await sent(signal.SIGHUP)
            assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
