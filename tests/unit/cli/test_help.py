"""Help is whole: every command, option and argument says what it is; and every command that is named exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cyclopts import App

from sorofast.cli.root import build_app

ROOT = Path(__file__).resolve().parents[3]
SUMMARY_CHARS_MAX = 110
_WORDS = r"sorofast ((?:[a-z]+\|)*[a-z]+)(?: ((?:[a-z]+\|)*[a-z]+))?([^`\n;&#]*)"
# `sorofast tasks show` or 'sorofast dead list|show'; in a page also where a shell's line or command begins.
QUOTED = re.compile(rf"[`'(]{_WORDS}")
IN_A_PAGE = re.compile(rf"(?:^|[`'(]|[;&|] ){_WORDS}", re.MULTILINE)
SOURCES = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "docs",
    "python",
    "rust",
)


@cache
def commands() -> dict[tuple[str, ...], App]:
    """Every command by its path; groups of commands too."""
    found: dict[tuple[str, ...], App] = {}

    def walk(app: App, path: tuple[str, ...]) -> None:
        found[path] = app
        for name in app:
            if not name.startswith("-"):
                walk(app[name], (*path, name))

    walk(build_app(), ())
    return found


def is_group(path: tuple[str, ...]) -> bool:
    return commands()[path].default_command is None


def parameters(path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names and the help of each option and argument that a command takes and shows."""
    if not is_group(path):
        for argument in commands()[path].assemble_argument_collection(parse_docstring=True):
            if argument.parameter.show is not False and not argument.children:
                yield argument.names, argument.parameter.help or ""


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_option_and_argument_has_help(path: tuple[str, ...]) -> None:
    assert [names for names, text in parameters(path) if not text.strip().endswith(".")] == []


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_a_summary_of_one_line(path: tuple[str, ...]) -> None:
    summary = commands()[path].help.split("\n\n")[0]
    assert summary.endswith(".")
    assert "\n" not in summary
    assert len(summary) <= SUMMARY_CHARS_MAX


def texts() -> Iterator[tuple[Path, str]]:
    for source in SOURCES:
        top = ROOT / source
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.suffix in {"", ".md", ".py", ".rs"} and path.is_file() and "target" not in path.parts:
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def unknown(text: str, named: re.Pattern[str] = IN_A_PAGE) -> Iterator[str]:
    """What `text` names that there is not: commands, and options of those that there are."""
    for match in named.finditer(text):
        for first in match[1].split("|"):
            if (first,) not in commands():
                yield match[0]
                continue
            path: tuple[str, ...] = (first,)
            for second in (match[2] or "").split("|"):
                if is_group((first,)) and second:
                    path = (first, second)
                    if path not in commands():
                        yield match[0]
            if path in commands():
                names = {name for found, _ in parameters(path) for name in found}
                given = re.findall(r"(?<= )--[a-z][a-z-]*", match[3])
                yield from (f"{match[0]}: {name}" for name in given if name not in names and name != "--help")


def test_every_command_that_is_named_anywhere_exists() -> None:
    found = {
        path: list(unknown(text, IN_A_PAGE if path.suffix == ".md" else QUOTED)) for path, text in texts()
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_a_command_that_does_not_exist_is_found_wherever_it_is_named() -> None:
    assert list(unknown("see `sorofast taks list`")) == ["`sorofast taks list"]
    assert list(unknown("see 'sorofast tasks feed 7'")) == ["'sorofast tasks feed 7'"]
    assert next(unknown("$ x\nsorofast tasks list --sate due # all\n")).endswith(": --sate")
    assert list(unknown("`sorofast dead list|shred`"))
    assert not list(unknown("`sorofast dead list|show`; sorofast tasks list --state due"))


def test_advice_to_deposit_or_to_make_names_its_command() -> None:
    """`deposit gas` alone would leave the reader looking for how."""
    from sorofast import reasons

    for name in ("out_of_gas", "gas_below_fee"):
        assert "`sorofast tasks deposit" in (reasons.text_of(name) or "")
