"""What a demo shows on stderr while it runs: lines in a pipe, a live table in a terminal. stdout is for the
result.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

from sorofast.clock import Clock, SystemClock
from sorofast.wording import counted

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_LINE_EVERY_S = 5.0
_TOTALS = ("due", "sent", "executed", "failed", "no_effect", "expired", "errors")


class Progress:
    """Shows steps, and the ledgers the engine reports. These figures are the engine's own; the audit at the
    end is not.
    """

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, clock: Clock | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._last_line = 0.0
        self._totals: Counter[str] = Counter()
        self._ledger: dict[str, Any] = {}
        self._live: Live | None = None
        self.first_execution_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return self._clock.monotonic() - self._began

    def step(self, text: str) -> None:
        """Say what is going on now."""
        if self._quiet:
            return
        line = f"[{self.elapsed_s:5.1f} s] {text}"
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def channels(self, done: int, total: int) -> None:
        """Progress of the channels' creation."""
        self.step(f"{done} of {counted(total, 'channel')} exist")

    def open(self) -> None:
        """Begin to show ledgers; in a terminal as a live table."""
        if self._quiet or not self._stream.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            self._table(), console=Console(file=self._stream), refresh_per_second=4, transient=True
        )
        self._live.start()

    def close(self) -> None:
        """End the live table, if there is one. May be called again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event of the engine's log."""
        match event.get("event"):
            case "ledger":
                self._hear_ledger(event)
            case "worker_died":
                self.step(f"worker {event.get('slot')} died: {event.get('reason')}")
            case "draining":
                self.step("the engine drains")
            case _:
                pass

    def _hear_ledger(self, event: dict[str, Any]) -> None:
        self._ledger = event
        for name in _TOTALS:
            value = event.get(name)
            if isinstance(value, int):
                self._totals[name] += value
        if self.first_execution_s is None and self._totals["executed"]:
            self.first_execution_s = round(self.elapsed_s, 1)
            self.step(f"first executed task after {self.first_execution_s} s")
        if self._live is not None:
            self._live.update(self._table())
        elif self.elapsed_s - self._last_line >= _LINE_EVERY_S:
            self._last_line = self.elapsed_s
            totals = ", ".join(f"{self._totals[name]} {name}" for name in _TOTALS)
            self.step(f"ledger {event.get('ledger')}: so far {totals}")

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(
            title=f"ledger {self._ledger.get('ledger', '…')}", caption="Ctrl-C ends the demo and audits it"
        )
        table.add_column("", justify="left")
        table.add_column("this ledger", justify="right")
        table.add_column("so far", justify="right")
        for name in _TOTALS:
            table.add_row(name.replace("_", " "), str(self._ledger.get(name, "")), str(self._totals[name]))
        late = self._ledger.get("ledgers_late") or {}
        table.add_row("ledgers late", ", ".join(f"{late[key]}×{key}" for key in sorted(late)) or "–", "")
        skipped = self._ledger.get("skipped") or {}
        table.add_row("skipped", ", ".join(f"{count} {name}" for name, count in skipped.items()) or "–", "")
        table.add_row("in flight", str(self._ledger.get("in_flight", "")), "")
        return table
