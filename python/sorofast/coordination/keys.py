"""Every Redis key sorofast uses. No other module spells one.

Keys that one script touches together carry the same hash tag, so that they share a slot in a cluster:
`{fleet}` for what the fleet shares, `{fleet:s07}` for what the owner of shard 7 writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sorofast.errors import ConfigError
from sorofast.limits import SHARDS_MAX

__all__ = ["FOLLOWER", "FleetKeys", "KeyFacts", "ShardKeys", "facts_of", "shard_name", "shard_number"]

FOLLOWER = "follower"

_WRITTEN_ANEW = "nothing: it is deleted and written anew"
_KEEP = "restore it from a backup, or "


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a key is, and what to do when it holds something else. A `spare` one costs no more than work done again
    when it is lost, so a member of the fleet deletes it itself.
    """

    type: str
    fix: str = _WRITTEN_ANEW
    spare: bool = True


_FACTS = {
    "meta": KeyFacts(
        "hash",
        _KEEP + "stop the whole fleet, let ten ledgers close, DEL it and start the fleet again",
        spare=False,
    ),
    "generation": KeyFacts(
        "string",
        _KEEP + "stop the whole fleet, let ten ledgers close, DEL it and start the fleet again",
        spare=False,
    ),
    "members": KeyFacts("hash"),
    FOLLOWER: KeyFacts("hash"),
    "cursor": KeyFacts("hash"),
    "ledgers": KeyFacts("stream"),
    "timing": KeyFacts("hash"),
    "control": KeyFacts("hash"),
    "templates": KeyFacts("hash"),
    "template-changes": KeyFacts("zset"),
    "suspects": KeyFacts("hash"),
    "restores": KeyFacts("hash"),
    "lease": KeyFacts("hash", "DEL it: what is on its way stands in the log beside it", spare=False),
    "wal": KeyFacts(
        "hash", _KEEP + "let ten ledgers close, then DEL it and the channels beside it", spare=False
    ),
    "channels": KeyFacts("hash", "DEL it: what it held is read from the log and from the chain", spare=False),
    "retry": KeyFacts("hash", _KEEP + "DEL it: what failed is then tried again at once", spare=False),
    "dead": KeyFacts("hash", _KEEP + "DEL it: what was given up is then tried again", spare=False),
    "history": KeyFacts("stream", "DEL it: a new one begins", spare=False),
    "snapshot": KeyFacts("hash"),
    "requests": KeyFacts("list", "DEL it, and ask again for what it held", spare=False),
}


def facts_of(key: str) -> KeyFacts:
    """By a key's last word."""
    return _FACTS[key.rpartition(":")[2]]


_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def shard_name(shard: int) -> str:
    """`7` -> `"s07"`: how a shard is called in keys, leases and logs."""
    if not 0 <= shard < SHARDS_MAX:
        raise ValueError(f"shard {shard} is not in 0..{SHARDS_MAX - 1}")
    return f"s{shard:02d}"


def shard_number(name: str) -> int:
    """The inverse of `shard_name`."""
    number = int(name[1:]) if name[:1] == "s" and name[1:].isdecimal() else -1
    if number < 0 or shard_name(number) != name:
        raise ValueError(f"{name!r} is not a shard's name")
    return number


def checked_prefix(prefix: str) -> str:
    """A brace in it would become the hash tag and scatter keys over slots, hence the narrow alphabet."""
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(
            f"redis.prefix {prefix!r} is not usable: take 1 to 64 letters, digits, '_', '-', '.' or ':'"
        )
    return prefix


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """Keys that the whole fleet shares."""

    meta: str
    generation: str
    members: str
    follower: str
    cursor: str
    ledgers: str
    timing: str
    control: str
    templates: str
    template_changes: str
    suspects: str
    restores: str

    @classmethod
    def of(cls, prefix: str) -> FleetKeys:
        base = f"{checked_prefix(prefix)}:{{fleet}}:"
        return cls(
            meta=base + "meta",
            generation=base + "generation",
            members=base + "members",
            follower=base + FOLLOWER,
            cursor=base + "cursor",
            ledgers=base + "ledgers",
            timing=base + "timing",
            control=base + "control",
            templates=base + "templates",
            template_changes=base + "template-changes",
            suspects=base + "suspects",
            restores=base + "restores",
        )


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """Keys of one shard: its lease and everything that lease protects."""

    lease: str
    wal: str
    channels: str
    retry: str
    dead: str
    history: str
    snapshot: str
    requests: str

    @classmethod
    def of(cls, prefix: str, shard: int) -> ShardKeys:
        base = f"{checked_prefix(prefix)}:{{fleet:{shard_name(shard)}}}:"
        return cls(
            lease=base + "lease",
            wal=base + "wal",
            channels=base + "channels",
            retry=base + "retry",
            dead=base + "dead",
            history=base + "history",
            snapshot=base + "snapshot",
            requests=base + "requests",
        )
