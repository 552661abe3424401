"""`sorofast sandbox` as a user types it, against a running sandbox."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import Keypair

from sorofast.cli.root import execute
from sorofast.sandbox.blocking_client import BlockingAdminClient
from sorofast.sandbox.blocking_process import BlockingSandboxProcess
from sorofast.sandbox.process import Ready, SandboxOptions


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ready]:
    """A sandbox whose ledgers close when told to, and the one that commands find."""
    options = SandboxOptions(ledger_close="0s", clock="manual", start_time=1_800_000_000)
    with BlockingSandboxProcess(options) as process:
        monkeypatch.setenv("SOROFAST_SANDBOX_URL", process.urls.rpc_url)
        yield process.urls


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """A command's JSON result; it has to end well."""
    code = execute(["sandbox", *arguments, "-o", "json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and message of a command that has to fail with one line and no result."""
    code = execute(["sandbox", *arguments])
    captured = capsys.readouterr()
    assert code != 0
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return code, captured.err


def test_advance_moves_the_clock_and_closes_ledgers(
    sandbox: Ready, capsys: pytest.CaptureFixture[str]
) -> None:
    start = 1_800_000_000
    assert run(capsys, "advance")["latest_ledger"] == 2
    moment = run(capsys, "advance", "--ledgers", "10", "--time", "30d")
    assert moment["latest_ledger"] == 12
    assert start + 30 * 86_400 <= moment["close_time"] <= start + 30 * 86_400 + 10
    assert execute(["sandbox", "advance", "--time", "1h"]) == 0
    assert re.search(r"latest ledger +13", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["advance", "--time", "30"], "--time 30"),
        (["advance", "--spread"], "--time"),
        (["advance", "--ledgers", "-1"], "--ledgers -1"),
        (["advance", "--ledgers", "1.5"], "not a whole number"),
        (["advance", "--ledgers", "99999999999"], "must be 0 to 10000000"),
        (["advance", "--time", "-5s"], "--time -5s"),
        (["advance", "--time", "100000d"], "at most 3650d"),
        (["advance", "--time", "3650d", "--spread"], "give --ledgers"),
        (["fault", "--count", "-1", "--drop-reply"], "--count -1"),
        (["fault", "--empty", "0"], "--empty 0"),
        (["fault", "--http-status", "200"], "--http-status 200"),
        (["fault", "--probability", "1.5", "--drop-reply"], "--probability 1.5"),
        (["fault", "--method", "getHealth", "--stall", "30s"], "--method applies to rules for calls"),
        (["fault", "--latency", "-5ms"], "--latency -5ms"),
        (["fault", "--rpc-error", "3.7"], "not a whole number"),
        (["save", "/dev/null"], "not a regular file"),
        (["load", "/dev/zero"], "not a regular file"),
        (["start", "--port", "87.9"], "--port"),
        (["start", "--load", "nowhere.state"], "--load nowhere.state"),
        (["start", "--faults", "nowhere.toml"], "--faults nowhere.toml"),
        (["start", "--load", __file__, "--accounts", "5"], "--accounts cannot be combined with --load"),
        (["fault", "--count", "3"], "--latency"),
        (["fault", "--latency", "5ms", "--drop-reply"], "only one of"),
        (["fault", "--clear", "--show"], "--show and --clear"),
        (["fault", "--stall", "5s", "--burst", "2"], "only one of"),
        (["fault", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["accounts", "--url", "localhost:8000"], "--url localhost:8000"),
    ],
)
def test_invalid_arguments_are_usage_errors(
    sandbox: Ready, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, said = fails(capsys, *arguments)
    assert code == 2
    assert words in said


def test_an_invalid_value_is_refused_by_its_flags_name() -> None:
    for flag in ("--port", "--seed", "--accounts", "--seed-tasks", "--start-time", "--retention"):
        done = subprocess.run(
            [sys.executable, "-m", "sorofast", "sandbox", "start", flag, "-1"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert flag in done.stderr.splitlines()[0]
        assert "-1" in done.stderr.splitlines()[0]
    for flag in ("--ledger-close", "--ledger-jitter", "--consensus-delay", "--flood-delay"):
        done = subprocess.run(
            [sys.executable, "-m", "sorofast", "sandbox", "start", flag, "-5s"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert flag in done.stderr
        assert "is not a duration" in done.stderr


def test_advancing_past_this_machines_clock_prints_a_warning(
    sandbox: Ready, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead_s = int(time.time()) - 1_800_000_000 + 86_400
    assert execute(["sandbox", "advance", "--time", f"{max(ahead_s, 86_400)}s"]) == 0
    assert "txTOO_LATE" in capsys.readouterr().err
    assert execute(["sandbox", "advance", "-q", "--time", "1s"]) == 0
    assert capsys.readouterr().err == ""
    assert execute(["sandbox", "advance"]) == 0
    assert capsys.readouterr().err == ""


def test_a_fault_rule_is_set_shown_and_cleared(sandbox: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    set_to = run(capsys, "fault", "--method", "getHealth", "--http-status", "503", "--count", "2")
    (rule,) = set_to["rules"]
    assert rule["method"] == "getHealth"
    assert rule["status"] == 503
    assert rule["count"] == 2
    assert run(capsys, "fault")["rules"] == [rule]
    assert execute(["sandbox", "fault", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "getHealth" in shown
    assert "503" in shown
    assert run(capsys, "fault", "--clear")["rules"] == []
    assert execute(["sandbox", "fault"]) == 0
    assert "none" in capsys.readouterr().out


def test_a_fault_plan_is_read_from_a_file(
    sandbox: Ready, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[rules]]\nmethod = "sendTransaction"\nkind = "drop_reply"\nprobability = 0.5\n')
    (rule,) = run(capsys, "fault", str(plan))["rules"]
    assert rule["kind"] == "drop_reply"
    assert BlockingAdminClient(sandbox.admin_url).faults()["rules"] == [rule]
    plan.write_text('[[rules]]\nkind = "nonsense"\n')
    code, said = fails(capsys, "fault", str(plan))
    assert code == 1
    assert "nonsense" in said


def test_without_a_sandbox_the_error_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for arguments in (["accounts"], ["advance"], ["reset"], ["fault"]):
        code, said = fails(capsys, *arguments, "--url", f"http://127.0.0.1:{port}")
        assert code == 4
        assert "sorofast sandbox start" in said
        assert "SOROFAST_SANDBOX_URL" in said


def test_another_kind_of_server_is_not_taken_for_a_sandbox(
    sandbox: Ready, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = fails(capsys, "advance", "--url", sandbox.rpc_url + "/elsewhere")
    assert code == 1
    assert "not as a sandbox answers" in said


def test_time_is_spread_over_the_ledgers_it_takes(sandbox: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    moment = run(capsys, "advance", "--time", "1h", "--spread")
    assert moment["latest_ledger"] == 1 + 3_600 // 5
    assert moment["close_time"] == 1_800_000_000 + 3_600
    ledgers = BlockingAdminClient(sandbox.admin_url).ledgers(2)
    times = [ledger.close_time for ledger in ledgers]
    assert {later - earlier for earlier, later in pairwise(times)} == {5}
    assert (
        run(capsys, "advance", "--ledgers", "6", "--time", "60s", "--spread")["close_time"] == times[-1] + 60
    )


def test_accounts_are_listed_with_their_keys(sandbox: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "accounts")
    assert len(found["accounts"]) == 10
    for account in found["accounts"]:
        keypair = Keypair.from_secret(account["secret_key"])
        assert keypair.public_key == account["public_key"]
        assert account["balance_stroops"] == 100_000_000_000
    assert execute(["sandbox", "accounts"]) == 0
    captured = capsys.readouterr()
    first = found["accounts"][0]
    assert first["secret_key"] in captured.out
    assert "10000.0000000" in captured.out
    assert "never use them on a public network" in captured.err
    assert execute(["sandbox", "accounts", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_reset_goes_back_to_the_beginning(sandbox: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "advance", "--ledgers", "20", "--time", "1d")
    assert run(capsys, "reset") == {"latest_ledger": 1, "close_time": 1_800_000_000}
    assert execute(["sandbox", "reset"]) == 0
    assert "2027-01-15 08:00:00 UTC" in capsys.readouterr().out


def test_a_state_is_saved_and_loaded(
    sandbox: Ready, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    there = run(capsys, "advance", "--ledgers", "20", "--time", "1d")
    file = tmp_path / "a.state"
    saved = run(capsys, "save", str(file))
    assert saved == {"file": str(file), "bytes": file.stat().st_size}
    run(capsys, "advance", "--ledgers", "5")
    loaded = run(capsys, "load", str(file))
    assert loaded == {name: there[name] for name in ("latest_ledger", "close_time")}
    client = BlockingAdminClient(sandbox.admin_url)
    assert client.stats().latest_ledger == there["latest_ledger"]
    assert len(client.ledgers(1)) == there["latest_ledger"]

    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    code, said = fails(capsys, "load", str(file))
    assert code == 1
    assert "status 400" in said
    assert "checksum" in said
    assert client.stats().latest_ledger == there["latest_ledger"]
    assert fails(capsys, "save", str(tmp_path / "no" / "a.state"))[0] == 2
    assert fails(capsys, "load", str(tmp_path / "none"))[0] == 2
