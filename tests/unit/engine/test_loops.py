"""Tasks are ended even if something inside them swallows a cancellation."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from sorofast.engine.loops import Background, cancel_and_wait, unless_set


async def test_a_task_that_swallows_its_first_cancellation_is_cancelled_again() -> None:
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed.is_set():
                    raise
                swallowed.set()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    assert await cancel_and_wait([task]) == []
    assert swallowed.is_set()
    assert task.cancelled()


async def test_what_a_task_raised_stays_its_own() -> None:
    async def fails() -> None:
        raise ValueError("mine")

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    assert await cancel_and_wait([task]) == []


async def test_the_names_of_those_that_never_end_are_told() -> None:
    release = asyncio.Event()

    async def never() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(never(), name="never")
    await asyncio.sleep(0)
    assert await cancel_and_wait([task]) == ["never"]
    release.set()
    await task


async def test_work_gives_its_result_unless_the_event_comes_first() -> None:
    event, put_away = asyncio.Event(), asyncio.Event()

    async def works(seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(0)
            put_away.set()
        return "done"

    assert await unless_set(event, works(0)) == "done"
    put_away.clear()
    asyncio.get_running_loop().call_soon(event.set)
    assert await unless_set(event, works(600)) is None
    assert put_away.is_set(), "it has ended when the caller goes on"


async def test_what_the_work_raises_is_raised() -> None:
    async def fails() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await unless_set(asyncio.Event(), fails())


async def test_what_goes_on_in_the_background_is_ended_and_what_it_breaks_of_is_logged() -> None:
    background = Background()

    async def breaks() -> None:
        raise ValueError("mine")

    async def lasts() -> None:
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as lines:
        broken = background.begin(breaks(), "breaks")
        lasting = background.begin(lasts(), "lasts")
        await asyncio.wait([broken])
        await asyncio.sleep(0)
        assert [(line["event"], line["task"]) for line in lines] == [("background_task_broke", "breaks")]
        assert len(background) == 1
        assert await background.end() == []
        await asyncio.sleep(0)
    assert lasting.cancelled()
    assert len(background) == 0
    assert len(lines) == 1
