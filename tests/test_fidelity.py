"""docs/fidelity.md: every rule has a source, and a test that is there and runs."""

from __future__ import annotations

import re

import pytest

from helpers.rules import ROOT, is_a_test, names_in, rows_of

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


def problems_of(page: str) -> list[str]:
    """What is wrong with the page, by line."""
    found, filled, rules = [], set(), set()
    for row in rows_of(page):
        if row.header != HEADER:
            found.append(f"{row.line}: a table here has the columns {list(HEADER)}")
            continue
        if len(row.cells) != len(HEADER) or not all(row.cells):
            found.append(f"{row.line}: needs {len(HEADER)} cells, none of them empty: {row.cells}")
            continue
        filled.add(row.area)
        rule, _, shown_by = row.cells
        if (row.area, rule) in rules:
            found.append(f"{row.line}: stands here twice: {rule}")
        rules.add((row.area, rule))
        found += [
            f"{row.line}: there is no test {name}" for name in names_in(shown_by) if not is_a_test(name)
        ]
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
