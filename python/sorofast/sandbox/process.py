"""Starts and stops the local network's binary, `sorofast-sandbox`, as a child of this process.

The child's standard input is a pipe that only we hold: when this process ends, however it ends, the child
reads end of file and ends too. So there is no pid file and nothing to clean up after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sorofast.errors import ConfigError, SorofastError

BINARY = "sorofast-sandbox"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
STDERR_LINES_MAX = 50
LINE_BYTES_MAX = 64 * 1024


class Replica(msgspec.Struct, frozen=True):
    """A further RPC server on the same ledger."""

    name: str
    rpc_url: str


class Registry(msgspec.Struct, frozen=True):
    """A task registry that was there from the start; its ids run from 1 to `tasks`."""

    generation: str
    contract: str
    tasks: int
    layout: str = "task"
    executable: bool = True


class Ready(msgspec.Struct, frozen=True):
    """The line the binary prints once it serves: where everything is."""

    rpc_url: str
    admin_url: str
    friendbot_url: str
    network_passphrase: str
    pid: int
    seed: int | None = None
    start_time: int | None = None
    registries: tuple[Registry, ...] = ()
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True)
class SandboxOptions:
    """The binary's options, in its own notation: durations are `500ms`, `5s`, `2m`; None leaves a default
    alone.

    `port` 0 takes a free one. `ledger_close` of `0s` closes ledgers only when the admin interface says so.
    `extra` holds further arguments as they are.
    """

    port: int = 0
    ledger_close: str = "5s"
    ledger_jitter: str | None = None
    consensus_delay: str | None = None
    network_passphrase: str | None = None
    seed: int | None = None
    clock: str | None = None
    start_time: int | None = None
    protocol: int | None = None
    host: str | None = None
    allow_remote: bool = False
    flood_delay: str | None = None
    limits: str | None = None
    retention: int | None = None
    accounts: int | None = None
    seed_tasks: int | None = None
    seed_task_interval: str | None = None
    seed_task_generations: str | None = None
    load: str | None = None
    faults: str | None = None
    replicas: int | None = None
    extra: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """As the command line has them."""
        arguments: list[str] = []
        for field in fields(self):
            if field.name == "extra":
                continue
            value = getattr(self, field.name)
            name = "--" + field.name.replace("_", "-")
            if value is True:
                arguments.append(name)
            elif isinstance(value, str) or (isinstance(value, int) and value is not False):
                # In one piece, so that a value with a minus in front is not taken for another option.
                arguments.append(f"{name}={value}")
        return [*arguments, *self.extra]

    def command(self, binary: Path) -> list[str]:
        """What starts a network that announces itself in JSON and ends with its standard input."""
        return [str(binary), "start", *self.arguments(), "-o", "json", "--exit-with-stdin"]


def find_binary() -> Path:
    """The binary beside the interpreter, else on PATH. ConfigError says how to install it."""
    for directory in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        candidate = directory / BINARY
        if candidate.is_file():
            return candidate
    found = shutil.which(BINARY)
    if found is None:
        raise ConfigError(
            f"{BINARY} is neither beside this Python ({Path(sys.executable).parent}) nor on PATH; "
            "install it with `pip install sorofast-sandbox`, or from a source tree with `make setup`"
        )
    return Path(found)


def last_words(lines: Iterable[str], returncode: int | None) -> str:
    """What a binary said on stderr about its end: the line that is marked as an error, with the values it offers;
    else the last one.
    """
    lines = list(lines)
    for position, line in enumerate(lines):
        for mark in ("error: ", f"{BINARY}: "):
            if line.startswith(mark):
                choices = next(iter(lines[position + 1 : position + 2]), "")
                return line.removeprefix(mark) + (f" {choices}" if choices.startswith("[possible") else "")
    if lines:
        return lines[-1]
    return "it said nothing" if returncode is None else f"exit code {returncode}"


class SandboxProcess:
    """A running local network; an async context manager. `stop()` may be called at any time, and again."""

    def __init__(self, options: SandboxOptions | None = None, *, binary: Path | None = None) -> None:
        self._options = options or SandboxOptions()
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._ready: Ready | None = None
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES_MAX)
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def urls(self) -> Ready:
        """Where the network is; SorofastError before it has started."""
        if self._ready is None:
            raise SorofastError("the sandbox has not been started")
        return self._ready

    @property
    def pid(self) -> int:
        """The process id of the binary."""
        return self.urls.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs or before it was started, then its exit code."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> Ready:
        """Start the binary and wait until it serves. SorofastError carries the binary's own words when it
        does not.
        """
        if self._process is not None:
            raise SorofastError("the sandbox was started already")
        binary = self._binary or find_binary()
        try:
            # A session of its own: Ctrl-C in the terminal is for us, and the ledger must outlive it to be
            # audited.
            self._process = process = await asyncio.create_subprocess_exec(
                *self._options.command(binary),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        except OSError as error:
            raise ConfigError(f"{binary} cannot be started: {error.strerror or error}") from error
        if process.stdout is None or process.stderr is None:
            raise SorofastError("the sandbox was started without pipes")
        stderr_reader = asyncio.create_task(self._keep_lines(process.stderr))
        self._readers.append(stderr_reader)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
                if not line:
                    await process.wait()
                    await stderr_reader
                    raise SorofastError(f"the sandbox did not start: {self._last_words()}")
            self._ready = msgspec.json.decode(line, type=Ready)
        except TimeoutError:
            await self.stop()
            raise SorofastError(
                f"the sandbox was not ready within {START_TIMEOUT_S:.0f} s: {self._last_words()}"
            ) from None
        except (msgspec.DecodeError, ValueError) as error:
            await self.stop()
            raise SorofastError(f"the sandbox's ready line was not understood ({error})") from error
        except BaseException:
            await self.stop()
            raise
        self._readers.append(asyncio.create_task(self._drop_output(process.stdout)))
        return self._ready

    async def stop(self) -> None:
        """End the process: end of file first, then SIGTERM, then SIGKILL, each with a bounded wait."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            for force in (None, process.terminate, process.kill):
                if force is not None:
                    with contextlib.suppress(ProcessLookupError):
                        force()
                try:
                    async with asyncio.timeout(STOP_TIMEOUT_S):
                        await process.wait()
                    break
                except TimeoutError:
                    continue
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()

    def _last_words(self) -> str:
        return last_words(self._stderr, self.returncode)

    async def _keep_lines(self, stream: asyncio.StreamReader) -> None:
        # Reading to the end is a duty: a full pipe would stop the network in the middle of a ledger.
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line over the limit; what follows it is still read
                continue
            if not line:
                return
            text = line.decode(errors="replace").strip()
            if text:
                self._stderr.append(text)

    @staticmethod
    async def _drop_output(stream: asyncio.StreamReader) -> None:
        while await stream.read(LINE_BYTES_MAX):
            pass
