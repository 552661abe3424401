"""The table of exit codes in the README is what commands end with."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sorofast.cli.root import execute

README = Path(__file__).resolve().parents[3] / "README.md"
CONTRACT = "CAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC526"
REGISTER = ["tasks", "register", "--target", CONTRACT, "--function", "f", "--gas", "1", "--interval"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sorofast.toml of the developer's lies here."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_the_readme_has_a_row_for_each_code() -> None:
    rows = re.findall(r"^\| (\d) \| (.+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [code for code, _ in rows] == ["0", "1", "2", "3", "4"]


def test_what_works_ends_with_0() -> None:
    assert execute(["config", "show"]) == 0


def test_what_fails_ends_with_1() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "sorofast", "config", "show"], stdout=full, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--workers", "-2"], "--workers"),
        (["run", "--workers", "0"], "--workers"),
        (["run", "--workers", "many"], "--workers"),
        (["run", "--drain-timeout", "-1"], "--drain-timeout"),
        (["run", "--drain-timeout", "nan"], "--drain-timeout"),
        (["run", "--drain-timeout", "soon"], "--drain-timeout"),
        (["status", "--rpc-url", "ftp://x"], "--rpc-url"),
        (["status", "--redis-url", "http://x"], "--redis-url"),
        (["tasks", "list", "--contract-id", "CAAA"], "--contract-id"),
        (["tasks", "list", "--limit", "-1"], "--limit"),
        (["tasks", "list", "--limit", "1.5"], "--limit"),
        (["tasks", "show", "-7"], "-7"),
        (["tasks", "show", str(2**64)], str(2**64)),
        (["tasks", "history", "0"], "0 is not a task id"),
        (["tasks", "explain", "1", "--count", "0"], "--count"),
        (["tasks", "deposit", "0", "5"], "0 is not a task id"),
        (["tasks", "deposit", "7", "0"], "AMOUNT is 0"),
        (["tasks", "deposit", "7", "-5"], "AMOUNT is -5"),
        (["tasks", "deposit", "7", str(2**127)], "AMOUNT is"),
        (["tasks", "deposit", "7"], "AMOUNT"),
        ([*REGISTER, "-1s"], "--interval -1s"),
        ([*REGISTER, "-5"], "--interval -5"),
        (["runs", "--count", "-1"], "--count"),
        (["channels", "create", "-5"], "COUNT is -5"),
        (["channels", "create", "x"], "COUNT: 'x' is not a whole number."),
        (["tasks", "deposit", "7", "1.5"], "AMOUNT: '1.5' is not a whole number."),
        (["channels", "create", "64", "--starting-balance", "-5"], "--starting-balance -5"),
        (["demo", "--workers", "-2"], "--workers -2"),
        (["demo", "--tasks", "-2"], "--tasks -2"),
        (["demo", "--duration", "-1s"], "--duration -1s"),
        (["demo", "--ledger-close", "-1s"], "--ledger-close -1s"),
        (["demo", "--ledger-jitter", "-1s"], "--ledger-jitter -1s"),
        (["demo", "--consensus-delay", "-1s"], "--consensus-delay -1s"),
        (["demo", "--guard", "-1s"], "--guard -1s"),
        (["demo", "--intervals", "-5s"], "--intervals -5s"),
        (["demo", "--port", "-1"], "--port -1"),
        (["sandbox", "advance", "--time", "-1s"], "--time -1s"),
        (["sandbox", "advance", "--ledgers", "-1"], "--ledgers -1"),
        (["sandbox", "fault", "--stall", "-1s"], "--stall -1s"),
        (["sandbox", "fault", "--count", "0", "--drop-reply"], "--count 0"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_with_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1), captured.err
    assert captured.err.startswith("error: ")
    assert named in captured.err


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ["run"]),
        ("[engine]\nworkers = -2", ["config", "show"]),
        # With both wrong the line is not all that has to be changed.
        ("[engine]\nshards = 0", ["run", "--workers", "-2"]),
        ("[keeper]\nchannels = 3", ["config", "show"]),
    ],
)
def test_settings_that_cannot_be_right_end_with_3(text: str, arguments: list[str]) -> None:
    Path("other.toml").write_text(text, encoding="utf-8")
    assert execute([*arguments, "-c", "other.toml"]) == 3
    assert execute([*arguments, "-c", "absent.toml"]) == 3


def test_what_does_not_answer_ends_with_4(closed_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    network = ["--rpc-url", f"http://127.0.0.1:{closed_port}", "--network-passphrase", "x"]
    assert execute(["tasks", "list", "--contract-id", CONTRACT, *network]) == 4
    assert execute(["status", "--redis-url", f"redis://127.0.0.1:{closed_port}"]) == 4
    assert execute(["sandbox", "accounts", "--url", f"http://127.0.0.1:{closed_port}"]) == 4
    assert capsys.readouterr().err.count("\n") == 3
