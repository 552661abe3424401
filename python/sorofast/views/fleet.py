"""The fleet behind one Redis, as Redis has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sorofast import _core
from sorofast.coordination.control import FleetControl, Pause
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.visit import visit_fleet
from sorofast.settings import RedisConfig
from sorofast.transactions.causes import FleetCause, what_to_do

__all__ = ["FleetView", "FollowerView", "LedgerView", "PauseView", "ShardView", "pause_of", "read_fleet"]

_LEDGERS = 5


class FollowerView(msgspec.Struct, frozen=True):
    """Who reads the chain for the fleet, and since which term."""

    owner: str
    epoch: int


class PauseView(msgspec.Struct, frozen=True):
    """Why no run of the fleet goes out: a short name, in words with what to do, and the ledger and unix second since
    when.
    """

    cause: str
    text: str
    since_ledger: int
    since_s: int


class LedgerView(msgspec.Struct, frozen=True):
    """The newest ledger that the follower published; `successes` are the executions in it."""

    sequence: int
    close_time_s: int
    node: str
    successes: int


class ShardView(msgspec.Struct, frozen=True):
    """One shard: its owner, if anybody has it, and how many records it holds.

    `snapshot` is the stream id that its stored table includes.
    """

    shard: int
    owner: str | None
    epoch: int | None
    in_flight: int
    retry: int
    dead: int
    channels: int
    snapshot: str | None


class FleetView(msgspec.Struct, frozen=True):
    """The fleet as a whole. `generation` is None before a fleet was created under that prefix; `members` are as they
    describe themselves; `paused` is None while it works; `skipped` are tasks by the reason they do not run, and
    `quarantined` channels by the reason they are kept out of use; `in_flight`, `retry` and `dead` count executions.
    """

    generation: str | None
    prefix: str
    members: dict[str, dict[str, Any]]
    paused: PauseView | None
    skipped: dict[str, int]
    quarantined: dict[str, int]
    follower: FollowerView | None
    ledger: LedgerView | None
    in_flight: int
    retry: int
    dead: int
    shards: tuple[ShardView, ...]


async def read_fleet(config: RedisConfig, shards: int) -> FleetView:
    """Its parts are read one after the other, so they may be a ledger apart. Raises RedisUnreachable and
    FleetMismatch.
    """
    async with visit_fleet(config, shards, may_be_new=True) as redis:
        fleet = Fleet(redis, config.prefix)
        store = ShardStore(redis, config.prefix, shards)
        generation = await fleet.generation()
        members = await fleet.members()
        owners = await store.owners()
        counts = await store.counts()
        follower = await fleet.follower()
        ledgers = await fleet.last_ledgers(_LEDGERS)
        pause = await FleetControl(redis, config.prefix).pause()
    newest = ledgers[-1][1] if ledgers else None
    return FleetView(
        generation=generation,
        prefix=config.prefix,
        members=members,
        paused=pause_of(newest, pause),
        skipped=_sum_reasons(members, "reasons"),
        quarantined=_sum_reasons(members, "quarantined"),
        follower=None if follower is None else FollowerView(follower[0], follower[1]),
        ledger=None
        if newest is None
        else LedgerView(newest.ledger, newest.close_time_s, newest.node, len(newest.successes)),
        in_flight=sum(part.in_flight for part in counts),
        retry=sum(part.retry for part in counts),
        dead=sum(part.dead for part in counts),
        shards=tuple(
            ShardView(
                shard=part.shard,
                owner=owners[part.shard][0] if part.shard in owners else None,
                epoch=owners[part.shard][1] if part.shard in owners else None,
                in_flight=part.in_flight,
                retry=part.retry,
                dead=part.dead,
                channels=part.channels,
                snapshot=part.snapshot_stream_id,
            )
            for part in counts
        ),
    )


def pause_of(newest: LedgerEntry | None, pause: Pause | None) -> PauseView | None:
    """Why the fleet is paused, by its newest ledger and by what its members wrote down; None while it works."""
    if newest is not None and newest.keeper_gone_since is not None:
        cause = FleetCause.KEEPER_MISSING
        text = what_to_do(cause, _core.account_from_bytes(newest.keeper))
        return PauseView(cause.value, text, *newest.keeper_gone_since)
    if pause is None:
        return None
    return PauseView(pause.cause, pause.text, pause.since_ledger, pause.since_s)


def _sum_reasons(members: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, int]:
    """Counts by reason, over the members that publish them under that name."""
    total: dict[str, int] = {}
    for info in members.values():
        reasons = info.get(kind)
        if isinstance(reasons, dict):
            for name, count in reasons.items():
                total[str(name)] = total.get(str(name), 0) + int(count)
    return total
