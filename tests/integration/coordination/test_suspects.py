"""Who was in hand when workers died, as the fleet remembers it."""

from __future__ import annotations

import asyncio
import random

import pytest
from redis.asyncio import Redis

from sorofast.coordination.in_hand import AT_ONCE_MAX
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.suspects import DEATHS_MAX, SUSPECTS_MAX, Suspects, SuspectStore
from sorofast.executions.key import TASKS, Subject

SEVEN: Subject = (TASKS, 7)
JOB: Subject = ("jobs", "nightly")
DEADLINE_S = 10.0


@pytest.fixture
def suspects(redis: Redis, prefix: str) -> SuspectStore:
    return SuspectStore(redis, prefix)


def tasks(*numbers: int) -> list[Subject]:
    return [(TASKS, number) for number in numbers]


async def test_a_fleet_without_deaths_suspects_nobody(suspects: SuspectStore) -> None:
    assert await suspects.read(None) == ("", {})
    assert await suspects.read("") == ("", None), "nothing new"
    assert await suspects.note("a", "by SIGKILL", []) == {}
    assert not await suspects.clear(SEVEN)


async def test_each_death_alone_counts_and_the_third_is_the_last(suspects: SuspectStore) -> None:
    worker = Suspects(suspects)
    for death in range(1, DEATHS_MAX + 1):
        await worker.refresh()
        assert not worker.quarantined(SEVEN)
        assert await suspects.note(f"member-{death}", "by SIGSEGV", [SEVEN]) == {SEVEN: death}
    await worker.refresh()
    assert worker.quarantined(SEVEN)
    assert worker.quarantined_of(TASKS) == {7}
    assert not worker.quarantined(JOB)


async def test_a_death_that_is_told_twice_counts_once(suspects: SuspectStore) -> None:
    for _ in range(5):
        assert await suspects.note("host-77-ab12", "by SIGKILL", [SEVEN]) == {SEVEN: 1}


async def test_company_makes_suspect_and_never_more(suspects: SuspectStore) -> None:
    for death in range(6):
        deaths = await suspects.note(f"member-{death}", "by SIGKILL", [SEVEN, JOB, (TASKS, 8)])
        assert deaths == {SEVEN: 1, JOB: 1, (TASKS, 8): 1}


async def test_a_suspect_is_handled_alone_and_all_others_together(suspects: SuspectStore) -> None:
    worker = Suspects(suspects)
    await suspects.note("a", "by SIGKILL", tasks(3, 5))
    await worker.refresh()
    parts = list(worker.parts(tasks(1, 2, 3, 4, 5, 6), lambda subject: subject))
    assert parts == [tasks(1, 2), tasks(3), tasks(4), tasks(5), tasks(6)]


@pytest.mark.parametrize("seed", range(5))
async def test_parts_hold_everybody_once_in_order_and_fit_into_the_register(
    suspects: SuspectStore, seed: int
) -> None:
    rng = random.Random(seed)
    everybody = tasks(*range(rng.randrange(1_000)))
    suspected = rng.sample(everybody, rng.randrange(1 + min(len(everybody), AT_ONCE_MAX)))
    worker = Suspects(suspects)
    await suspects.note("a", "by SIGKILL", suspected)
    await worker.refresh()
    parts = [list(part) for part in worker.parts(everybody, lambda subject: subject)]
    assert [subject for part in parts for subject in part] == everybody
    assert all(1 <= len(part) <= AT_ONCE_MAX for part in parts)
    assert all(len(part) == 1 or not set(part) & set(suspected) for part in parts)


async def test_only_a_change_is_told(suspects: SuspectStore) -> None:
    await suspects.note("a", "by SIGKILL", [SEVEN])
    version, found = await suspects.read(None)
    assert found == {SEVEN: 1}
    assert await suspects.read(version) == (version, None)
    await suspects.note("b", "by SIGKILL", [SEVEN])
    newer, found = await suspects.read(version)
    assert (newer != version, found) == (True, {SEVEN: 2})


async def test_a_suspect_that_is_cleared_starts_anew(suspects: SuspectStore) -> None:
    worker = Suspects(suspects)
    for death in range(DEATHS_MAX):
        await suspects.note(f"member-{death}", "by SIGKILL", [SEVEN])
    await suspects.note("another", "by SIGKILL", [JOB])
    await worker.refresh()
    assert await suspects.clear(SEVEN)
    assert not await suspects.clear(SEVEN)
    await worker.refresh()
    assert not worker.quarantined(SEVEN)
    assert (await suspects.read(None))[1] == {JOB: 1}
    assert await suspects.note("later", "by SIGKILL", [SEVEN]) == {SEVEN: 1}


async def test_what_is_noted_is_forgotten_in_time_and_every_worker_learns_of_it(
    redis: Redis, prefix: str
) -> None:
    soon, later = SuspectStore(redis, prefix, remembered_s=0.3), SuspectStore(redis, prefix)
    worker = Suspects(later)
    await later.note("a", "by SIGKILL", [JOB])
    for death in range(DEATHS_MAX):
        await soon.note(f"member-{death}", "by SIGKILL", [SEVEN])
    await redis.persist(FleetKeys.of(prefix).suspects)  # the key would go with the one that goes first
    await worker.refresh()
    assert worker.quarantined(SEVEN)
    async with asyncio.timeout(DEADLINE_S):
        while worker.quarantined(SEVEN):
            await worker.refresh()
    assert (await later.read(None))[1] == {JOB: 1}


async def test_the_key_goes_with_the_last_suspect(redis: Redis, prefix: str) -> None:
    suspects = SuspectStore(redis, prefix, remembered_s=0.1)
    await suspects.note("a", "by SIGKILL", [SEVEN])
    async with asyncio.timeout(DEADLINE_S):
        while await redis.exists(FleetKeys.of(prefix).suspects):
            await asyncio.sleep(0.01)
    assert await suspects.read("something") == ("", {})


async def test_a_day_is_how_long_the_key_lives(redis: Redis, prefix: str, suspects: SuspectStore) -> None:
    await suspects.note("a", "by SIGKILL", [SEVEN])
    assert 86_000 < await redis.ttl(FleetKeys.of(prefix).suspects) <= 86_400


async def test_there_is_a_bound_and_the_least_suspected_give_way(suspects: SuspectStore) -> None:
    for death in range(DEATHS_MAX):
        await suspects.note(f"member-{death}", "by SIGKILL", [SEVEN])
    for start in range(1_000, 1_000 + SUSPECTS_MAX + AT_ONCE_MAX, AT_ONCE_MAX):
        await suspects.note(f"at-{start}", "by SIGKILL", tasks(*range(start, start + AT_ONCE_MAX)))
    found = (await suspects.read(None))[1]
    assert found is not None
    assert len(found) == SUSPECTS_MAX
    assert found[SEVEN] == DEATHS_MAX
    assert (TASKS, 1_000 + SUSPECTS_MAX) in found, "the newest stay"


async def test_a_name_of_another_version_is_passed_over(
    redis: Redis, prefix: str, suspects: SuspectStore
) -> None:
    await suspects.note("a", "by SIGKILL", [SEVEN])
    await redis.hset(FleetKeys.of(prefix).suspects, "what is this", "1 99999999999999 b by SIGKILL")
    assert (await suspects.read(None))[1] == {SEVEN: 1}
