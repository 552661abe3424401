"""Logs: one event a line on stderr, for people or as JSON, with secrets taken out whatever the caller passed.

stdout belongs to what a command answers. Every string of an event, tracebacks too, goes through the redaction
patterns, and no value can start a line of its own: JSON escapes control characters, the console shows them
escaped. What aiohttp or asyncio say through the standard library's logging ends in the same place.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import orjson
import structlog

from sorofast.redaction import redact

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

LINES_KEPT_MAX = 4_096
LAST_LINES_S = 1.0

_DEPTH_MAX = 6
_LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_LINE_ENDS = {
    0x85: "\\u0085",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}  # JSON leaves them, some readers split at them
_KEPT_AS_THEY_ARE = frozenset({"level", "timestamp"})


def configure(
    level: LogLevel = "info",
    format: LogFormat = "console",  # noqa: A002 - the setting's name
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process, on `stream` or, behind a thread of its own, on stderr."""
    behind = _behind_stderr() if stream is None else None
    stream = stream or sys.stderr
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    if format == "json":
        processors = [*processors, structlog.processors.JSONRenderer(serializer=_to_json)]
    else:
        colors = stream.isatty()
        processors = [
            *processors,
            _escape_event,
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", behind or _Unfailing(stream))),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def get_logger(name: str, **context: object) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry `source=name` and the context given; may be made before `configure` is called."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name, **context)
    return logger


class _Unfailing:
    """A stream whose reader may go: a closed terminal, a pipe into something that ended, a full disk.

    What cannot be written is lost; whoever logs goes on, and may be what a drain depends on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Behind:
    """A descriptor that a thread writes to, so that who logs never waits for whoever reads: a terminal that is held, a
    pipe that nobody empties. All processes of a run share their stderr, and each would stand still with its leases.

    Beyond LINES_KEPT_MAX lines what is logged is lost, and counted.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(LINES_KEPT_MAX)
        self._lost = 0
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """The thread is at it."""

    def wait(self, timeout_s: float) -> None:
        """Until all is written, or so long."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, timeout_s)

    def _work(self) -> None:
        while True:
            left = memoryview(self._lines.get().encode("utf-8", "backslashreplace"))
            # Past Python's own buffer: its lock, held by a thread that is stuck, would abort the process at its end.
            with suppress(OSError):
                while left:
                    left = left[os.write(self.descriptor, left) :]
            if self._lost and self._lines.empty():
                lost, self._lost = self._lost, 0
                structlog.get_logger().warning("log_lines_lost", lines=lost, reason="nobody read the log")
            self._lines.task_done()


_behind: _Behind | None = None


def _behind_stderr() -> _Behind | None:
    """The one of this process; None where stderr is no file, as under a test."""
    global _behind
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    if _behind is None or _behind.descriptor != descriptor:
        _behind = _Behind(descriptor)
        atexit.register(_behind.wait, LAST_LINES_S)
    return _behind


def settle() -> None:
    """Waits a moment for what has been logged to be written, before something else writes to stderr."""
    if _behind is not None:
        _behind.wait(LAST_LINES_S)


def write_last(text: str) -> None:
    """Writes to stderr what a command says before it ends, and waits a moment for whoever reads it, no longer."""
    behind = _behind_stderr()
    if behind is None:
        sys.stderr.write(text)
        sys.stderr.flush()
        return
    behind.write(text)
    behind.wait(LAST_LINES_S)


class _Forward(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - a log line must not end the program that wrote it
            self.handleError(record)


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _KEPT_AS_THEY_ARE:
            event[key] = _clean(value, _DEPTH_MAX)
    return event


def _clean(value: object, depth: int) -> object:
    """The value with secrets out, in forms that JSON knows; too deep or unknown ones as their text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if depth > 0 and isinstance(value, dict):
        return {redact(str(key)): _clean(item, depth - 1) for key, item in value.items()}
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth - 1) for item in value]
    if isinstance(value, Path):
        return str(value)
    return redact(str(value) if isinstance(value, BaseException) else repr(value))


def _escape_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Console only. ConsoleRenderer shows values by repr when they need it; events and tracebacks it prints
    as they are."""
    for key, value in event.items():
        if not isinstance(value, str):
            continue
        if key == "exception":
            event[key] = "\n".join("  | " + line.translate(_CONTROL) for line in value.splitlines())
        else:
            event[key] = value.translate(_CONTROL)
    return event


def _to_json(event: object, **_kwargs: object) -> str:
    try:
        text = orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits, or a lone surrogate
        text = orjson.dumps(_as_text(event)).decode()
    return text if text.isascii() else text.translate(_LINE_ENDS)


def _as_text(value: object) -> object:
    if isinstance(value, dict):
        return {_printable(str(key)): _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, int) and value.bit_length() > 63:
        return str(value)
    return value


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
