"""Whatever starts can be stopped twice, and stopped without having started; stopping waits until it is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from sorofast import services
from sorofast.services import Service, Signpost


class Lamp(Service):
    """Is lit between start and stop; getting ready and putting away take turns of the loop."""

    def __init__(self, *, fails: Exception | None = None, dies: Exception | None = None) -> None:
        super().__init__()
        self.lit = 0
        self.lives = 0
        self.died = asyncio.Event()
        self._fails = fails
        self._dies = dies

    async def _serve(self, started: Callable[[], None]) -> None:
        self.lives += 1
        await asyncio.sleep(0)
        if self._fails is not None:
            raise self._fails
        self.lit += 1
        assert self.lit == 1, "lit twice at a time"
        started()
        try:
            await self.died.wait()
            if self._dies is not None:
                raise self._dies
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            self.lit -= 1


async def test_it_serves_between_start_and_stop_as_often_as_one_likes() -> None:
    lamp = Lamp()
    for _ in range(3):
        assert not lamp.running
        await lamp.start()
        assert lamp.running
        assert lamp.lit == 1
        await lamp.stop()
        assert lamp.lit == 0
    assert lamp.lives == 3


async def test_stopping_what_never_started_does_nothing() -> None:
    lamp = Lamp()
    await lamp.stop()
    await lamp.stop()
    await lamp.ended()
    assert lamp.lives == 0


async def test_starting_what_runs_begins_nothing_and_everybody_waits_until_it_serves() -> None:
    lamp = Lamp()
    await asyncio.gather(*(lamp.start() for _ in range(5)))
    assert (lamp.lives, lamp.lit) == (1, 1)
    await lamp.start()
    assert lamp.lives == 1
    await lamp.stop()


async def test_everybody_who_stops_it_waits_for_the_same_end() -> None:
    lamp = Lamp()
    await lamp.start()

    async def stop() -> int:
        await lamp.stop()
        return lamp.lit

    assert await asyncio.gather(*(stop() for _ in range(5))) == [0] * 5


async def test_stopping_what_is_about_to_start_ends_it() -> None:
    lamp = Lamp()
    starting = asyncio.create_task(lamp.start())
    await asyncio.sleep(0)
    await lamp.stop()
    await starting
    assert not lamp.running
    assert lamp.lit == 0


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    lamp = Lamp()
    starting = asyncio.create_task(lamp.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not lamp.running
    assert lamp.lit == 0


async def test_start_tells_what_kept_it_from_serving_and_stop_does_not_repeat_it() -> None:
    lamp = Lamp(fails=ValueError("no bulb"))
    with pytest.raises(ValueError, match="no bulb"):
        await lamp.start()
    await lamp.stop()
    assert not lamp.running


async def test_what_it_ends_of_by_itself_is_told_to_who_waits_for_the_end() -> None:
    lamp = Lamp(dies=ValueError("burnt out"))
    await lamp.start()
    lamp.died.set()
    with pytest.raises(ValueError, match="burnt out"):
        await lamp.ended()
    await lamp.stop()
    assert lamp.lit == 0


async def test_being_stopped_is_no_error_for_who_waits_for_the_end() -> None:
    lamp = Lamp()
    await lamp.start()
    ending = asyncio.create_task(lamp.ended())
    await lamp.stop()
    await ending


async def test_who_stops_it_and_is_cancelled_does_not_cut_short_how_it_ends() -> None:
    lamp = Lamp()
    await lamp.start()
    stopping = asyncio.create_task(lamp.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await lamp.ended()
    assert lamp.lit == 0


async def test_a_swallowed_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ASK_AGAIN_S", 0.01)

    class Stubborn(Lamp):
        async def _serve(self, started: Callable[[], None]) -> None:
            started()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

    lamp = Stubborn()
    await lamp.start()
    async with asyncio.timeout(5):
        await lamp.stop()


async def test_any_mix_of_starts_and_stops_ends_with_nothing_running() -> None:
    chance = random.Random(7)
    lamp = Lamp()

    async def meddle() -> None:
        for _ in range(50):
            await (lamp.start() if chance.random() < 0.5 else lamp.stop())
            if chance.random() < 0.3:
                await asyncio.sleep(0)

    await asyncio.gather(*(meddle() for _ in range(8)))
    await lamp.stop()
    assert lamp.lit == 0
    assert lamp.lives > 10


async def test_a_signpost_keeps_moments_in_order_once_somebody_listens() -> None:
    post: Signpost[int] = Signpost()
    post.passed(0)
    post.listen()
    for number in range(1, services.SIGNPOST_MAX + 5):
        post.passed(number)
    assert [await post.wait() for _ in range(services.SIGNPOST_MAX)] == [*range(1, services.SIGNPOST_MAX + 1)]
    with pytest.raises(TimeoutError):
        await post.wait(0.01)


async def test_waiting_at_a_signpost_without_listening_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="listen"):
        await Signpost[int]().wait()
