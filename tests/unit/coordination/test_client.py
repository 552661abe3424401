"""Which servers are refused and with what advice; how redis-py's exceptions become ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis.exceptions as raised

from sorofast.coordination.client import (
    ServerFacts,
    describe_url,
    judge_server,
    open_redis,
    redis_errors,
    version_of,
)
from sorofast.errors import ConfigError, RedisUnfit, RedisUnreachable, RedisUnreadable, SorofastError
from sorofast.settings import RedisConfig

GOOD = ServerFacts(
    version="7.2.4", policy="noeviction", append_only=True, snapshots=False, role="master", mode="standalone"
)


def test_a_good_server_passes() -> None:
    judge_server(GOOD, allow_unsafe_persistence=False)
    judge_server(replace(GOOD, append_only=False, snapshots=True), allow_unsafe_persistence=False)
    judge_server(replace(GOOD, append_only=False), allow_unsafe_persistence=True)


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (replace(GOOD, version="6.2.14"), "6.2.14 and sorofast needs 7.0 or newer: upgrade"),
        (replace(GOOD, version=""), "needs 7.0"),
        (replace(GOOD, policy="allkeys-lru"), "CONFIG SET maxmemory-policy noeviction"),
        (replace(GOOD, append_only=False), "CONFIG SET appendonly yes"),
        (replace(GOOD, append_only=False, snapshots=None), "allow_unsafe_persistence"),
        (replace(GOOD, role="slave"), "replica"),
        (replace(GOOD, mode="cluster"), "single primary"),
    ],
)
def test_an_unfit_server_is_refused_with_the_fix(facts: ServerFacts, advice: str) -> None:
    with pytest.raises(RedisUnfit, match=advice):
        judge_server(facts, allow_unsafe_persistence=False)


def test_versions_are_read_from_both_places() -> None:
    assert version_of("7.2.4") == (7, 2)
    assert version_of("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64") == (9, 1)
    assert version_of("Redis server v=6.0.16 sha=0") == (6, 0)
    assert version_of("10.0.1") == (10, 0)
    assert version_of("no numbers") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hush@db.example:6380/2", "redis://db.example:6380/2"),
        ("rediss://:hush@db.example/0", "rediss://db.example/0"),
        ("unix:///run/redis.sock?password=hush", "unix:///run/redis.sock"),
        ("redis://:hush@host:notaport", "(no URL)"),
        ("nonsense", "(no URL)"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert describe_url(url) == shown


async def test_a_url_that_is_none_is_a_config_error_without_the_password() -> None:
    with pytest.raises(ConfigError, match=r"redis\.url") as caught:
        await open_redis(RedisConfig(url="http://user:hush@host/"))
    assert "hush" not in str(caught.value)


async def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(RedisUnreachable, match=r"does not answer.*unix:///nowhere"):
        await open_redis(RedisConfig(url="unix:///nowhere/redis.sock"))


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (raised.ConnectionError("gone"), RedisUnreachable),
        (raised.TimeoutError("slow"), RedisUnreachable),
        (raised.BusyLoadingError("loading"), RedisUnreachable),
        (raised.ReadOnlyError("replica"), RedisUnreachable),
        (raised.OutOfMemoryError("full"), RedisUnreachable),
        (raised.ResponseError("MISCONF Errors writing to the AOF file"), RedisUnreachable),
        (OSError("no socket"), RedisUnreachable),
        (raised.AuthenticationError("WRONGPASS"), RedisUnfit),
        (raised.NoPermissionError("NOPERM"), RedisUnfit),
        (raised.ResponseError("WRONGTYPE Operation"), RedisUnreadable),
        (raised.ResponseError("ERR value is not an integer or out of range"), RedisUnreadable),
        (raised.ResponseError("ERR user_script:12: attempt to compare nil with number"), RedisUnreadable),
        (raised.ResponseError("ERR unknown command"), SorofastError),
        (raised.DataError("odd"), SorofastError),
    ],
)
def test_every_redis_exception_becomes_one_of_ours(error: Exception, ours: type[SorofastError]) -> None:
    with pytest.raises(ours, match="doing things") as caught, redis_errors("doing things"):
        raise error
    assert type(caught.value) is ours
    assert caught.value.__cause__ is error


def test_every_class_redis_py_can_raise_is_converted() -> None:
    classes = [
        value
        for value in vars(raised).values()
        if isinstance(value, type) and issubclass(value, raised.RedisError)
    ]
    assert len(classes) > 20
    for one in classes:
        try:
            error = one("7 host:1")
        except TypeError:
            continue  # takes more arguments; its base class is converted all the same
        with pytest.raises(SorofastError), redis_errors("anything"):
            raise error


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(RedisUnfit, match="already ours"), redis_errors("anything"):
        raise RedisUnfit("already ours")
