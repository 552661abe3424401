"""docs/design: tests that are there and run show every rule of a mechanism, and every fault that is not open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.rules import ROOT, is_a_test, names_in, rows_of

FOLDER = ROOT / "docs" / "design"
PAGES = sorted(FOLDER.glob("*.md"))
RULES = ("Rule", "Test")
FAULTS = ("Fault", "Required behaviour", "Test")
WITHOUT_A_TEST: set[str] = set()
"""Faults of which no test shows yet that what is required holds. This set may only shrink."""


def problems_of(page: str, open_faults: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a page, by line. `open_faults` may, and must, be without a test."""
    found: list[str] = []
    told: set[str] = set()
    for row in rows_of(page):
        if row.header not in {RULES, FAULTS}:
            continue  # a table of words, keys or consequences
        rule, shown_by = row.cells[0], row.cells[-1]
        if len(row.cells) != len(row.header) or not all(row.cells[:-1]):
            found.append(f"{row.line}: needs {len(row.header)} cells, and only the last may be empty")
            continue
        if rule in told:
            found.append(f"{row.line}: stands here twice: {rule}")
        told.add(rule)
        if rule in open_faults:
            if shown_by:
                found.append(f"{row.line}: has a test now, so it is no longer open: {rule}")
        elif not shown_by:
            found.append(f"{row.line}: no test shows it: {rule}")
        else:
            found += [
                f"{row.line}: there is no test {name}" for name in names_in(shown_by) if not is_a_test(name)
            ]
    found += [f"is open, but stands nowhere: {fault}" for fault in sorted(open_faults - told)]
    return found or ([] if told else ["no rule stands here"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_rule_is_shown_by_a_test(path: Path) -> None:
    open_faults = frozenset(WITHOUT_A_TEST) if path.stem == "faults" else frozenset()
    assert problems_of(path.read_text(encoding="utf-8"), open_faults) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("| a rule | |", "no test shows it"),
        ("| a rule | `tests/test_design.py::test_nobody_wrote` |", "there is no test"),
        ("| a rule | `tests/nowhere.py::test_a` |", "there is no test"),
        ("| a rule |", "needs 2 cells"),
        ("", "no rule stands here"),
    ],
)
def test_a_row_that_shows_nothing_is_found(rows: str, words: str) -> None:
    (problem,) = problems_of(f"# A page\n\n## Rules\n\n| Rule | Test |\n|---|---|\n{rows}\n")
    assert words in problem


def test_an_open_fault_that_got_a_test_or_went_away_is_found() -> None:
    test = "`tests/test_design.py::test_a_row_that_shows_nothing_is_found`"
    page = f"| Fault | Required behaviour | Test |\n|---|---|---|\n| a fault | holds | {test} |\n"
    assert problems_of(page) == []
    assert problems_of(page, frozenset({"a fault"})) == [
        "3: has a test now, so it is no longer open: a fault"
    ]
    assert problems_of(page, frozenset({"another"})) == ["is open, but stands nowhere: another"]


def test_the_overview_links_every_page_and_every_link_leads_somewhere() -> None:
    overview = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((docs/design/[a-z-]+\.md)\)", overview))
    assert linked == {path.relative_to(ROOT).as_posix() for path in PAGES}
    for path in [ROOT / "ARCHITECTURE.md", *PAGES]:
        for target in re.findall(r"\]\(([^):#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).is_file(), f"{path.name} links {target}"
