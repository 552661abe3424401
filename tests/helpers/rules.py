"""Pages that hold rules in tables, each rule with the tests that show it: reading them, and finding the tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# An attribute line may stand between #[test] and the function, but not one that leaves the test out.
RUST_TEST = re.compile(
    r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[(?!ignore)[^\]]*\]\s*)*(?:async\s+)?fn\s+(\w+)", re.ASCII
)


@dataclass(frozen=True)
class Row:
    """One row of a table below the heading `area`. `header` are the cells of the table's head."""

    line: int
    area: str
    header: tuple[str, ...]
    cells: tuple[str, ...]


def rows_of(page: str) -> Iterator[Row]:
    """The rows of every table, without heads and rules; a bar inside of backticks is escaped as Markdown has it."""
    area, header = "", ()
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("## "):
            area = line[3:].strip()
        if not line.startswith("|"):
            header = ()
            continue
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")))
        if not header:
            header = cells
        elif not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield Row(number, area, header, cells)


def names_in(cell: str) -> Sequence[str]:
    """The tests that a cell names, as `path::name`."""
    return [name.strip().strip("`") for name in re.split(r"<br>|,", cell)]


def is_a_test(name: str) -> bool:
    """Whether `path::name` is a test that is there and runs."""
    path, colons, test = name.partition("::")
    return bool(colons) and test in _tests_in(path)


@cache
def _tests_in(path: str) -> frozenset[str]:
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
