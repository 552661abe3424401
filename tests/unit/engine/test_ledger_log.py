"""One line per ledger out of the workers' reports."""

from __future__ import annotations

from typing import Any, cast

import pytest
from structlog.typing import FilteringBoundLogger

from sorofast.engine.ledger_log import OPEN_LEDGERS_MAX, LedgerLog
from sorofast.engine.report import LedgerReport, Loaded, Stopping, Up, decode_report
from sorofast.observability.counters import Counts


class Lines:
    """Takes what a logger is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})


@pytest.fixture
def lines() -> Lines:
    return Lines()


def log_of(lines: Lines, workers: int) -> LedgerLog:
    return LedgerLog(cast("FilteringBoundLogger", lines), workers)


def report(member: str, ledger: int, duration_ms: float = 0.0, **counts: Any) -> LedgerReport:
    return LedgerReport(
        member=member,
        ledger=ledger,
        close_time_s=1_000 + ledger,
        duration_ms=duration_ms,
        counts=Counts(**counts),
    )


def test_a_ledger_is_logged_once_everybody_has_reported(lines: Lines) -> None:
    log = log_of(lines, 2)
    log.take(report("a", 7, due=2, skipped={"no_channel": 1}, ledgers_late={0: 2}, duration_ms=3.0), alive=2)
    assert not lines.lines
    log.take(
        report("b", 7, due=3, skipped={"no_channel": 2}, ledgers_late={0: 1, 1: 1}, duration_ms=9.0), alive=2
    )
    (line,) = lines.lines
    assert (line["ledger"], line["due"], line["skipped"], line["ledgers_late"]) == (
        7,
        5,
        {"no_channel": 3},
        {0: 3, 1: 1},
    )
    assert line["duration_ms"] == 9.0
    assert line["workers"] == 2


def test_a_worker_that_is_silent_holds_back_only_so_many_lines(lines: Lines) -> None:
    log = log_of(lines, 2)
    for ledger in range(1, OPEN_LEDGERS_MAX + 4):
        log.take(report("a", ledger), alive=2)
    assert [line["ledger"] for line in lines.lines] == [1, 2, 3]


def test_counts_that_come_late_are_not_lost(lines: Lines) -> None:
    log = log_of(lines, 1)
    log.take(report("a", 7, executed=1), alive=1)
    log.take(report("b", 7, executed=5), alive=2)
    log.take(report("a", 8, executed=1), alive=2)
    assert sum(line["executed"] for line in lines.lines) == 7


@pytest.mark.parametrize(
    "made",
    [
        Up(member="a", pid=7),
        Loaded(member="a", shards=[1, 2], follower=True),
        Stopping(member="a", exit_code=3, reason="why"),
        report("a", 9, ledgers_late={0: 4}, skipped={"no_channel": 1}),
    ],
)
def test_reports_survive_the_pipe(made: Any) -> None:
    import msgspec

    assert decode_report(msgspec.json.encode(made)) == made
