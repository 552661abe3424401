"""The engine as a user runs it: a Redis, channels, a settings file, and `sorofast run` as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sorofast.coordination import die_with_parent
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.demo.network import DemoNetwork
from sorofast.errors import SorofastError, UsageError
from sorofast.limits import channels_needed
from sorofast.settings import RedisConfig
from sorofast.transactions.accounts import create_channels, write_new_seed_file

SHARDS = 16
DRAIN_TIMEOUT_S = 30.0
READY_TIMEOUT_S = 60.0
_KILL_AFTER_S = 20.0
_EVENTS_MAX = 4_096
_LINE_BYTES_MAX = 1 << 20
# Friendbot gives the keeper ten thousand XLM. Half of that makes a fleet, so that there can be two; a large
# fleet needs most of it. A run costs less than a hundredth of an XLM, and forty last a channel for
# thousands.
_MONEY_STROOPS = 45_000_000_000
_MONEY_STROOPS_MAX = 90_000_000_000
_BALANCE_STROOPS_MAX = 400_000_000
_BALANCE_STROOPS_MIN = 30_000_000
_CHANNELS_MAX = _MONEY_STROOPS_MAX // _BALANCE_STROOPS_MIN

Event = dict[str, Any]


class Fleet:
    """What one or more `sorofast run` share: an embedded Redis, a channel seed and a settings file, in
    `directory`.

    An async context manager; entering it creates the channels, which the network's keeper pays.
    """

    def __init__(
        self,
        network: DemoNetwork,
        directory: Path,
        *,
        channels: int | None = None,
        shards: int = SHARDS,
        progress: Callable[[int, int], None] | None = None,
        rpc_url: str | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """`rpc_url` is where the engine shall find the network, if not where it is; `settings` are more of them, by
        section.
        """
        self.network = network
        self.directory = directory
        self.config_path = directory / "sorofast.toml"
        self.channels = channels or channels_needed(math.ceil(network.runs_per_ledger), shards)
        if self.channels > _CHANNELS_MAX:
            raise UsageError(
                f"about {network.runs_per_ledger:.0f} tasks would fall due per ledger, for which a demo would need "
                f"{self.channels} channels and can pay {_CHANNELS_MAX}; choose fewer tasks or longer intervals"
            )
        self.redis_url = ""
        self._rpc_url = rpc_url
        self._settings = settings or {}
        self._shards = shards
        self._progress = progress
        self._runs = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with contextlib.AsyncExitStack() as stack:
            self.redis_url = await self._open_redis(stack)
            await self._create_channels()
            self._write_config()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def run(
        self,
        workers: int,
        listener: Callable[[Event], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RunProcess:
        """One `sorofast run` of this fleet, not yet started: enter it with `async with`."""
        self._runs += 1
        log = self.directory / f"run-{self._runs}.log"
        return RunProcess(self.config_path, workers, log, listener, environment)

    async def _open_redis(self, stack: contextlib.AsyncExitStack) -> str:
        """Starts the Redis that the runs share; returns its URL."""
        return await stack.enter_async_context(EmbeddedServer(RedisConfig(dir=self.directory)))

    async def _create_channels(self) -> None:
        secret_file = self.directory / "keeper.secret"
        _write_secret(secret_file, self.network.keeper.secret)
        phrase = write_new_seed_file(self.directory / "channels.seed")
        money_stroops = _MONEY_STROOPS
        if self.channels * _BALANCE_STROOPS_MIN > money_stroops:
            money_stroops = _MONEY_STROOPS_MAX
        async with self.network.hurry():
            await create_channels(
                self.network.urls.rpc_url,
                self.network.urls.network_passphrase,
                self.network.keeper.secret,
                phrase,
                self.channels,
                starting_balance_stroops=min(_BALANCE_STROOPS_MAX, money_stroops // self.channels),
                progress=self._progress,
            )

    def _write_config(self) -> None:
        # JSON's strings, numbers and booleans are TOML's as well.
        sections: dict[str, dict[str, object]] = {
            "network": {
                "passphrase": self.network.urls.network_passphrase,
                "rpc_url": self._rpc_url or self.network.urls.rpc_url,
            },
            "contract": {"id": self.network.registry.contract},
            "keeper": {
                "secret_file": "keeper.secret",
                "channel_seed_file": "channels.seed",
                "channels": self.channels,
            },
            "engine": {"shards": self._shards, "drain_timeout_s": DRAIN_TIMEOUT_S},
            "redis": {"url": self.redis_url},
        }
        for section, more in self._settings.items():
            sections.setdefault(section, {}).update(more)
        lines: list[str] = []
        for section, values in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
            lines.append("")
        self.config_path.write_text("\n".join(lines), encoding="utf-8")


class RunProcess:
    """One `sorofast run` as a child process; an async context manager that stops it in the end.

    Its log, one JSON event a line, goes to `log_path` and to `listener`. `stop()` may be called again.
    """

    def __init__(
        self,
        config_path: Path,
        workers: int,
        log_path: Path,
        listener: Callable[[Event], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.workers = workers
        self.log_path = log_path
        self.events: deque[Event] = deque(maxlen=_EVENTS_MAX)
        self.expired = 0
        self._config_path = config_path
        self._listener = listener
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._heard = asyncio.Condition()
        self._members: dict[int, Event] = {}
        self._follower_slot: int | None = None
        self._last_words = ""

    async def __aenter__(self) -> Self:
        # The settings file is the whole truth here: what the user's shell exports is meant for another
        # network.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SOROFAST_", "STELLAR_"))
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(die_with_parent.__file__),
            str(os.getpid()),
            "SIGTERM",
            sys.executable,
            "-m",
            "sorofast",
            "run",
            "--config",
            str(self._config_path),
            "--workers",
            str(self.workers),
            "--log-format",
            "json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment | self._environment,
            cwd=self._config_path.parent,
            # A session of its own: Ctrl-C is for this process, which ends that one in its own time.
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        if self._process.stderr is None:
            raise SorofastError("sorofast run was started without a pipe for its log")
        self._reader = asyncio.create_task(self._read(self._process.stderr))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._started().returncode

    @property
    def failure(self) -> str:
        """The last thing it said that was no event: the one line an error gives."""
        return self._last_words or f"it said nothing (exit code {self.returncode})"

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are up, by slot."""
        return [int(event["pid"]) for _, event in sorted(self._members.items())]

    def follower_pid(self) -> int | None:
        """Process id of the worker that follows the chain, None when it is none of ours."""
        event = None if self._follower_slot is None else self._members.get(self._follower_slot)
        return None if event is None else int(event["pid"])

    async def ready(self, timeout_s: float = READY_TIMEOUT_S) -> Event:
        """Wait until the fleet's shards all have owners and ours are loaded."""
        return await self.wait_for(lambda event: event.get("event") == "fleet_ready", "get ready", timeout_s)

    async def wait_for(self, wanted: Callable[[Event], bool], what: str, timeout_s: float) -> Event:
        """The first logged event, past ones included, that is wanted. SorofastError when the run ends or
        time is up.
        """
        try:
            async with asyncio.timeout(timeout_s), self._heard:
                seen = 0
                while True:
                    for event in list(self.events)[seen:]:
                        if wanted(event):
                            return event
                    # Events beyond the bound fall off the front; then looking at all of them again does no
                    # harm.
                    seen = len(self.events) if len(self.events) < _EVENTS_MAX else 0
                    if self._reader is None or self._reader.done():
                        raise SorofastError(f"sorofast run ended and did not {what}: {self.failure}")
                    await self._heard.wait()
        except TimeoutError:
            raise SorofastError(
                f"sorofast run did not {what} within {timeout_s:.0f} s: {self.failure}"
            ) from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        with contextlib.suppress(ProcessLookupError):
            self._started().send_signal(number)

    def signal_workers(self, number: signal.Signals) -> None:
        """Send a signal to every worker."""
        for pid in self.worker_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def wait(self) -> int:
        """Wait until the run has ended and its log is read; returns the exit code."""
        code = await self._started().wait()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=_KILL_AFTER_S)
        return code

    async def stop(self) -> int | None:
        """Drain and end it; kill it when it takes far longer than it may. Returns the exit code."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            self.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(DRAIN_TIMEOUT_S + _KILL_AFTER_S):
                    await process.wait()
            except TimeoutError:
                # Its workers end by themselves when their pipes to the supervisor close.
                self.send_signal(signal.SIGKILL)
                await process.wait()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=_KILL_AFTER_S)
            self._reader.cancel()
        return process.returncode

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise SorofastError("sorofast run has not been started")
        return self._process

    async def _read(self, stream: asyncio.StreamReader) -> None:
        with self.log_path.open("ab") as log:
            while True:
                try:
                    line = await stream.readline()
                except ValueError:  # a line over the limit; what follows it is still read
                    continue
                if not line:
                    break
                log.write(line)
                log.flush()
                await self._hear(line)
        async with self._heard:
            self._heard.notify_all()

    async def _hear(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            self._last_words = (
                line.decode(errors="replace").strip().removeprefix("error: ") or self._last_words
            )
            return
        match event:
            case {"event": "worker_up", "slot": int(slot)}:
                self._members[slot] = event
            case {"event": "worker_died", "slot": int(slot)}:
                self._members.pop(slot, None)
            case {"event": "shards_held", "slot": int(slot), "follower": bool(follows)}:
                if follows:
                    self._follower_slot = slot
                elif self._follower_slot == slot:
                    self._follower_slot = None
            case {"event": "ledger", "expired": int(expired)}:
                self.expired += expired
        if event.get("level") == "error":
            self._last_words = str(event.get("reason") or event["event"])
        if self._listener is not None:
            self._listener(event)
        async with self._heard:
            self.events.append(event)
            self._heard.notify_all()


def _write_secret(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
