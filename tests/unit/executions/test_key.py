"""How executions are written."""

from __future__ import annotations

import pytest

from sorofast.executions.key import TASKS, Execution


@pytest.mark.parametrize(
    ("execution", "name"),
    [
        (Execution(TASKS, 7, 1_700_000_000), "7:1700000000"),
        (Execution("jobs", "rent", "2026-01-01"), "jobs/rent:2026-01-01"),
        (Execution("jobs", "a:b", "5"), "jobs/a:b:5"),
    ],
)
def test_a_name_reads_back_as_its_execution(execution: Execution, name: str) -> None:
    assert execution.name == name
    assert Execution.parse(name) == execution


@pytest.mark.parametrize("name", ["", "7", "7:", ":5", "x:y", "jobs/:5", "/a:5", "jobs/a b:5"])
def test_what_is_no_execution_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no execution|invalid literal"):
        Execution.parse(name)
