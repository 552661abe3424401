"""What an operator asks of a shard: to try dead letters again, or to put them away.

A command does not change a shard's state itself. The owner has the same dead letters in its memory and would not learn
of it, and a takeover at that moment would make two writers. So a command appends a request to a short list in the
shard's slot, and the owner, whoever it is by then, carries it out at its next ledger in one fenced script that also
takes it off the list: once, whoever dies in between. While no fleet runs, requests wait for the next owner.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import msgspec
from redis.asyncio import Redis

from sorofast.coordination.client import redis_errors
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.scripts import Scripts
from sorofast.errors import SorofastError

__all__ = [
    "PURGE", "REQUESTS_MAX", "RETRY", "Request", "ask", "decode_request", "waiting",
]  # fmt: skip

RETRY = "retry"
PURGE = "purge"
REQUESTS_MAX = 100
EXECUTIONS_MAX = 500


class Request(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """`action` is RETRY or PURGE; `token` tells it from every other request."""

    token: str
    action: str
    executions: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Request).decode


def decode_request(raw: bytes) -> Request | None:
    """None for what another version asks: the owner that knows it may still come."""
    try:
        request = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return request if request.action in (RETRY, PURGE) else None


async def ask(redis: Redis, prefix: str, shard: int, action: str, executions: list[str]) -> None:
    """Appends requests for these executions of the shard. SorofastError when its list is full."""
    scripts, key = Scripts(redis), ShardKeys.of(prefix, shard).requests
    for at in range(0, len(executions), EXECUTIONS_MAX):
        part = executions[at : at + EXECUTIONS_MAX]
        request = Request(token=secrets.token_hex(8), action=action, executions=part)
        if not await scripts.run("ask_shard-1", [key], [REQUESTS_MAX, _encode(request)]):
            raise SorofastError(
                f"{REQUESTS_MAX} requests to shard {shard} wait to be carried out already; start the fleet, or ask "
                "again once it has taken them"
            )


async def waiting(redis: Redis, prefix: str, shards: Iterable[int]) -> dict[str, str]:
    """Action by execution, of what has been asked of these shards and is not carried out yet."""
    with redis_errors("reading the requests"):
        async with redis.pipeline(transaction=False) as pipe:
            for shard in shards:
                pipe.lrange(ShardKeys.of(prefix, shard).requests, 0, REQUESTS_MAX - 1)
            replies = await pipe.execute()
    asked = (decode_request(raw) for reply in replies for raw in reply)
    return {execution: request.action for request in asked if request for execution in request.executions}
