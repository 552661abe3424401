"""Loads the Lua scripts and calls them: EVALSHA, and the text once more when Redis has forgotten it.

A script is a file `lua/verb_noun-N.lua`, N being its number of keys. `-- @include name` is replaced by
`lua/includes/name.lua`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from sorofast.coordination.client import redis_errors
from sorofast.coordination.keys import facts_of
from sorofast.errors import RedisUnreadable
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["Scripts", "script_names", "script_text"]

Arg = str | bytes | int

_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)
_LUA = files(__package__) / "lua"


def script_names() -> list[str]:
    return sorted(file.name.removesuffix(".lua") for file in _LUA.iterdir() if file.name.endswith(".lua"))


@cache
def script_text(name: str) -> str:
    """A script's text with its includes filled in."""
    text = (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(
        lambda match: (_LUA / "includes" / f"{match[1]}.lua").read_text(encoding="utf-8"), text
    )


@cache
def _sha(name: str) -> str:
    return sha1(script_text(name).encode(), usedforsecurity=False).hexdigest()


def key_count(name: str) -> int:
    return int(name.rpartition("-")[2])


class Scripts:
    """Calls scripts by name. Safe to repeat after a lost reply, as every script is.

    For a member of the fleet, which has `unreadable`, keys that hold something else than they should are told there,
    and the ones that can be spared are written anew.
    """

    def __init__(self, redis: Redis, unreadable: UnreadableKeys | None = None) -> None:
        self._redis = redis
        self._unreadable = unreadable

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """One call, one round trip; RedisUnreachable when no answer came within the client's bounded retries,
        RedisUnreadable when a key holds something else than it should.
        """
        _check_keys(name, keys)
        try:
            reply = await self._run(name, keys, args)
        except RedisUnreadable as error:
            if not await self.put_right(keys, error):
                raise
            return await self._run(name, keys, args)
        if self._unreadable is not None:
            for key in keys:
                self._unreadable.fine(key)
        return reply

    async def put_right(self, keys: Sequence[str], error: RedisUnreadable) -> bool:
        """Tells which of the keys are to blame for `error`, and deletes them if they can be spared; True if they were.
        A caller that only looks changes nothing.
        """
        if self._unreadable is None:
            return False
        wrong: list[str] = []
        for key in keys:
            with redis_errors("looking at a key's type"):
                found: Any = await self._redis.type(key)
            if found.decode() not in (facts_of(key).type, "none"):
                wrong.append(key)
        if not wrong:
            # Each is what it should be, so it is what stands in one of them: the one that a script names, or else any.
            named = [key for key in keys if f"the {key.rpartition(':')[2]} does not read" in str(error)]
            wrong = named or (list(keys) if all(facts_of(key).spare for key in keys) else list(keys[:1]))
        for key in wrong:
            self._unreadable.found(key, error, facts_of(key).fix)
        if not all(facts_of(key).spare for key in wrong):
            return False
        with redis_errors("deleting what cannot be read"):
            await self._redis.delete(*wrong)
        return True

    async def _run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        with redis_errors(_action(name)):
            try:
                return await self._redis.evalsha(_sha(name), len(keys), *keys, *args)
            except NoScriptError:
                await self._redis.script_load(script_text(name))
                return await self._redis.evalsha(_sha(name), len(keys), *keys, *args)

    async def run_many(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """The same script on several slots in one round trip, replies in order, RedisUnreadable among them where keys
        hold something else than they should. Not atomic as a whole.
        """
        if not calls:
            return []
        replies = await self._pipelined(name, calls)
        forgotten = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            with redis_errors(_action(name)):
                await self._redis.script_load(script_text(name))
            again = await self._pipelined(name, [calls[index] for index in forgotten])
            for index, reply in zip(forgotten, again, strict=True):
                replies[index] = reply
        for index, reply in enumerate(replies):
            if isinstance(reply, Exception):
                try:
                    with redis_errors(_action(name)):
                        raise reply
                except RedisUnreadable as error:
                    replies[index] = error
                    await self.put_right(calls[index][0], error)
        return replies

    async def _pipelined(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        with redis_errors(_action(name)):
            async with self._redis.pipeline(transaction=False) as pipe:
                for keys, args in calls:
                    _check_keys(name, keys)
                    pipe.evalsha(_sha(name), len(keys), *keys, *args)
                return list(await pipe.execute(raise_on_error=False))


def _action(name: str) -> str:
    """What an error says was being done: the script's name says it, without how many keys it takes."""
    return f"running {name.rpartition('-')[0]}"


def _check_keys(name: str, keys: Sequence[str]) -> None:
    if len(keys) != key_count(name):
        raise ValueError(f"{name} takes {key_count(name)} keys, {len(keys)} given")
