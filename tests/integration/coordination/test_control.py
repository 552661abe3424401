"""What the whole fleet obeys, in one hash: who begins a pause, who may try, who ends it."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from sorofast.coordination.control import FleetControl

FULL, FEE = "queue_full", "fee_below_market"


@pytest.fixture
def control(redis: Redis, prefix: str) -> FleetControl:
    return FleetControl(redis, prefix)


async def test_a_fleet_that_never_paused_works(control: FleetControl) -> None:
    assert await control.pause() is None
    assert not await control.grant_probe(1, 100)
    assert not await control.end(1)


async def test_one_member_begins_a_pause_and_the_others_confirm_it(control: FleetControl) -> None:
    first = await control.begin(FEE, "at least 200", 100, 1_000, "a")
    second = await control.begin(FEE, "at least 300", 103, 1_003, "b")
    pause = await control.pause()
    assert first == second
    assert pause is not None
    assert (pause.cause, pause.since_ledger, pause.since_s) == (FEE, 100, 1_000), (
        "since the first that saw it"
    )
    assert pause.text == "at least 300", "as it was seen last"


async def test_one_try_a_ledger_is_granted_to_the_whole_fleet(control: FleetControl) -> None:
    number = await control.begin(FEE, "", 100, 1_000, "a")
    assert not await control.grant_probe(number, 100), "the refusal that began it was this ledger's try"
    granted = await asyncio.gather(*(control.grant_probe(number, 101) for _ in range(20)))
    assert sum(granted) == 1
    assert not await control.grant_probe(number, 100), "a member that is behind has no try of its own"
    assert await control.grant_probe(number, 102)
    assert not await control.grant_probe(number + 1, 103), "another pause's number"


async def test_only_the_pause_that_was_tried_ends(control: FleetControl) -> None:
    fee = await control.begin(FEE, "", 100, 1_000, "a")
    full = await control.begin(FULL, "", 104, 1_004, "b")
    assert full == fee + 1, "another cause is another pause"
    assert not await control.end(fee)
    pause = await control.pause()
    assert pause is not None
    assert (pause.number, pause.cause, pause.since_ledger) == (full, FULL, 104)
    assert await control.end(full)
    assert not await control.end(full), "again does nothing"
    assert await control.pause() is None
    assert await control.begin(FEE, "", 110, 1_010, "a") == full + 1, "numbers only grow"


async def test_a_cause_is_kept_short(control: FleetControl) -> None:
    await control.begin(FEE, "x" * 100_000, 100, 1_000, "a")
    pause = await control.pause()
    assert pause is not None
    assert len(pause.text) == 1_000
