"""Tasks are ended even if something inside them swallows a cancellation."""

from __future__ import annotations

import asyncio

from sorofast.engine.loops import cancel_and_wait


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
