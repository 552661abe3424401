"""Commands whose output or messages nobody takes, as on a full disk: the exit code stands, and one line tells why."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sorofast.cli.root import EXIT_FAILURE, EXIT_OK
from sorofast.errors import ConfigError, UnreachableError, UsageError

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")

HELP, VERSION, USAGE = ("--help",), ("--version",), ("runs", "--count", "0")


def sorofast(folder: Path, arguments: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOROFAST_", "STELLAR_"))
    }
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "sorofast", *arguments],
        env=environment | {"SOROFAST_REDIS__DIR": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [HELP, VERSION])
def test_an_answer_that_finds_no_room_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = sorofast(tmp_path, arguments, ">/dev/full")
    assert done.returncode == EXIT_FAILURE
    (line,) = done.stderr.splitlines()
    assert "internal error" not in line
    assert "No space left on device" in line


@pytest.mark.parametrize("arguments", [HELP, VERSION, ("config", "show")])
def test_a_closed_stdout_is_like_one_that_nobody_reads(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = sorofast(tmp_path, arguments, ">&-")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (USAGE, UsageError.exit_code),
        (("status",), UnreachableError.exit_code),
        (("run",), ConfigError.exit_code),
    ],
)
def test_a_message_that_nobody_takes_changes_no_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, redirection: str
) -> None:
    assert sorofast(tmp_path, arguments, redirection).returncode == code


@pytest.mark.parametrize("more", [(), ("-o", "json"), ("-v",)])
@pytest.mark.parametrize(("arguments", "code"), [(USAGE, UsageError.exit_code), (("status",), 4)])
def test_a_command_ends_although_nobody_reads_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, more: tuple[str, ...]
) -> None:
    """As when stderr is a pipe that is full: the terminal is held, or a collector hangs."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4_096)
    os.set_blocking(writer, True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sorofast", *arguments, *more],
            env=os.environ | {"SOROFAST_REDIS__DIR": str(tmp_path)},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=writer,
            timeout=30,
            check=False,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == code
