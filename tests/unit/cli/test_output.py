"""What is printed: JSON that every reader takes, tables that a pipe does not fold, errors of one line."""

from __future__ import annotations

import json

import pytest
from stellar_sdk import Keypair

from sorofast.cli.output import duration, print_error, print_json, print_pairs, print_table, utc, xlm
from sorofast.errors import ConfigError, RpcUnreachable


def test_json_holds_integers_of_any_size(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"small": 2**63, "large": 2**100, "bytes": b"\x01", 7: (1, None, True)})
    assert json.loads(capsys.readouterr().out) == {
        "small": 2**63,
        "large": str(2**100),
        "bytes": "01",
        "7": [1, None, True],
    }


def test_piped_tables_are_neither_coloured_nor_folded(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["id", "text"], [(1, "x" * 300), (22, None)], right=["id"])
    print_pairs([("name", "[bold]literal[/bold]")])
    out = capsys.readouterr().out
    assert "x" * 300 in out
    assert "\x1b" not in out
    assert "[bold]literal[/bold]" in out
    assert out.splitlines()[1].startswith(" 1")


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(RpcUnreachable("no\tanswer"), exit_code=4, as_json=False, verbose=False)
    print_error(ConfigError("first: wrong\nsecond: wrong too"), exit_code=3, as_json=False, verbose=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: no answer\nerror: first: wrong\nerror: second: wrong too\n"


def test_text_from_servers_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [("\x1b[2Jgone\x9b1m",)])
    print_pairs([("name", "a\rb\nc")])
    print_error(ConfigError("\x1b]0;title\x07"), exit_code=3, as_json=False, verbose=False)
    captured = capsys.readouterr()
    assert "\\x1b[2Jgone\\x9b1m" in captured.out
    assert "a\\x0db\\x0ac" in captured.out
    assert captured.err == "error: \\x1b]0;title\\x07\n"


def test_an_error_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ConfigError("first\nsecond"), exit_code=3, as_json=True, verbose=False)
    captured = capsys.readouterr()
    assert json.loads(captured.err) == {
        "error": {"kind": "ConfigError", "message": "first; second", "exit_code": 3}
    }


def test_a_traceback_is_shown_only_when_asked_for_and_without_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = Keypair.random().secret
    try:
        raise ConfigError(f"a library said {secret}")
    except ConfigError as error:
        print_error(error, exit_code=3, as_json=False, verbose=True)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert secret not in err


@pytest.mark.parametrize(
    ("stroops", "text"),
    [(0, "0.0000000"), (1, "0.0000001"), (-15_000_000, "-1.5000000"), (2**62, "461168601842.7387904")],
)
def test_stroops_are_printed_as_xlm(stroops: int, text: str) -> None:
    assert xlm(stroops) == text


def test_times_and_durations_are_printed_for_people() -> None:
    assert utc(0) == "1970-01-01 00:00:00"
    assert utc(2**64 - 1) == str(2**64 - 1)
    assert [duration(s) for s in (0, 45, 300, 9_000, 90_061)] == ["0s", "45s", "5m", "2h 30m", "1d 1h"]
