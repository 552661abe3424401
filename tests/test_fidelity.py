"""docs/fidelity.md: every rule has a source, and a test that is there and runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fidelity.md"
AREAS = (
    "JSON-RPC",
    "Admission and queue",
    "Applying and fees",
    "Classic operations",
    "Contracts and the host",
    "State archival",
    "Headers and metas",
    "State and clock",
    "Beside the RPC",
    "Faults",
)
HEADER = ("Rule", "Source", "Test")
# An attribute line may stand between #[test] and the function, but not one that leaves the test out.
RUST_TEST = re.compile(
    r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[(?!ignore)[^\]]*\]\s*)*(?:async\s+)?fn\s+(\w+)", re.ASCII
)


@dataclass(frozen=True)
class Row:
    line: int
    area: str
    cells: tuple[str, ...]


def rows_of(page: str) -> Iterator[Row]:
    """The rows of every table, without heads and rules; a bar inside of backticks is escaped as Markdown has it."""
    area, in_table = "", False
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("## "):
            area = line[3:].strip()
        if not line.startswith("|"):
            in_table = False
            continue
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")))
        if in_table and not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield Row(number, area, cells)
        elif not in_table and cells != HEADER:
            yield Row(number, area, ("",))  # a table with other columns says nothing here
        in_table = True


@cache
def named_in(path: str) -> frozenset[str]:
    """Names of the tests of a Python or Rust file; none for a file that is not there."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".rs":
        return frozenset(RUST_TEST.findall(text))
    names = (
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
    return frozenset(names) if file.name.startswith("test_") else frozenset()


def problems_of(page: str) -> list[str]:
    """What is wrong with the page, by line."""
    found, filled, rules = [], set(), set()
    for row in rows_of(page):
        if len(row.cells) != len(HEADER) or not all(row.cells):
            found.append(f"{row.line}: needs {len(HEADER)} cells, none of them empty: {row.cells}")
            continue
        filled.add(row.area)
        rule, _, shown_by = row.cells
        if (row.area, rule) in rules:
            found.append(f"{row.line}: stands here twice: {rule}")
        rules.add((row.area, rule))
        for name in re.split(r"<br>|,", shown_by):
            path, colons, test = name.strip().strip("`").partition("::")
            if not colons or test not in named_in(path):
                found.append(f"{row.line}: there is no test {name.strip()}")
    areas = re.findall(r"^## (.+)$", page, re.MULTILINE)
    if tuple(areas) != AREAS:
        found.append(f"the sections are {areas}, not {list(AREAS)}")
    return found + [f"{area}: no rule stands here" for area in AREAS if area not in filled]


def test_every_rule_has_a_source_and_a_test() -> None:
    assert problems_of(PAGE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("| a rule | core | |", "none of them empty"),
        ("| a rule | | `tests/test_fidelity.py::test_every_rule_has_a_source_and_a_test` |", "empty"),
        ("| a rule | core `a.cpp` |", "needs 3 cells"),
        ("| a rule | core | `tests/test_fidelity.py::test_nobody_wrote` |", "no test"),
        ("| a rule | core | `tests/test_fidelity.py` |", "no test"),
        ("| a rule | core | `rust/sorofast-sandbox/tests/ledger/queue.rs::open` |", "no test"),
        ("| a rule | core | `rust/nowhere.rs::a_test` |", "no test"),
    ],
)
def test_a_row_that_shows_nothing_is_found(row: str, words: str) -> None:
    good = PAGE.read_text(encoding="utf-8")
    head = "|---|---|---|\n"
    (problem,) = problems_of(good.replace(head, f"{head}{row}\n", 1))
    assert words in problem


def test_a_section_without_rows_is_found() -> None:
    page = re.sub(
        r"(## Classic operations\n\n\|.*\n\|.*\n)(?:\|.*\n)+", r"\1", PAGE.read_text(encoding="utf-8")
    )
    assert problems_of(page) == ["Classic operations: no rule stands here"]
