"""docs/sandbox.md does what it says: its tests pass, its plan is taken, its commands and flags exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from sorofast.cli.sandbox import StartFlags
from sorofast.sandbox.process import SandboxOptions, find_binary
from sorofast.testing import Sandbox

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).resolve().parents[3]
TEXT = (REPOSITORY / "docs" / "sandbox.md").read_text(encoding="utf-8")
COMMANDS = {"start", "advance", "fault", "save", "load", "reset", "accounts"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def flags_of(*command: str) -> set[str]:
    """The long flags that a command's help names."""
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown)) - {"--help"}


def test_the_example_tests_pass(pytester: pytest.Pytester) -> None:
    (suite,) = [block for block in blocks("python") if "def test_" in block]
    shutil.copy(
        REPOSITORY / "rust" / "sorofast-sandbox" / "wasm" / "counter.wasm", pytester.path / "counter.wasm"
    )
    pytester.makepyfile(suite)
    pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(
        passed=suite.count("def test_")
    )


def test_the_example_plan_is_taken() -> None:
    (plan,) = blocks("toml")
    with Sandbox.start() as sandbox:
        sandbox.admin.set_fault_plan(tomllib.loads(plan))
        assert len(sandbox.admin.faults()["rules"]) == plan.count("[[rules]]")


def test_every_flag_of_the_binary_can_be_given_and_is_explained() -> None:
    of_binary = flags_of(str(find_binary()), "start")
    with_us = {"--" + field.name.replace("_", "-") for field in fields(StartFlags)}
    assert of_binary - {"--output", "--exit-with-stdin", "--version"} == with_us
    assert {field.name for field in fields(StartFlags)} == {
        field.name for field in fields(SandboxOptions)
    } - {"extra"}
    table = TEXT.partition("### Flags of")[2].partition("\n## ")[0]
    assert of_binary - {"--version"} == set(re.findall(r"`(--[a-z-]+)`", table))


def test_commands_in_the_text_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("sorofast sandbox")]
    assert {command[2] for command in commands} == COMMANDS
    for name in COMMANDS - {"start"}:
        known = flags_of(sys.executable, "-m", "sorofast", "sandbox", name)
        for command in commands:
            if command[2] == name:
                assert {word for word in command if word.startswith("--")} <= known
