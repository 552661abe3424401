"""`sorofast status`: the fleet behind one Redis, as Redis has it."""

from __future__ import annotations

import asyncio
from typing import Any

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options
from sorofast.cli.output import console, print_json, print_pairs, print_table, utc
from sorofast.settings import Settings

_LEDGERS = 5


def status(*, options: Options = DEFAULTS) -> None:
    """Show the fleet: who is alive, who owns which shard, the newest ledger, and what waits or is dead."""
    settings = load(options)
    shown = asyncio.run(_read(settings))
    if options.json:
        print_json(shown)
    else:
        _print(shown)


async def _read(settings: Settings) -> dict[str, Any]:
    from sorofast.coordination.fleet import Fleet
    from sorofast.coordination.shard import ShardStore
    from sorofast.coordination.visit import visit

    config = settings.redis()
    shards = int(settings.get("engine.shards"))
    async with visit(config) as redis:
        fleet = Fleet(redis, config.prefix)
        store = ShardStore(redis, config.prefix, shards)
        generation = await fleet.generation()
        members = await fleet.members()
        owners = await store.owners()
        counts = await store.counts()
        follower = await fleet.follower()
        ledgers = await fleet.last_ledgers(_LEDGERS)
    newest = ledgers[-1][1] if ledgers else None
    return {
        "generation": generation,
        "prefix": config.prefix,
        "members": members,
        "skipped": _sum_reasons(members),
        "follower": None if follower is None else {"owner": follower[0], "epoch": follower[1]},
        "ledger": None
        if newest is None
        else {
            "sequence": newest.ledger,
            "close_time_s": newest.close_time_s,
            "node": newest.node,
            "successes": len(newest.successes),
        },
        "in_flight": sum(part.in_flight for part in counts),
        "retry": sum(part.retry for part in counts),
        "dead": sum(part.dead for part in counts),
        "shards": [
            {
                "shard": part.shard,
                "owner": owners[part.shard][0] if part.shard in owners else None,
                "epoch": owners[part.shard][1] if part.shard in owners else None,
                "in_flight": part.in_flight,
                "retry": part.retry,
                "dead": part.dead,
                "channels": part.channels,
                "snapshot": part.snapshot_stream_id,
            }
            for part in counts
        ],
    }


def _sum_reasons(members: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Tasks by the reason they do not run, over the members that publish it."""
    total: dict[str, int] = {}
    for info in members.values():
        reasons = info.get("reasons")
        if isinstance(reasons, dict):
            for name, count in reasons.items():
                total[str(name)] = total.get(str(name), 0) + int(count)
    return total


def _print(shown: dict[str, Any]) -> None:
    ledger, follower = shown["ledger"], shown["follower"]
    owned = sum(1 for shard in shown["shards"] if shard["owner"] is not None)
    print_pairs(
        [
            (
                "fleet",
                shown["generation"] or f"none has been created under the prefix {shown['prefix']!r} yet",
            ),
            (
                "ledger",
                "none yet"
                if ledger is None
                else f"{ledger['sequence']}, closed {utc(ledger['close_time_s'])}",
            ),
            ("follower", "nobody" if follower is None else f"{follower['owner']}, epoch {follower['epoch']}"),
            ("members", len(shown["members"])),
            ("shards owned", f"{owned} of {len(shown['shards'])}"),
            ("in flight", shown["in_flight"]),
            ("retry", shown["retry"]),
            ("dead", shown["dead"]),
            *((f"skipped: {name}", count) for name, count in sorted(shown["skipped"].items())),
        ]
    )
    if shown["members"]:
        console().print()
        print_table(
            ["member", "pid", "shards", "tasks", "in flight", "follower"],
            [_member(name, info) for name, info in sorted(shown["members"].items())],
            right=["pid", "shards", "tasks", "in flight"],
        )
    if owned:
        console().print()
        print_table(
            ["shard", "owner", "epoch", "in flight", "retry", "dead", "channels"],
            [
                (s["shard"], s["owner"], s["epoch"], s["in_flight"], s["retry"], s["dead"], s["channels"])
                for s in shown["shards"]
            ],
            right=["shard", "epoch", "in flight", "retry", "dead", "channels"],
        )


def _member(name: str, info: dict[str, Any]) -> list[object]:
    """A member of another version may tell less, or more, than we know of."""
    shards = info.get("shards")
    held = len(shards) if isinstance(shards, list) else None
    follower = "yes" if info.get("follower") else ""
    return [name, info.get("pid"), held, info.get("tasks"), info.get("in_flight"), follower]
