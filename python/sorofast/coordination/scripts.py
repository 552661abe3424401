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
    """Calls scripts by name. Safe to repeat after a lost reply, as every script is."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """One call, one round trip; RedisUnreachable when no answer came within the client's bounded retries."""
        _check_keys(name, keys)
        with redis_errors(name):
            try:
                return await self._redis.evalsha(_sha(name), len(keys), *keys, *args)
            except NoScriptError:
                await self._redis.script_load(script_text(name))
                return await self._redis.evalsha(_sha(name), len(keys), *keys, *args)

    async def run_many(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """The same script on several slots in one round trip, replies in order. Not atomic as a whole."""
        if not calls:
            return []
        replies = await self._pipelined(name, calls)
        forgotten = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            with redis_errors(name):
                await self._redis.script_load(script_text(name))
            again = await self._pipelined(name, [calls[index] for index in forgotten])
            for index, reply in zip(forgotten, again, strict=True):
                replies[index] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                with redis_errors(name):
                    raise reply
        return replies

    async def _pipelined(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        with redis_errors(name):
            async with self._redis.pipeline(transaction=False) as pipe:
                for keys, args in calls:
                    _check_keys(name, keys)
                    pipe.evalsha(_sha(name), len(keys), *keys, *args)
                return list(await pipe.execute(raise_on_error=False))


def _check_keys(name: str, keys: Sequence[str]) -> None:
    if len(keys) != key_count(name):
        raise ValueError(f"{name} takes {key_count(name)} keys, {len(keys)} given")
