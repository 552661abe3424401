"""Starting and stopping the binary, with stand-ins that misbehave in ways the real one hardly ever will."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from pathlib import Path

import pytest

from sorofast.errors import ConfigError, SorofastError
from sorofast.sandbox import process
from sorofast.sandbox.process import SandboxOptions, SandboxProcess, find_binary

READY = (
    '{"rpc_url":"http://127.0.0.1:1/rpc","admin_url":"http://127.0.0.1:1/admin",'
    '"friendbot_url":"http://127.0.0.1:1/friendbot","network_passphrase":"p","pid":%d}'
)


def stand_in(directory: Path, body: str) -> Path:
    """An executable that runs `body` instead of a network."""
    path = directory / "sorofast-sandbox"
    path.write_text(f"#!{sys.executable}\nimport os, sys, signal, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def serving(then: str) -> str:
    return f"print('{READY}' % os.getpid(), flush=True)\n{then}"


async def test_it_serves_until_its_standard_input_ends(tmp_path: Path) -> None:
    options = SandboxOptions(
        ledger_close="1s", ledger_jitter="200ms", consensus_delay="0s", network_passphrase="x"
    )
    body = serving(
        f"open({str(tmp_path / 'arguments')!r}, 'w').write(' '.join(sys.argv[1:]))\nsys.stdin.read()"
    )
    sandbox = SandboxProcess(options, binary=stand_in(tmp_path, body))
    async with sandbox:
        assert sandbox.urls.rpc_url == "http://127.0.0.1:1/rpc"
        assert sandbox.returncode is None
        os.kill(sandbox.pid, 0)
    assert sandbox.returncode == 0
    await sandbox.stop()
    assert (tmp_path / "arguments").read_text() == (
        "start --port=0 --ledger-close=1s --ledger-jitter=200ms --consensus-delay=0s --network-passphrase=x "
        "-o json --exit-with-stdin"
    )


async def test_what_it_writes_does_not_stop_it(tmp_path: Path) -> None:
    flood = "[print('x' * 70000, file=to) for _ in range(20) for to in (sys.stdout, sys.stderr)]\nsys.stdin.read()"
    async with SandboxProcess(binary=stand_in(tmp_path, serving(flood))) as sandbox:
        assert sandbox.returncode is None
    assert sandbox.returncode == 0


async def test_one_that_ignores_the_end_of_its_input_is_terminated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 0.2)
    body = serving("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)")
    async with SandboxProcess(binary=stand_in(tmp_path, body)) as sandbox:
        pass
    assert sandbox.returncode == -9


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "sys.exit('error: port 8000 is taken; choose another with --port')",
            "port 8000 is taken; choose another",
        ),
        ("sys.exit('sorofast-sandbox: cannot listen on 127.0.0.1:1')", "did not start: cannot listen on 127"),
        (
            "sys.exit(\"error: no such protocol\\n\\nFor more, try '--help'.\")",
            "did not start: no such protocol",
        ),
        ("sys.exit(7)", "exit code 7"),
        ("print('hello', flush=True)\nsys.stdin.read()", "ready line was not understood"),
        ("print('x' * 70000, flush=True)\nsys.stdin.read()", "ready line was not understood"),
    ],
)
async def test_a_start_that_fails_says_why(tmp_path: Path, body: str, message: str) -> None:
    sandbox = SandboxProcess(binary=stand_in(tmp_path, body))
    with pytest.raises(SorofastError, match=message):
        await sandbox.start()
    assert sandbox.returncode is not None
    with pytest.raises(SorofastError, match="not been started"):
        _ = sandbox.urls


async def test_a_start_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT_S", 0.2)
    sandbox = SandboxProcess(binary=stand_in(tmp_path, "sys.stdin.read()"))
    with pytest.raises(SorofastError, match="not ready within"):
        await sandbox.start()
    assert sandbox.returncode is not None


async def test_stop_without_start_and_start_twice(tmp_path: Path) -> None:
    await SandboxProcess().stop()
    sandbox = SandboxProcess(binary=stand_in(tmp_path, serving("sys.stdin.read()")))
    async with sandbox:
        with pytest.raises(SorofastError, match="started already"):
            await sandbox.start()


async def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sorofast-sandbox"
    path.write_text("")
    with pytest.raises(ConfigError, match=f"{path} cannot be started"):
        await SandboxProcess(binary=path).start()


def test_the_binary_is_looked_for_beside_the_interpreter_then_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, on_path, scripts = tmp_path / "beside", tmp_path / "path", tmp_path / "scripts"
    for directory in (beside, on_path, scripts):
        directory.mkdir()
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(scripts))
    monkeypatch.setenv("PATH", str(on_path))
    with pytest.raises(ConfigError, match="pip install sorofast-sandbox"):
        find_binary()
    stand_in(on_path, "")
    assert find_binary() == on_path / "sorofast-sandbox"
    stand_in(beside, "")
    assert find_binary() == beside / "sorofast-sandbox"
