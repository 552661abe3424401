"""What is to be restored, as the members of a fleet tell each other through Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import structlog
from redis.asyncio import Redis

from sorofast.chain.ledger import LedgerClock
from sorofast.chain.rpc import RpcClient
from sorofast.clock import SystemClock
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.restores import NEEDS_MAX, RestoreNeed, RestoreStore, need_id
from sorofast.engine.loops import Background
from sorofast.engine.restores import (
    FORGOTTEN_LEDGERS,
    LOOK_LEDGERS,
    REFUSED_LEDGERS_MAX,
    FleetRestores,
)
from sorofast.observability.outages import Outages

LEDGER, CLOSE_S = 100, 1_000
KEYS = (b"a", b"b", b"c")
TASK = ("tasks", 7)


class Member:
    """One worker's view of the fleet's needs, and the ledgers it sees."""

    def __init__(self, redis: Redis, prefix: str, rpc: RpcClient) -> None:
        self.ledgers = LedgerClock(5.0)
        self.close(LEDGER)
        log = structlog.get_logger()
        self.background = Background()
        self.restores = FleetRestores(
            RestoreStore(redis, prefix), rpc, self.ledgers, log, Outages(log, SystemClock()), self.background
        )

    def close(self, ledger: int) -> None:
        self.ledgers.observe(ledger, CLOSE_S + 5 * (ledger - LEDGER))


@pytest_asyncio.fixture
async def members(redis: Redis, prefix: str) -> AsyncIterator[tuple[Member, Member]]:
    # Nobody asks it anything here.
    rpc = RpcClient("http://127.0.0.1:9")
    both = Member(redis, prefix, rpc), Member(redis, prefix, rpc)
    yield both
    for member in both:
        assert await member.background.end() == []
    await rpc.close()


async def test_what_one_member_needs_restored_all_see_until_it_is_done(
    members: tuple[Member, Member],
) -> None:
    one, other = (member.restores for member in members)
    assert await one.ask(KEYS[::-1], TASK) == LEDGER + LOOK_LEDGERS
    await other.sync()
    assert list(other.needs) == [need_id(KEYS)]
    (need,) = other.needs.values()
    assert (need.keys, need.wanted_by, need.asked_ledger, need.asked_s) == (KEYS, "7", LEDGER, CLOSE_S)
    other.drop(need_id(KEYS))
    await other.sync()
    await one.sync()
    assert one.needs == other.needs == {}


async def test_who_needs_what_is_restored_already_waits_for_that(members: tuple[Member, Member]) -> None:
    one, other = (member.restores for member in members)
    await one.ask(KEYS, TASK)
    await other.sync()
    await other.ask(KEYS[1:], ("tasks", 8))
    await other.ask(KEYS, ("tasks", 9))
    assert list(other.needs) == [need_id(KEYS)]


async def test_an_entry_that_two_need_is_restored_by_the_one_that_asked_first(
    members: tuple[Member, Member],
) -> None:
    one, other = members
    await one.restores.ask(KEYS, TASK)
    await other.restores.sync()
    other.close(LEDGER + 1)
    later = (b"c", b"d")
    await other.restores.ask(later, ("tasks", 8))
    await one.restores.sync()
    for member in members:
        assert member.restores.part_of(need_id(KEYS)) == KEYS
        assert member.restores.part_of(need_id(later)) == (b"d",)
    # What is held back takes nothing from others.
    one.restores.refuse(need_id(KEYS), "too dear")
    assert one.restores.part_of(need_id(later)) == later


async def test_what_cannot_be_restored_is_known_to_all_and_looked_at_ever_more_seldom(
    members: tuple[Member, Member],
) -> None:
    one, other = members
    await one.restores.ask(KEYS, TASK)
    pauses, ledger = [], LEDGER
    for _ in range(8):
        one.restores.refuse(need_id(KEYS), "too dear")
        await one.restores.sync()
        await other.restores.sync()
        (need,) = other.restores.needs.values()
        assert need.refused == "too dear"
        pauses.append(need.refused_until - ledger)
        other.close(ledger)
        assert need.refused_at(ledger)
        assert await other.restores.ask(KEYS, ("tasks", 8)) == need.refused_until
        ledger = need.refused_until
        one.close(ledger)
        assert not need.refused_at(ledger)
    assert pauses == [LOOK_LEDGERS * 2**attempt for attempt in range(6)] + [REFUSED_LEDGERS_MAX] * 2
    one.restores.worked(need_id(KEYS))
    assert not one.restores.needs[need_id(KEYS)].refused


async def test_what_a_member_changed_is_written_though_others_are_read_first(
    members: tuple[Member, Member],
) -> None:
    one, other = (member.restores for member in members)
    await one.ask(KEYS, TASK)
    await other.sync()
    one.refuse(need_id(KEYS), "too dear")
    await other.sync()
    assert not other.needs[need_id(KEYS)].refused
    await one.sync()
    assert one.needs[need_id(KEYS)].refused == "too dear"
    await other.sync()
    assert other.needs[need_id(KEYS)].refused == "too dear"


async def test_a_need_that_stands_for_long_ends_and_who_has_it_writes_it_down_again(
    members: tuple[Member, Member],
) -> None:
    one, other = members
    await one.restores.ask(KEYS, TASK)
    (need,) = one.restores.needs.values()
    one.close(LEDGER + FORGOTTEN_LEDGERS)
    assert not one.restores.expired(need)
    one.close(LEDGER + FORGOTTEN_LEDGERS + 1)
    assert one.restores.expired(need)
    one.restores.drop(need_id(KEYS))
    await one.restores.sync()
    await other.restores.sync()
    await other.restores.ask(KEYS, ("tasks", 8))
    await one.restores.sync()
    assert [need.wanted_by for need in one.restores.needs.values()] == ["8"]


async def test_who_asks_late_undoes_nothing_of_what_became_of_a_need(members: tuple[Member, Member]) -> None:
    one, other = (member.restores for member in members)
    await one.ask(KEYS, TASK)
    one.refuse(need_id(KEYS), "too dear")
    await one.sync()
    await other.ask(KEYS, ("tasks", 8))
    await one.sync()
    assert one.needs[need_id(KEYS)].refused == "too dear"


async def test_there_is_a_bound_to_what_waits(
    members: tuple[Member, Member], redis: Redis, prefix: str
) -> None:
    one, _ = (member.restores for member in members)
    for number in range(NEEDS_MAX + 3):
        assert await one.ask((number.to_bytes(4),), TASK) == LEDGER + LOOK_LEDGERS
    assert len(one.needs) == NEEDS_MAX
    # But what is held back keeps nobody out.
    one.refuse(need_id((bytes(4),)), "too dear")
    await one.ask(KEYS, TASK)
    await one.sync()
    assert need_id(KEYS) in one.needs
    assert need_id((bytes(4),)) not in one.needs
    assert await redis.hlen(FleetKeys.of(prefix).restores) == NEEDS_MAX  # type: ignore[misc]


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x91\x63", b"\x96\x63\x90\xa17\x64\x64\x00"])
async def test_what_another_version_wrote_is_passed_over(
    members: tuple[Member, Member], redis: Redis, prefix: str, packed: bytes
) -> None:
    one, _ = (member.restores for member in members)
    await redis.hset(FleetKeys.of(prefix).restores, "00000000000000ff", packed)  # type: ignore[misc]
    good = RestoreNeed(keys=KEYS, wanted_by="7", asked_ledger=LEDGER, asked_s=CLOSE_S)
    await RestoreStore(redis, prefix).write(2**64, good)
    for name in ("-0000000000000ff", "+0000000000000ff", "0000_0000_0000ff", "00000000000000FF"):
        await redis.hset(FleetKeys.of(prefix).restores, name, msgspec.msgpack.encode(good))  # type: ignore[misc]
    await one.ask(KEYS, TASK)
    await one.sync()
    assert list(one.needs) == [need_id(KEYS)]


async def test_what_rests_after_a_failure_says_so_and_is_asked_about_every_64_ledgers_at_least(
    members: tuple[Member, Member],
) -> None:
    one, _ = members
    await one.restores.ask(KEYS, TASK)
    one.restores.rest(need_id(KEYS), CLOSE_S + 15)
    (need,) = one.restores.needs.values()
    assert need.refused_until == LEDGER + 3
    assert "rests" in need.refused
    one.close(LEDGER + 3)
    one.restores.refuse(need_id(KEYS), "it failed")
    one.close(LEDGER + 5)
    one.restores.rest(need_id(KEYS), CLOSE_S + 86_400)
    (need,) = one.restores.needs.values()
    assert (need.refused, need.refused_until) == ("it failed", LEDGER + 5 + REFUSED_LEDGERS_MAX)
