"""What follows from who is alive: who should own which shard (rendezvous hashing with an even cap), and which schema
of records everybody reads. How each member describes itself is decoded here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from sorofast.errors import DecodeError
from sorofast.executions.records import RECORD_SCHEMAS

__all__ = ["decode_info", "fair_share", "schema_for_all"]

NAME_MAX = 255


def fair_share(members: Iterable[str], shards: int, me: str) -> set[int]:
    """The shards `me` should own, given everybody alive; every member computes the same division.

    Plain rendezvous hashing is uneven (16 shards on 4 members may come out 7, 4, 3, 2), so pairs are taken by
    falling score under a cap: nobody gets more than one shard above anybody else, and a member that comes or
    goes moves little beyond its own share.
    """
    everybody = sorted({*members, me})
    if shards <= 0:
        return set()
    floor, extra = divmod(shards, len(everybody))
    pairs = sorted(
        ((_score(member, shard), shard, member) for member in everybody for shard in range(shards)),
        reverse=True,
    )
    owner: dict[int, str] = {}
    count = dict.fromkeys(everybody, 0)
    for _, shard, member in pairs:
        if shard in owner or count[member] > floor or (count[member] == floor and extra == 0):
            continue
        if count[member] == floor:
            extra -= 1
        owner[shard] = member
        count[member] += 1
    return {shard for shard, member in owner.items() if member == me}


def schema_for_all(infos: Iterable[Mapping[str, object]]) -> int:
    """The newest schema of records that every member reads, by what each says of itself. One that says nothing is of
    the first version, which did not know that there would be others.
    """
    oldest = min(RECORD_SCHEMAS)
    reads = [read if isinstance(read := info.get("reads"), int) else oldest for info in infos]
    return max(oldest, min([*reads, max(RECORD_SCHEMAS)]))


def decode_info(name: bytes, packed: bytes) -> tuple[str, dict[str, Any]]:
    """A member's name, and how it describes itself. DecodeError for what no member wrote."""
    try:
        member, info = name.decode(), msgspec.json.decode(packed)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise DecodeError(f"a member does not read: {error}") from error
    if not isinstance(info, dict) or not 0 < len(member) <= NAME_MAX:
        raise DecodeError(
            "a member describes itself by something else than an object, or has no name that fits"
        )
    return member, info


def _score(member: str, shard: int) -> int:
    return int.from_bytes(blake2b(f"{shard}\0{member}".encode(), digest_size=8).digest(), "big")
