"""One line per ledger: the workers' reports, added up."""

from __future__ import annotations

import msgspec
from structlog.typing import FilteringBoundLogger

from sorofast.engine.report import LedgerReport

__all__ = ["LedgerLog"]

OPEN_LEDGERS_MAX = 8


class LedgerLog:
    """Logs a ledger once all living workers have reported it, or when newer ones show that somebody will
    not.
    """

    def __init__(self, log: FilteringBoundLogger, workers: int) -> None:
        self.ledgers = 0
        self._log = log
        self._workers = workers
        self._open: dict[int, tuple[LedgerReport, set[str]]] = {}
        self._logged_through = 0

    def take(self, report: LedgerReport, *, alive: int) -> None:
        """Adds one worker's report; `alive` is how many reports a ledger waits for."""
        if report.ledger <= self._logged_through:
            # A worker that lags reports counts that nobody has added yet: they belong to the oldest open
            # line.
            report.ledger = min(self._open, default=self._logged_through + 1)
        entry = self._open.get(report.ledger)
        if entry is None:
            self._open[report.ledger] = (report, {report.member})
        else:
            entry[0].merge(report)
            entry[1].add(report.member)
        while self._open:
            ledger = min(self._open)
            if len(self._open[ledger][1]) < max(1, alive) and len(self._open) <= OPEN_LEDGERS_MAX:
                return
            self._write(ledger)

    def _write(self, ledger: int) -> None:
        report, members = self._open.pop(ledger)
        self._logged_through = max(self._logged_through, ledger)
        self.ledgers += 1
        self._log.info(
            "ledger",
            ledger=ledger,
            close_time_s=report.close_time_s,
            workers=len(members),
            checked=report.tasks,
            in_flight=report.in_flight,
            **msgspec.structs.asdict(report.counts),
            duration_ms=report.duration_ms,
        )
