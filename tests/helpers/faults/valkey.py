"""The fleet's Valkey under the rig's hands: snapshots, rollbacks, emptiness, pauses, sudden death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from redis.asyncio import Redis

from helpers.faults.tcp_proxy import RedisProxy
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.settings import RedisConfig

_AOF = "appendonlydir"


class Valkey:
    """A server in `directory` and the proxy before it; an async context manager.

    The proxy's port stays the same whatever becomes of the server, so a fleet that was given `url` finds it
    again after a restart or a rollback.
    """

    def __init__(self, directory: Path) -> None:
        self._config = RedisConfig(dir=directory)
        self._home = directory / "redis"
        self._server: EmbeddedServer | None = None
        self._snapshots = directory / "redis-snapshots"
        self._direct_url = ""
        self.proxy = RedisProxy("")

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.proxy.__aenter__()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.proxy.__aexit__(kind, error, trace)
        await self.stop()

    @property
    def url(self) -> str:
        """The proxy's URL, for the fleet."""
        return self.proxy.url

    @property
    def direct_url(self) -> str:
        """Past the proxy, for the rig itself."""
        return self._direct_url

    @property
    def pid(self) -> int:
        pid = self._server.pid if self._server is not None else None
        assert pid is not None, "the server does not run"
        return pid

    @property
    def files(self) -> list[Path]:
        """The append-only files."""
        return sorted((self._home / _AOF).glob("*"))

    async def start(self) -> None:
        server = EmbeddedServer(self._config)
        self._direct_url = await server.__aenter__()
        self._server = server
        self.proxy.upstream = self._direct_url.removeprefix("unix://")

    async def stop(self) -> None:
        """Ends it as an operator would; its file is whole."""
        server, self._server = self._server, None
        if server is not None:
            await server.__aexit__(None, None, None)

    async def kill(self) -> None:
        """SIGKILL; its file is as the kernel has it."""
        os.kill(self.pid, signal.SIGKILL)
        await self.stop()

    async def restart(self, *, kill: bool = True, down_s: float = 0.0) -> None:
        """Down and up again on the same file."""
        await (self.kill() if kill else self.stop())
        await asyncio.sleep(down_s)
        await self.start()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Within the block the server stands still, its connections open."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def snapshot(self, name: str) -> Path:
        """A copy of the append-only file as it is now: what a backup or a lost disk page would bring back."""
        target = self._snapshots / name
        shutil.rmtree(target, ignore_errors=True)
        await asyncio.to_thread(shutil.copytree, self._home / _AOF, target)
        return target

    async def rollback(self, snapshot: Path, *, down_s: float = 0.0) -> None:
        """Everything written since the snapshot never was. Connections break, as with any restart."""
        await self.kill()
        shutil.rmtree(self._home / _AOF)
        shutil.copytree(snapshot, self._home / _AOF)
        await asyncio.sleep(down_s)
        await self.start()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """A client past the proxy."""
        redis = await open_redis(RedisConfig(url=self._direct_url))
        try:
            yield redis
        finally:
            await redis.aclose()

    async def flushall(self) -> None:
        async with self.client() as redis:
            await redis.flushall()

    async def forget_scripts(self) -> None:
        """SCRIPT FLUSH: every EVALSHA is answered with NOSCRIPT until the script is loaded again."""
        async with self.client() as redis:
            await redis.script_flush()
