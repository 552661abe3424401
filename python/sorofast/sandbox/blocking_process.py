"""Starts and stops the local network's binary without an event loop. Like `SandboxProcess`, it leaves nothing
behind: the child ends when the pipe to its standard input does, which is when this process ends at the latest.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeAlias

import msgspec

from sorofast.errors import ConfigError, SorofastError
from sorofast.sandbox import process as common
from sorofast.sandbox.process import Ready, SandboxOptions, find_binary, last_words

_Work: TypeAlias = Callable[[IO[bytes]], None]


class BlockingSandboxProcess:
    """A running local network; a context manager. `stop()` may be called at any time, and again."""

    def __init__(self, options: SandboxOptions | None = None, *, binary: Path | None = None) -> None:
        self._options = options or SandboxOptions()
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None
        self._stderr: deque[str] = deque(maxlen=common.STDERR_LINES_MAX)
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> Ready:
        """Where the network is; SorofastError before it has started."""
        if self._ready is None:
            raise SorofastError("the sandbox has not been started")
        return self._ready

    @property
    def returncode(self) -> int | None:
        """None while it runs or before it was started, then its exit code."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> Ready:
        """Start the binary and wait until it serves. SorofastError carries the binary's own words when it does
        not.
        """
        if self._process is not None:
            raise SorofastError("the sandbox was started already")
        binary = self._binary or find_binary()
        try:
            # A session of its own: Ctrl-C in the terminal is for us, who then stop it in order.
            self._process = process = subprocess.Popen(
                self._options.command(binary),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"{binary} cannot be started: {error.strerror or error}") from error
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._read(process.stdout, lambda stream: _first_line(stream, lines))
        stderr_reader = self._read(process.stderr, self._keep_lines)
        try:
            line = lines.get(timeout=common.START_TIMEOUT_S)
            if not line:
                process.wait(common.STOP_TIMEOUT_S)
                stderr_reader.join(common.STOP_TIMEOUT_S)
                raise SorofastError(f"the sandbox did not start: {self._last_words()}")
            self._ready = msgspec.json.decode(line, type=Ready)
        except (queue.Empty, subprocess.TimeoutExpired):
            self.stop()
            raise SorofastError(
                f"the sandbox was not ready within {common.START_TIMEOUT_S:.0f} s: {self._last_words()}"
            ) from None
        except msgspec.DecodeError as error:
            self.stop()
            raise SorofastError(f"the sandbox's ready line was not understood ({error})") from error
        except BaseException:
            self.stop()
            raise
        return self._ready

    def stop(self) -> None:
        """End the process: end of file first, then SIGTERM, then SIGKILL, each with a bounded wait."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        for force in (None, process.terminate, process.kill):
            if force is not None:
                force()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(common.STOP_TIMEOUT_S)
                break
        for reader in self._readers:
            reader.join(common.STOP_TIMEOUT_S)
        self._readers.clear()

    def _last_words(self) -> str:
        return last_words(list(self._stderr), self.returncode)

    def _read(self, stream: IO[bytes] | None, work: _Work) -> threading.Thread:
        def run() -> None:
            if stream is not None:
                with stream:
                    work(stream)

        # Reading to the end is a duty: a full pipe would stop the network in the middle of a ledger.
        thread = threading.Thread(target=run, name="sorofast-sandbox output", daemon=True)
        thread.start()
        self._readers.append(thread)
        return thread

    def _keep_lines(self, stream: IO[bytes]) -> None:
        while line := stream.readline(common.LINE_BYTES_MAX):
            text = line.decode(errors="replace").strip()
            if text:
                self._stderr.append(text)


def _first_line(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    lines.put(stream.readline(common.LINE_BYTES_MAX))
    while stream.read(common.LINE_BYTES_MAX):
        pass
