"""Starting and stopping the binary without an event loop, with stand-ins that misbehave."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from sorofast.errors import ConfigError, SorofastError
from sorofast.sandbox import process as common
from sorofast.sandbox.blocking_process import BlockingSandboxProcess
from sorofast.sandbox.process import SandboxOptions

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


def test_it_serves_until_its_standard_input_ends(tmp_path: Path) -> None:
    options = SandboxOptions(ledger_close="0s", seed=7, allow_remote=True, extra=("--limits", "slp7"))
    body = serving(
        f"open({str(tmp_path / 'arguments')!r}, 'w').write(' '.join(sys.argv[1:]))\nsys.stdin.read()"
    )
    with BlockingSandboxProcess(options, binary=stand_in(tmp_path, body)) as sandbox:
        assert sandbox.returncode is None
        os.kill(sandbox.urls.pid, 0)
    assert sandbox.returncode == 0
    sandbox.stop()
    assert (tmp_path / "arguments").read_text() == (
        "start --port=0 --ledger-close=0s --seed=7 --allow-remote --limits slp7 -o json --exit-with-stdin"
    )


def test_what_it_writes_does_not_stop_it(tmp_path: Path) -> None:
    flood = "[print('x' * 70000, file=to) for _ in range(20) for to in (sys.stdout, sys.stderr)]\nsys.stdin.read()"
    with BlockingSandboxProcess(binary=stand_in(tmp_path, serving(flood))) as sandbox:
        assert sandbox.returncode is None
    assert sandbox.returncode == 0


def test_one_that_ignores_the_end_of_its_input_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "STOP_TIMEOUT_S", 0.2)
    body = serving("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)")
    # Its handler has to be in place before the signal comes.
    body = body.replace("print", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint", 1)
    with BlockingSandboxProcess(binary=stand_in(tmp_path, body)) as sandbox:
        pass
    assert sandbox.returncode == -9


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('error: port 8000 is taken; choose another')", "did not start: port 8000 is taken"),
        ("sys.exit(7)", "exit code 7"),
        ("print('hello', flush=True)\nsys.stdin.read()", "ready line was not understood"),
    ],
)
def test_a_start_that_fails_says_why(tmp_path: Path, body: str, message: str) -> None:
    sandbox = BlockingSandboxProcess(binary=stand_in(tmp_path, body))
    with pytest.raises(SorofastError, match=message):
        sandbox.start()
    assert sandbox.returncode is not None
    with pytest.raises(SorofastError, match="not been started"):
        _ = sandbox.urls


def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "START_TIMEOUT_S", 0.2)
    sandbox = BlockingSandboxProcess(binary=stand_in(tmp_path, "sys.stdin.read()"))
    with pytest.raises(SorofastError, match="not ready within"):
        sandbox.start()
    assert sandbox.returncode is not None


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sorofast-sandbox"
    path.write_text("")
    with pytest.raises(ConfigError, match=f"{path} cannot be started"):
        BlockingSandboxProcess(binary=path).start()
