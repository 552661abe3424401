"""The quick start of the README, followed to the letter."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 120.0
POLL_S = 0.5


def blocks() -> list[str]:
    """The shell blocks of "Running it", in order."""
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## Running it")[2].partition("\n## ")[0]
    )
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def here(block: str, port: int) -> str:
    """With the environment of these tests, a port that is free, and ledgers that close faster."""
    for text, other in (
        (". .venv/bin/activate", "true"),
        ("localhost:8000", f"localhost:{port}"),
        ("sandbox start >", f"sandbox start --port {port} --ledger-close 500ms >"),
    ):
        block = block.replace(text, other)
    return block


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A shell's, without settings of the developer's, and a folder for temporary files that is removed."""
    with tempfile.TemporaryDirectory(prefix="sf-", ignore_cleanup_errors=True) as directory:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SOROFAST_", "STELLAR_"))
        }
        path = f"{Path(sys.executable).parent}:{inherited['PATH']}"
        yield inherited | {"PATH": path, "TMPDIR": directory}


async def shell(script: str, environment: dict[str, str], **more: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "bash",
        "-ec",
        script,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **more,
    )


async def executed(environment: dict[str, str]) -> bool:
    process = await shell("sorofast runs -o json", environment)
    out, _ = await process.communicate()
    return process.returncode == 0 and any(run["outcome"] == "executed" for run in json.loads(out))


@pytest.mark.timeout(300)
async def test_the_quick_start_is_literally_true(environment: dict[str, str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    first, second, *_ = (here(block, port) for block in blocks())
    running = await shell(first, environment, start_new_session=True)
    assert running.stdout is not None
    assert running.stderr is not None
    reading = asyncio.create_task(running.stderr.read())
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not (line := (await running.stdout.readline()).decode()).startswith("export "):
                assert line, (await reading).decode()
            name, _, value = line.removeprefix("export ").strip().partition("=")
            environment[name] = value
            while not await executed(environment):
                assert running.returncode is None, (await reading).decode()
                await asyncio.sleep(POLL_S)
        looking = await shell(second, environment)
        out, err = (text.decode() for text in await looking.communicate())
        assert looking.returncode == 0, err
        assert "executed" in out
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(running.stdout.read(), reading)
            await running.wait()
