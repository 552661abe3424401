"""Which archived entries the fleet wants restored by an operation of their own, in Redis for everybody to see.

Whoever sees in a simulation that a run needs it writes the need down; one shard, the same one for the same entries, has
it done and takes it off. Not fenced: what lands is fenced by that shard's log, a need that is lost is seen again by the
next simulation, and one that stays too long costs a simulation that finds nothing to restore.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from redis.asyncio import Redis

from sorofast.coordination.client import redis_errors
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.scripts import Scripts
from sorofast.errors import RedisUnreadable
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["KEYS_MAX", "NEEDS_MAX", "RestoreNeed", "RestoreStore", "need_id"]

NEED_SCHEMA = 1
NEEDS_MAX = 64
"""Beyond so many nobody adds another; by as many as members add in one ledger it may be exceeded."""
# Python takes more for a number than that: signs, spaces, underscores.
_NAME = re.compile(rb"[0-9a-f]{16}")
KEYS_MAX = 400
"""Entries of one need. A transaction of the public network names no more."""


class RestoreNeed(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Archived entries that a run needs restored first."""

    schema: int = NEED_SCHEMA
    keys: tuple[bytes, ...]
    """Whole ledger keys, sorted."""
    wanted_by: str
    """The subject whose run showed it, as `name_of_subject` writes it; others may need it too."""
    asked_ledger: int
    """The ledger in which a simulation showed that somebody needs it."""
    asked_s: int
    """Its close time, unix seconds."""
    attempts: int = 0
    """How often in a row it was found that it cannot be done."""
    refused: str = ""
    """Why it is not done, in words; empty while nothing speaks against it."""
    refused_until: int = 0
    """The ledger from which on it is looked at again."""

    @property
    def whose(self) -> str:
        """Whose run showed it, for people."""
        return f"task {self.wanted_by}" if self.wanted_by.isdecimal() else self.wanted_by

    def refused_at(self, ledger: int) -> bool:
        """Whether it is not to be done then."""
        return bool(self.refused) and self.refused_until > ledger


def need_id(keys: Iterable[bytes]) -> int:
    """The number, of 64 bits, of a need for these ledger keys: equal keys, equal numbers, on every host."""
    digest = hashlib.sha256()
    for key in sorted(set(keys)):
        digest.update(hashlib.sha256(key).digest())
    return int.from_bytes(digest.digest()[:8])


class RestoreStore:
    """Raises RedisUnreachable. What is no list of needs is told to `unreadable`, deleted and written anew."""

    def __init__(self, redis: Redis, prefix: str, unreadable: UnreadableKeys | None = None) -> None:
        self._redis = redis
        self._key = FleetKeys.of(prefix).restores
        self._scripts = Scripts(redis, unreadable)

    async def read(self) -> dict[int, RestoreNeed]:
        """Every need by its number; those of another version of ours are passed over."""
        stored: Any = await self._ask("reading what is to be restored", self._redis.hgetall)
        needs: dict[int, RestoreNeed] = {}
        for name, packed in stored.items():
            try:
                need = msgspec.msgpack.decode(packed, type=RestoreNeed)
                if need.schema == NEED_SCHEMA and _NAME.fullmatch(name):
                    needs[int(name, 16)] = need
            except ValueError:  # msgspec's errors are ValueErrors too
                continue
        return needs

    async def add(self, number: int, need: RestoreNeed) -> None:
        """Writes down a need, unless it is there."""
        packed = msgspec.msgpack.encode(need)
        await self._ask("noting what is to be restored", self._redis.hsetnx, f"{number:016x}", packed)

    async def write(self, number: int, need: RestoreNeed) -> None:
        """For the one who has it done: what became of it."""
        packed = msgspec.msgpack.encode(need)
        await self._ask("noting what is to be restored", self._redis.hset, f"{number:016x}", packed)

    async def drop(self, number: int) -> None:
        await self._ask("noting what is restored", self._redis.hdel, f"{number:016x}")

    async def _ask(self, action: str, command: Callable[..., Any], *arguments: str | bytes) -> Any:
        try:
            with redis_errors(action):
                return await command(self._key, *arguments)
        except RedisUnreadable as error:
            if not await self._scripts.put_right([self._key], error):
                raise
        with redis_errors(action):
            return await command(self._key, *arguments)
