"""`sorofast status`: the fleet behind one Redis, as Redis has it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options
from sorofast.cli.output import console, duration, print_json, print_pairs, print_table, utc
from sorofast.wording import counted

if TYPE_CHECKING:
    from sorofast.views.fleet import FleetView, LedgerView, OutageView


def status(*, options: Options = DEFAULTS) -> None:
    """Show the fleet: live workers, shard owners, the newest ledger, and executions in flight, retried or given up."""
    from sorofast.views.fleet import read_fleet

    settings = load(options)
    view = asyncio.run(read_fleet(settings.redis(), int(settings.get("engine.shards"))))
    if options.json:
        print_json(view)
    else:
        _print(view)


def _print(view: FleetView) -> None:
    owned = sum(1 for shard in view.shards if shard.owner is not None)
    paused = view.paused
    print_pairs(
        [
            *(
                ()
                if paused is None
                else [("paused", f"since ledger {paused.since_ledger}, {utc(paused.since_s)}: {paused.text}")]
            ),
            *((f"outage: {one.name}", f"{_since(one)}: {one.reason}") for one in view.outages),
            *(() if view.ledger is None or not view.ledger.stale else [("stale", _stale(view.ledger))]),
            ("fleet", view.generation or f"no fleet exists yet under the prefix {view.prefix!r}"),
            (
                "ledger",
                "none yet"
                if view.ledger is None
                else f"{view.ledger.sequence}, closed {utc(view.ledger.close_time_s)}",
            ),
            (
                "follower",
                "nobody" if view.follower is None else f"{view.follower.owner}, epoch {view.follower.epoch}",
            ),
            ("members", len(view.members)),
            ("shards owned", f"{owned} of {len(view.shards)}"),
            ("in flight", view.in_flight),
            ("retry", view.retry),
            ("dead", view.dead),
            *((f"skipped: {name}", count) for name, count in sorted(view.skipped.items())),
            *((f"channels quarantined: {reason}", count) for reason, count in view.quarantined.items()),
        ]
    )
    if view.members:
        console().print()
        print_table(
            ["member", "pid", "shards", "tasks", "in flight", "clock off", "follower"],
            [_member(name, info) for name, info in sorted(view.members.items())],
            right=["pid", "shards", "tasks", "in flight", "clock off"],
        )
    if owned:
        console().print()
        print_table(
            ["shard", "owner", "epoch", "in flight", "retry", "dead", "channels"],
            [(s.shard, s.owner, s.epoch, s.in_flight, s.retry, s.dead, s.channels) for s in view.shards],
            right=["shard", "epoch", "in flight", "retry", "dead", "channels"],
        )


def _since(outage: OutageView) -> str:
    told_by = counted(outage.members, "member")
    return f"since {utc(outage.since_s)}, for {duration(round(outage.for_s))}, told by {told_by}"


def _stale(ledger: LedgerView) -> str:
    """What an old ledger means: nothing that has happened since is known, and nothing new is run by it."""
    return f"no ledger after {ledger.sequence} for {duration(round(ledger.age_s or 0))}"


def _member(name: str, info: Mapping[str, Any]) -> list[object]:
    """A member of another version may tell less, or more, than we know of."""
    shards = info.get("shards")
    held = len(shards) if isinstance(shards, list) else None
    follower = "yes" if info.get("follower") else ""
    wrong_s = info.get("clock_wrong_s")
    clock = f"{wrong_s:+.1f} s" if isinstance(wrong_s, (int, float)) and wrong_s else ""
    return [name, info.get("pid"), held, info.get("tasks"), info.get("in_flight"), clock, follower]
