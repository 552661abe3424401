"""Opening Redis, judging whether it is fit to be relied on, and turning redis-py's exceptions into ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis.exceptions as raised
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from sorofast.errors import ConfigError, RedisUnfit, RedisUnreachable, RedisUnreadable, SorofastError
from sorofast.network_errors import why_not_connected

if TYPE_CHECKING:
    from sorofast.settings import RedisConfig

__all__ = [
    "ServerFacts",
    "check_server",
    "judge_server",
    "open_redis",
    "redis_errors",
    "shown",
    "unless_unreadable",
    "version_of",
]

MIN_VERSION = (7, 0)
MAX_CONNECTIONS = 64
CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0
RETRIES = 3
ERROR_CHARS_MAX = 300
SHOWN_MAX = 100
# What redis-py says where the system says nothing.
_NO_REPLY = {
    "Timeout connecting": f"it did not take the connection within {CONNECT_TIMEOUT_S:g} s",
    "Timeout reading": f"no reply within {REPLY_TIMEOUT_S:g} s",
    "Timeout writing": f"it took no more bytes within {REPLY_TIMEOUT_S:g} s",
    "Connection closed by server": "it closed the connection",
    "No connection available": f"all {MAX_CONNECTIONS} connections were in use for {REPLY_TIMEOUT_S:g} s",
}

# What a server says while it cannot serve for now, and what that means. redis-py keeps some of these words in the
# message, takes others off it and gives them a class, and tells those that came in a transaction by its own word.
_FOR_NOW = {
    "BUSY": "is busy with a script that runs too long; SCRIPT KILL ends one that has not written",
    "UNKILLABLE": "is busy with a script that runs too long and has written; wait for its end",
    "LOADING": "is loading its data",
    "OOM": "is out of memory and takes no writes; raise its maxmemory",
    "MISCONF": "cannot save its data and takes no writes; look at its disk and its log",
    "NOREPLICAS": "has too few replicas and takes no writes",
    "READONLY": "is a replica now and takes no writes; point redis.url at the primary",
    "MASTERDOWN": "is a replica that has lost its primary; point redis.url at the primary",
    "CLUSTERDOWN": "is part of a cluster that is down",
    "TRYAGAIN": "is moving these keys",
    "UNBLOCKED": "has just changed its role",
}
# What a server says when a key holds something else than the command, or our script, can work with.
_GARBLED = re.compile(r"WRONGTYPE|not an integer|not a valid float|would overflow|user_script")
_BY_CLASS: dict[type[Exception], str] = {
    raised.BusyLoadingError: "LOADING",
    raised.OutOfMemoryError: "OOM",
    raised.ReadOnlyError: "READONLY",
    raised.MasterDownError: "MASTERDOWN",
    raised.ClusterDownError: "CLUSTERDOWN",
    raised.TryAgainError: "TRYAGAIN",
    raised.ExecAbortError: "EXECABORT",
}


async def open_redis(cfg: RedisConfig) -> Redis:
    """A connected client with bounded connections, waits and retries.

    `cfg.url` is `redis://`, `rediss://` or `unix://`; an embedded server's comes from `EmbeddedServer`.
    Commands are asked again after a lost connection, which every script here allows. RedisUnreachable when
    nobody answers, ConfigError for a URL that is none. The URL may hold a password and is never quoted whole.
    """
    where = describe_url(cfg.url)
    try:
        pool = BlockingConnectionPool.from_url(
            cfg.url,
            max_connections=MAX_CONNECTIONS,
            timeout=REPLY_TIMEOUT_S,
            socket_timeout=REPLY_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES),
            client_name="sorofast",
            protocol=2,
        )
    except ValueError as error:
        raise ConfigError(
            f"redis.url {where} is not usable: take redis://host:port/db, rediss://…, unix:///path or 'embedded'"
        ) from error
    redis = Redis.from_pool(pool)
    try:
        with redis_errors(f"connecting to {where}"):
            await redis.ping()
    except BaseException:
        await redis.aclose()
        raise
    return redis


def describe_url(url: str) -> str:
    """Where a URL points to, without its user and password."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if parts.scheme else "(no URL)"
    except ValueError:
        return "(no URL)"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says about itself, as far as it matters here."""

    version: str
    """`redis_version`, which Valkey reports too, for compatibility."""
    policy: str
    """`maxmemory-policy`."""
    append_only: bool
    snapshots: bool | None
    """RDB save points exist; None when the server does not let us look."""
    role: str
    mode: str


async def check_server(redis: Redis, cfg: RedisConfig) -> None:
    """RedisUnfit, naming the fix, unless version, eviction policy and persistence can be relied on."""
    with redis_errors("reading the server's settings"):
        info = await redis.info("everything")
        try:
            save = await redis.config_get("save")
        except raised.ResponseError:
            save = None  # managed servers often hide CONFIG
    judge_server(
        ServerFacts(
            version=str(info.get("redis_version", "")),
            policy=str(info.get("maxmemory_policy", "")),
            append_only=str(info.get("aof_enabled", "0")) == "1",
            snapshots=None if save is None else bool(save.get("save")),
            role=str(info.get("role", "master")),
            mode=str(info.get("redis_mode", "standalone")),
        ),
        allow_unsafe_persistence=cfg.allow_unsafe_persistence,
    )


def judge_server(facts: ServerFacts, *, allow_unsafe_persistence: bool) -> None:
    """The rules themselves: RedisUnfit for the first that is broken."""
    version = version_of(facts.version)
    if version is None or version < MIN_VERSION:
        raise RedisUnfit(
            f"Redis reports version {facts.version or 'none'} and sorofast needs 7.0 or newer: upgrade the server, or "
            "point redis.url at another (Valkey is fine; 'embedded' brings its own)"
        )
    if facts.mode == "cluster":
        raise RedisUnfit(
            "redis.url points at a node of a Redis Cluster, which this version does not speak to: "
            "use a single primary, with replicas if you like"
        )
    if facts.role != "master":
        raise RedisUnfit(
            "redis.url points at a replica, which refuses writes: use the primary's address, or a name that follows it"
        )
    if facts.policy != "noeviction":
        raise RedisUnfit(
            f"Redis has maxmemory-policy {facts.policy or 'unknown'} and may throw away the write-ahead log when "
            "memory is short: run CONFIG SET maxmemory-policy noeviction, and set it in the server's configuration file"
        )
    if not facts.append_only and not facts.snapshots and not allow_unsafe_persistence:
        state = (
            "persists nothing"
            if facts.snapshots is False
            else "has no append-only file and hides its save points"
        )
        raise RedisUnfit(
            f"Redis {state}, so a restart would forget which transactions are on their way: run "
            "CONFIG SET appendonly yes (and set it in the server's configuration file), or accept the risk with "
            "redis.allow_unsafe_persistence = true"
        )


def version_of(text: str) -> tuple[int, int] | None:
    """The first two numbers of "7.2.4" or of `redis-server --version`'s "… v=7.2.4 sha=…", else None."""
    found = re.search(r"(?:^|\bv=)(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


@contextmanager
def redis_errors(action: str) -> Iterator[None]:
    """Converts what redis-py raises inside; `action` says in the message what was being done.

    RedisUnreachable for what passes by itself or by the operator's doing, and is tried again; RedisUnfit for
    credentials; RedisUnreadable for a key that holds something else than it should; plain SorofastError for an answer
    nobody expected.
    """
    try:
        yield
    except (raised.RedisError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, raised.RedisError) else error
        if isinstance(cause, (raised.AuthenticationError, raised.NoPermissionError)):
            raise RedisUnfit(
                f"Redis refuses our credentials ({action}: {cause}): check the user and password in redis.url and "
                "what its ACL allows"
            ) from error
        state = _state_of(cause)
        if state is not None:
            raise RedisUnreachable(f"Redis {state} ({action}: {_line(cause)})") from error
        if isinstance(cause, (raised.ConnectionError, raised.TimeoutError, OSError)):
            raise RedisUnreachable(f"Redis does not answer ({action}: {_why(cause)})") from error
        if isinstance(cause, raised.ResponseError) and _GARBLED.search(str(cause)):
            raise RedisUnreadable(f"Redis refused {action}: {_line(cause)}") from error
        raise SorofastError(
            f"Redis refused {action}: {_line(cause)}; if other software uses these keys, choose another redis.prefix"
        ) from error


def shown(raw: bytes) -> str:
    """What stands in Redis, for a message: clipped, whatever it is."""
    return raw[:SHOWN_MAX].decode(errors="replace")


def unless_unreadable(reply: Any, action: str) -> Any:
    """One reply of a pipeline that was to raise nothing: None where its key is not what it should be. Raises as
    `redis_errors` does for whatever else the server said.
    """
    if not isinstance(reply, Exception):
        return reply
    try:
        with redis_errors(action):
            raise reply
    except RedisUnreadable:
        return None


def _state_of(error: Exception) -> str | None:
    """What the server says of itself in an error, in our words; None when it says nothing of the kind."""
    text = str(error)
    code = _BY_CLASS.get(type(error)) or text.partition(" ")[0]
    piped = re.search(r"of pipeline caused error: \W*([A-Z]+) ", text)
    if piped and type(error) not in _BY_CLASS:
        code = piped[1]
    if code == "EXECABORT":
        # "… discarded because of: BUSY …", or of "previous errors", each of which said why.
        inner = re.search(r"because of: -?([A-Z]+)", text)
        return _FOR_NOW.get(inner[1] if inner else "", "takes no transactions now")
    return _FOR_NOW.get(code.lstrip("-"))


def _why(error: Exception) -> str:
    """Why there was no reply, in words."""
    words = why_not_connected(error)
    if words is not None:
        return f"it {words}"
    text = _line(error)
    for sign, meaning in _NO_REPLY.items():
        if text.startswith(sign):
            return meaning
    return text


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= ERROR_CHARS_MAX else f"{text[:ERROR_CHARS_MAX]}…"
