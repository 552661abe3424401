"""What the whole fleet obeys: whether its runs are paused, since when, and who may try whether they can go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from sorofast.coordination.client import redis_errors
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.scripts import Scripts
from sorofast.errors import RedisUnreadable
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["FleetControl", "Pause"]

TEXT_MAX = 1_000
"""Characters of a cause in words."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the fleet. `cause` is a short name, `text` says it in words and what to do about it."""

    number: int
    cause: str
    text: str
    since_ledger: int
    since_s: int
    """Close time of that ledger, unix seconds."""


class FleetControl:
    """Raises RedisUnreachable. A pause that does not read is none, and is told to `unreadable`."""

    def __init__(self, redis: Redis, prefix: str, unreadable: UnreadableKeys | None = None) -> None:
        self._redis = redis
        self._key = FleetKeys.of(prefix).control
        self._unreadable = unreadable
        self._scripts = Scripts(redis, unreadable)

    async def pause(self) -> Pause | None:
        """The pause in force; None when the fleet works."""
        names = ["number", "cause", "text", "since_ledger", "since_s"]
        try:
            with redis_errors("reading whether the fleet is paused"):
                stored: list[Any] = await self._redis.hmget(self._key, names)
        except RedisUnreadable as error:
            if await self._scripts.put_right([self._key], error):
                return None
            raise
        number, cause, text, since_ledger, since_s = stored
        if not cause:
            return None
        try:
            return Pause(int(number), cause.decode(), (text or b"").decode(), int(since_ledger), int(since_s))
        except (TypeError, ValueError) as error:
            reason = RedisUnreadable(f"{self._key} holds a pause that does not read: {error!r}")
            await self._scripts.put_right([self._key], reason)
            return None

    async def begin(self, cause: str, text: str, ledger: int, close_s: int, member: str) -> int:
        """Begins a pause or confirms the one there is, as seen in `ledger`; returns its number."""
        reply = await self._scripts.run(
            "begin_pause-1", [self._key], [cause, text[:TEXT_MAX], ledger, close_s, member]
        )
        return int(reply[0])

    async def grant_probe(self, number: int, ledger: int) -> bool:
        """Whether the caller may try, as the only one of the fleet in this ledger, if the pause is over."""
        return bool(await self._scripts.run("grant_probe-1", [self._key], [number, ledger]))

    async def end(self, number: int) -> bool:
        """Ends that pause; False when it was over already, or another one has begun."""
        return bool(await self._scripts.run("end_pause-1", [self._key], [number]))
