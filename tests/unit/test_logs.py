from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from sorofast.observability import logs

SEED = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configured(format: logs.LogFormat, level: logs.LogLevel = "info") -> io.StringIO:  # noqa: A002
    stream = io.StringIO()
    logs.configure(level, format, stream)
    return stream


def test_json_is_one_object_a_line() -> None:
    stream = configured("json")
    log = logs.get_logger("engine", shard=7)
    log.info("ledger", ledger=12, checked=200, duration_s=0.25, hash=b"\x01\xff", path=Path("a/b"))
    log.warning("late", ledgers=2**70)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "ledger",
        "level": "info",
        "source": "engine",
        "shard": 7,
        "ledger": 12,
        "checked": 200,
        "duration_s": 0.25,
        "hash": "01ff",
        "path": "a/b",
    }
    assert second["ledgers"] == str(2**70)


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_secret_gets_through(format: logs.LogFormat) -> None:  # noqa: A002
    stream = configured(format)
    log = logs.get_logger("test")
    event = f"signing with {SEED}"
    log.info(event, seed=SEED, nested={"deep": [f"x {SEED}"]}, other=ValueError(SEED))
    try:
        raise RuntimeError(f"cannot use {SEED}")
    except RuntimeError:
        log.exception("failed")
    logging.getLogger("aiohttp").warning("request with %s", SEED)
    assert stream.getvalue().count("[redacted]") >= 6
    assert SEED not in stream.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_value_cannot_begin_a_line(format: logs.LogFormat) -> None:  # noqa: A002
    stream = configured(format)
    log = logs.get_logger("test")
    log.info("hello\r\n2026-01-01 [info] forged", reply="a\nb\x1b[2J\u2028c", listed=["x\ny"])
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_a_traceback_on_the_console_is_marked_as_one() -> None:
    stream = configured("console")
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logs.get_logger("test").exception("failed")
    _, *rest = stream.getvalue().splitlines()
    assert rest
    assert all(line.startswith("  | ") for line in rest)


def test_levels_filter_ours_and_theirs() -> None:
    stream = configured("json", "warning")
    logs.get_logger("test").info("not shown")
    logging.getLogger("asyncio").info("not shown")
    logging.getLogger("asyncio").error("shown")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["shown"]


def test_a_logger_made_before_configuration_follows_it() -> None:
    log = logs.get_logger("early")
    stream = configured("json")
    log.info("hello")
    assert json.loads(stream.getvalue())["source"] == "early"


def test_what_json_cannot_hold_is_logged_all_the_same() -> None:
    stream = configured("json")
    logs.get_logger("test").info("odd", text="\ud800", thing=object())
    assert json.loads(stream.getvalue())["event"] == "odd"


@pytest.mark.parametrize("format", ["json", "console"])
def test_whoever_logs_goes_on_when_nobody_can_read_it_any_more(format: logs.LogFormat) -> None:  # noqa: A002
    reader, writer = os.pipe()
    os.close(reader)
    gone = os.fdopen(writer, "w", buffering=1)
    logs.configure("info", format, gone)
    logs.get_logger("test").info("hello")
    logging.getLogger("asyncio").error("hello")
    with pytest.raises(BrokenPipeError):
        gone.flush()
    with suppress(BrokenPipeError):
        gone.close()


UNREAD = f"""
import sys
from sorofast.observability import logs
logs.configure("info", "json")
log = logs.get_logger("test")
for number in range(2 * {logs.LINES_KEPT_MAX} + 1_000):
    log.info("hello", number=number)
print("went on", flush=True)
sys.stdin.read()
"""


def test_whoever_logs_goes_on_when_nobody_reads_and_what_is_lost_is_counted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", UNREAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "went on\n"
        process.stdin.close()
        events = [json.loads(line) for line in process.stderr]
    numbers = [event["number"] for event in events if event["event"] == "hello"]
    assert numbers == list(range(len(numbers))), "in order, from the first"
    assert len(numbers) >= logs.LINES_KEPT_MAX
    lost = [event["lines"] for event in events if event["event"] == "log_lines_lost"]
    assert sum(lost) + len(numbers) == 2 * logs.LINES_KEPT_MAX + 1_000
