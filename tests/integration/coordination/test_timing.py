"""What members of a fleet tell each other about the network's pace."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from sorofast.chain.guard import HALF_LIFE_LEDGERS, Fading
from sorofast.coordination.timing import FleetTiming, TimingStore


@pytest.fixture
def timing(redis: Redis, prefix: str) -> TimingStore:
    return TimingStore(redis, prefix)


async def told(
    timing: TimingStore, ledger: int, horizon_s: float = 0.0, clock_lag_s: float = 0.0
) -> FleetTiming:
    return await timing.share(ledger, horizon_s, clock_lag_s, half_life_ledgers=HALF_LIFE_LEDGERS)


async def test_a_fleet_that_has_learned_nothing_says_so(timing: TimingStore) -> None:
    assert await told(timing, 100) == FleetTiming(0.0, 0.0, headers=False)


async def test_the_larger_lesson_stands_and_each_by_itself(timing: TimingStore) -> None:
    await told(timing, 100, 0.2, 0.5)
    assert await told(timing, 100, 0.3, 0.1) == FleetTiming(0.3, 0.5, headers=False)
    assert await told(timing, 100) == FleetTiming(0.3, 0.5, headers=False)


async def test_lessons_halve_with_the_ledgers_and_who_is_behind_shrinks_nothing(timing: TimingStore) -> None:
    await told(timing, 1_000, 0.4)
    assert (await told(timing, 1_000 + HALF_LIFE_LEDGERS)).horizon_s == pytest.approx(0.2, abs=1e-5)
    assert (await told(timing, 900)).horizon_s == 0.4
    await told(timing, 1_000 + HALF_LIFE_LEDGERS, 0.3)
    assert (await told(timing, 1_000 + 2 * HALF_LIFE_LEDGERS)).horizon_s == pytest.approx(0.15, abs=1e-5)


async def test_telling_each_other_the_same_for_ever_does_not_keep_it_alive(timing: TimingStore) -> None:
    members = [Fading(), Fading()]
    members[0].raise_to(0.4, 1_000)
    for ledger in range(1_000, 1_000 + HALF_LIFE_LEDGERS + 1):
        for member in members:
            member.raise_to((await told(timing, ledger, member.at(ledger))).horizon_s, ledger)
    assert [member.at(1_000 + HALF_LIFE_LEDGERS) for member in members] == pytest.approx([0.2, 0.2], abs=1e-3)


async def test_a_lesson_told_twice_after_a_lost_reply_is_one_lesson(timing: TimingStore) -> None:
    first = await told(timing, 100, 0.25, 0.75)
    assert await told(timing, 100, 0.25, 0.75) == first


async def test_headers_are_learned_from_once_for_the_fleet(timing: TimingStore) -> None:
    known = await timing.share(100, 0.0, 0.0, half_life_ledgers=HALF_LIFE_LEDGERS, headers=True)
    assert known.headers
    assert (await told(timing, 101)).headers


async def test_of_lessons_told_at_once_the_largest_stands(timing: TimingStore) -> None:
    await asyncio.gather(*(told(timing, 100, number / 100) for number in range(50)))
    assert (await told(timing, 100)).horizon_s == 0.49
