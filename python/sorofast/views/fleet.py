"""The fleet behind one Redis, as Redis has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sorofast import _core
from sorofast.chain.ledger import stalled_after_s
from sorofast.clock import SystemClock
from sorofast.coordination.control import FleetControl, Pause
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.visit import visit_fleet
from sorofast.observability.outages import FOLLOW_FAILED, RPC_DOWN, outage_of
from sorofast.settings import RedisConfig
from sorofast.transactions.causes import FleetCause, what_to_do

__all__ = [
    "FleetView",
    "FollowerView",
    "LedgerView",
    "OutageView",
    "PauseView",
    "ShardView",
    "outages_of",
    "pause_of",
    "read_fleet",
]

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
    """The newest ledger that the follower published; `successes` are the executions in it. `age_s` is how long ago a
    member learned of it, None where no member says so; it is `stale` when the next one should long have come.
    """

    sequence: int
    close_time_s: int
    node: str
    successes: int
    age_s: float | None
    stale: bool


class OutageView(msgspec.Struct, frozen=True):
    """Something that does not work now: a short name, why in words, the unix second since when, on the clock of who
    asks, and how many members say so.
    """

    name: str
    reason: str
    since_s: int
    for_s: float
    members: int


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
    describe themselves; `paused` is None while it works; `outages` are those in force; `skipped` are tasks by why
    they do not run, and `quarantined` channels by why they are kept out of use; `in_flight`, `retry` and `dead`
    count executions.
    """

    generation: str | None
    prefix: str
    members: dict[str, dict[str, Any]]
    paused: PauseView | None
    outages: tuple[OutageView, ...]
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
        outages=outages_of(members, SystemClock().wall()),
        skipped=_sum_reasons(members, "reasons"),
        quarantined=_sum_reasons(members, "quarantined"),
        follower=None if follower is None else FollowerView(follower[0], follower[1]),
        ledger=None if newest is None else _ledger_of(newest, members),
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


def outages_of(members: Mapping[str, Mapping[str, Any]], now_s: float) -> tuple[OutageView, ...]:
    """What the members say does not work, longest first: what fails of the same server is one outage."""
    found: dict[str, list[tuple[float, str, str]]] = {}
    told = [
        (name, kind, cause, str(one.get("reason", "")), float(for_s))
        for name, info in members.items()
        for one in _list(info.get("outages"))
        if isinstance(kind := one.get("kind"), str)
        and isinstance(cause := one.get("cause", ""), str)
        and isinstance(for_s := one.get("for_s"), (int, float))
    ]
    # The follower asks all the time: if it gets no answer nobody does. Who else gets none may have asked for one thing.
    down = any(kind == FOLLOW_FAILED and cause == "rpc" for _, kind, cause, _, _ in told)
    for name, kind, cause, reason, for_s in told:
        outage = RPC_DOWN if down and cause == "rpc" else outage_of(kind, cause)
        found.setdefault(outage, []).append((for_s, reason, name))
    views = [
        OutageView(outage, reason, int(now_s - for_s), for_s, len({name for _, _, name in cases}))
        for outage, cases in found.items()
        for for_s, reason, _ in [max(cases)]
    ]
    return tuple(sorted(views, key=lambda view: -view.for_s))


def _ledger_of(newest: LedgerEntry, members: Mapping[str, Mapping[str, Any]]) -> LedgerView:
    ages = [
        (float(age_s), float(target_s))
        for info in members.values()
        if isinstance(age_s := info.get("ledger_age_s"), (int, float))
        and isinstance(target_s := info.get("target_s"), (int, float))
    ]
    age_s, target_s = min(ages, default=(None, 0.0))
    return LedgerView(
        sequence=newest.ledger,
        close_time_s=newest.close_time_s,
        node=newest.node,
        successes=len(newest.successes),
        age_s=age_s,
        stale=age_s is not None and age_s > stalled_after_s(target_s),
    )


def _list(value: object) -> list[Mapping[str, Any]]:
    """What a member of another version says may be of another form."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _sum_reasons(members: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, int]:
    """Counts by reason, over the members that publish them under that name."""
    total: dict[str, int] = {}
    for info in members.values():
        reasons = info.get(kind)
        if isinstance(reasons, dict):
            for name, count in reasons.items():
                total[str(name)] = total.get(str(name), 0) + int(count)
    return total
