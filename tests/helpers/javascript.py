"""The public JavaScript SDK from npm, for tests that node's own runner runs."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SUITE = Path(__file__).resolve().parents[1] / "integration" / "fidelity" / "javascript"
# Of what the SDK's 17 line imports, this is the oldest node that has all of it; npm only warns below 22.
NODE_MIN = (20, 19)
INSTALL_DEADLINE_S = 90
SUITE_DEADLINE_S = 100
# What npm says when there is nobody to give it the packages. Anything else, a wrong checksum above all, fails.
OFFLINE = re.compile(
    r"\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT"
    r"|E40[1347]|E50[0-4])\b"
)


def node() -> str:
    """Skips the test where there is no node that is new enough."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.lstrip("v").split(".")[:2]) < NODE_MIN:
        pytest.skip(f"node {version} is older than {'.'.join(map(str, NODE_MIN))}")
    return found


def installed() -> Path:
    """`node_modules` as the lock file has it, kept in the user's cache from run to run; skips where npm has none."""
    node()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sorofast-tests"
    name = hashlib.sha256((SUITE / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "javascript.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        folder = cache / f"javascript-{name}"
        if folder.is_dir():
            return folder / "node_modules"
        folder = folder.with_suffix(".part")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SUITE / file, folder)
        try:
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install the JavaScript SDK within {INSTALL_DEADLINE_S} s")
        if done.returncode != 0 and (why := OFFLINE.search(done.stderr)):
            pytest.skip(f"npm cannot get the JavaScript SDK from its registry: {why[0]}")
        assert done.returncode == 0, done.stderr
        return folder.rename(folder.with_suffix("")) / "node_modules"


async def run_suite(file: str, packages: Path, folder: Path, environment: dict[str, str]) -> None:
    """Runs the tests of one file in an empty folder; every one of them must pass."""
    for source in SUITE.glob("*.mjs"):
        shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(packages)
    process = await asyncio.create_subprocess_exec(
        node(), "--test", "--test-reporter=tap", file,
        cwd=folder, env={**os.environ, **environment}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SUITE_DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = output.decode()
    assert process.returncode == 0, report
    # A suite that ran no test, or left some out, has shown nothing.
    counts = {name: int(count) for name, count in re.findall(r"^# (\w+) (\d+)$", report, re.MULTILINE)}
    assert counts["pass"] == counts["tests"] > 0, report
