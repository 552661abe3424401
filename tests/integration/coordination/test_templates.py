"""What one member learns, all members read; what one drops, all drop; and neither grows without bound."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from redis.asyncio import Redis

from helpers import calls
from helpers import entries as make
from helpers.lessons import due, simulation
from sorofast.coordination import templates
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.templates import Lesson, TemplateStore
from sorofast.engine.templates import FleetTemplates


def lesson(fee: int = 100) -> Lesson:
    return Lesson(version="1", template=b"sealed", fee=fee)


@pytest.fixture
def learned(redis: Redis, prefix: str) -> TemplateStore:
    return TemplateStore(redis, prefix)


async def test_changes_are_read_in_order_and_only_once(learned: TemplateStore) -> None:
    assert await learned.changes(0) == (0, [])
    await learned.store(7, lesson())
    await learned.store(8, lesson(200))
    since, changes = await learned.changes(0)
    assert [(change.template, change.lesson) for change in changes] == [(7, lesson()), (8, lesson(200))]
    assert await learned.changes(since) == (since, [])


async def test_what_one_drops_everybody_who_knew_it_drops(learned: TemplateStore) -> None:
    await learned.store(7, lesson())
    since, _ = await learned.changes(0)
    await learned.store(7, None)
    _, changes = await learned.changes(since)
    assert [(change.template, change.lesson) for change in changes] == [(7, None)]


async def test_a_change_about_something_older_than_what_is_there_changes_nothing(
    learned: TemplateStore,
) -> None:
    first = await learned.store(7, lesson())
    await learned.store(7, lesson(200))
    assert await learned.store(7, None, first) == 0
    _, changes = await learned.changes(0)
    assert [change.lesson for change in changes] == [lesson(200)]


async def test_the_calls_that_changed_longest_ago_give_way(
    learned: TemplateStore, redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "LESSONS_MAX", 4)
    for template in range(10):
        await learned.store(template, lesson())
    _, changes = await learned.changes(0)
    assert [change.template for change in changes] == [6, 7, 8, 9]
    keys = FleetKeys.of(prefix)
    assert await redis.hlen(keys.templates) == 4 + 1  # and the number of the last change
    assert await redis.zcard(keys.template_changes) == 4


async def test_many_changes_are_read_in_bounded_pieces(
    learned: TemplateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "_READ_MAX", 3)
    for template in range(8):
        await learned.store(template, lesson())
    since, found = 0, []
    for _ in range(4):
        since, changes = await learned.changes(since)
        assert len(changes) <= 3
        found += [change.template for change in changes]
    assert found == list(range(8))


async def test_after_the_server_was_emptied_everything_is_read_anew(
    learned: TemplateStore, redis: Redis, prefix: str
) -> None:
    for template in range(3):
        await learned.store(template, lesson())
    since, _ = await learned.changes(0)
    await redis.delete(FleetKeys.of(prefix).templates, FleetKeys.of(prefix).template_changes)
    await learned.store(9, lesson())
    since, changes = await learned.changes(since)
    assert (since, [change.template for change in changes]) == (1, [9])


async def test_a_lesson_of_another_version_is_passed_over(
    learned: TemplateStore, redis: Redis, prefix: str
) -> None:
    await learned.store(7, lesson())
    await redis.hset(FleetKeys.of(prefix).templates, "7", b"\x91\x63")
    _, changes = await learned.changes(0)
    assert [(change.template, change.lesson) for change in changes] == [(7, None)]


class Held(TemplateStore):
    """The first lesson that is stored waits for `go_on`."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        super().__init__(redis, prefix)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def store(self, template: int, lesson: Lesson | None, number: int | None = None) -> int:
        first = not self.asked.is_set()
        self.asked.set()
        stored = await super().store(template, lesson, number)
        if first:
            await self.go_on.wait()
        return stored


async def test_what_is_learned_while_an_earlier_lesson_is_stored_is_told_too(
    learned: TemplateStore, redis: Redis, prefix: str
) -> None:
    store = Held(redis, prefix)
    known = FleetTemplates(store, calls.signer(), make.CONTRACT_RAW, structlog.get_logger())
    call = due(1, 7, shares=False)
    known.learn(call, simulation(7), 228)
    telling = asyncio.create_task(known.flush())
    await store.asked.wait()
    known.learn(call, simulation(7), 300)
    store.go_on.set()
    await telling
    _, changes = await learned.changes(0)
    assert [change.lesson.fee for change in changes if change.lesson is not None] == [300]
