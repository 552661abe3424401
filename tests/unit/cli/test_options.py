"""Shared options: where they may stand, and what is known of them before anything parses."""

from __future__ import annotations

import pytest

from sorofast.cli.options import options_last, peek


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        (["status"], ["status"]),
        (["-c", "x.toml", "status", "-q"], ["status", "-q", "-c", "x.toml"]),
        (["-o=json", "-v", "tasks", "show", "7"], ["tasks", "show", "7", "-o=json", "-v"]),
        (
            ["--rpc-url", "http://h", "tasks", "show", "--", "7"],
            ["tasks", "show", "--rpc-url", "http://h", "--", "7"],
        ),
        (["--help"], ["--help"]),
        (["-q", "--help"], ["-q", "--help"]),
        (["-c"], ["-c"]),
        ([], []),
    ],
)
def test_shared_options_may_stand_before_the_command(given: list[str], moved: list[str]) -> None:
    assert options_last(given) == moved


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], ("table", False)),
        (["status", "-o", "json"], ("json", False)),
        (["-ojson", "status", "-v"], ("json", True)),
        (["status", "--output=json"], ("json", False)),
        (["status", "--", "-o", "json"], ("table", False)),
        (["status", "-o"], ("table", False)),
    ],
)
def test_output_format_is_known_before_parsing(arguments: list[str], expected: tuple[str, bool]) -> None:
    assert peek(arguments) == expected
