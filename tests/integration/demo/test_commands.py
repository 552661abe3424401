"""`sorofast demo` and `sorofast sandbox start` as a user types them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from helpers.operator import sorofast as operator
from sorofast.sandbox.client import AdminClient

KEYS = {
    "tasks", "ledgers", "due", "executed", "open", "missed", "duplicates", "early", "no_effect", "failed", "expired",
    "ledgers_late", "fees_stroops", "rpc_calls", "rpc_calls_steady", "workers", "wall_s",
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where demos keep their files: removed even for one that was killed, and short enough for a socket's
    path.
    """
    with tempfile.TemporaryDirectory(prefix="sf-", ignore_cleanup_errors=True) as directory:
        monkeypatch.setenv("TMPDIR", directory)
        yield


async def sorofast(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sorofast",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
    )


async def test_the_sandbox_command_prints_one_line_and_serves(tmp_path: Path) -> None:
    process = await sorofast(
        "sandbox", "start", "--port", "0", "--ledger-close", "500ms", "-o", "json", cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ready = json.loads(await process.stdout.readline())
        assert set(ready) >= {"rpc_url", "admin_url", "friendbot_url", "network_passphrase", "pid"}
        assert ready["pid"] == process.pid
        async with AdminClient(ready["admin_url"]) as admin:
            moment = await admin.advance(ledgers=3, seconds=10)
            assert (await admin.stats()).latest_ledger >= moment.latest_ledger
            assert [ledger.sequence for ledger in await admin.ledgers(moment.latest_ledger - 2)][:3] == [
                moment.latest_ledger - 2,
                moment.latest_ledger - 1,
                moment.latest_ledger,
            ]
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()


@pytest.mark.timeout(240)
async def test_a_demo_ends_with_one_json_object_and_nothing_left_running(tmp_path: Path) -> None:
    process = await sorofast(
        "demo", "--tasks", "100", "--workers", "2", "--duration", "20s", "--due-per-ledger", "3", "-o", "json",
        cwd=tmp_path,
    )  # fmt: skip
    output, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()
    result = json.loads(output)
    assert set(result) >= KEYS
    assert result["executed"] > 0
    assert b"first executed task after" in progress
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.timeout(240)
async def test_a_demo_says_how_to_look_at_it_from_another_terminal(tmp_path: Path) -> None:
    process = await sorofast("demo", "--tasks", "20", "--workers", "2", cwd=tmp_path)
    assert process.stderr is not None
    settings = b""
    async with asyncio.timeout(90):
        while b"fleet ready" not in (line := await process.stderr.readline()):
            assert line, "the demo ended before its fleet was ready"
            settings = line.partition(b"SOROFAST_CONFIG=")[2].strip() or settings
    try:
        for command in (["status"], ["tasks", "list"], ["tasks", "explain", "1"], ["runs"], ["dead", "list"]):
            done = await operator("-o", "json", *command, SOROFAST_CONFIG=settings.decode())
            assert done.code == 0, done.err
            assert done.json is not None
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_demo_that_is_ended_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = await sorofast("demo", "--tasks", "20", "--workers", "2", cwd=tmp_path)
    assert process.stderr is not None
    async with asyncio.timeout(90):
        while b"fleet ready" not in (line := await process.stderr.readline()):
            assert line, "the demo ended before its fleet was ready"
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 5  # sandbox, Redis, supervisor, two workers
    os.kill(process.pid, number)
    output, progress = await process.communicate()
    # The first interrupt ends a demo like the end of its time: with an audit.
    assert process.returncode == (0 if number == signal.SIGINT else -signal.SIGKILL), progress.decode()
    assert (b"duplicates" in output) == (number == signal.SIGINT)
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 60)
    assert alive == []
