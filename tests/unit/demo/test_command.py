"""Options of `sorofast demo` and `sorofast sandbox start` that make no sense: one line, and nothing is started."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from sorofast.cli.root import execute


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--duration", "60"], "--duration 60"),
        (["--duration", "0s"], "--duration 0s"),
        (["--ledger-close", "0s"], "--ledger-close 0s"),
        (["--ledger-jitter", "much"], "--ledger-jitter much"),
        (["--guard", "0.05"], "--guard 0.05"),
        (["--guard", "2m"], "--guard 2m: must be at most 60s"),
        (["--intervals", "9"], "--intervals 9"),
        (["--workers", "0"], "--workers 0"),
        (["--tasks", "0"], "--tasks 0"),
        (["--port", "70000"], "--port 70000"),
        (["--due-per-ledger", "150"], "--due-per-ledger 150"),
        (["--due-per-ledger", "nan"], "--due-per-ledger nan"),
        (["--due-per-ledger", "5000", "--tasks", "100000"], "channels"),
    ],
)
def test_invalid_arguments_are_usage_errors(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert execute(["demo", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert output.err.count("\n") == 1


def test_without_the_binary_the_sandbox_command_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert execute(["sandbox", "start"]) == 3
    assert "pip install sorofast-sandbox" in capsys.readouterr().err
