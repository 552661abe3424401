"""`sorofast runs`: how the fleet's executions ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options, Whole
from sorofast.cli.output import console, note, one_line, print_json, print_table, utc
from sorofast.errors import UsageError

if TYPE_CHECKING:
    from sorofast.views.run import RunView

COUNT_MAX = 10_000
LOOK_EVERY_S = 0.5
_COLUMNS = ["settled", "execution", "outcome", "ledger", "late", "fee", "transaction", "reason"]
_RIGHT = ["ledger", "late", "fee"]


def runs(
    *,
    count: Annotated[Whole, Parameter(help="Maximum number of executions to show.")] = 20,
    failed: Annotated[
        bool, Parameter(help="Show only what cost a fee and did not run.", negative="")
    ] = False,
    follow: Annotated[
        bool, Parameter(help="Go on and show each execution as it ends, until Ctrl-C.", negative="")
    ] = False,
    options: Options = DEFAULTS,
) -> None:
    """Show how the fleet's newest executions ended: outcome, ledger, ledgers late, fee and reason.

    The fee is what the ledger charged. Where nobody asked the ledger, as for a task that ran, it is the most that was
    reserved for it, shown with ≤.
    """
    import msgspec

    from sorofast.views.run import follow_runs, read_runs

    if not 1 <= count <= COUNT_MAX:
        raise UsageError(f"--count is {count}; choose a number from 1 to {COUNT_MAX}")
    settings = load(options)
    config, shards = settings.redis(), int(settings.get("engine.shards"))

    def show(found: list[RunView]) -> None:
        for run in found:
            if options.json:
                print_json(msgspec.to_builtins(run))
            else:
                console().print(one_line("  ".join(str(cell) for cell in cells(run) if cell != "")))

    async def go_on() -> None:
        async for more in follow_runs(config, shards, count, failed=failed):
            show(more)
            await asyncio.sleep(LOOK_EVERY_S)

    if follow:
        asyncio.run(go_on())
        return
    found = asyncio.run(read_runs(config, shards, count, failed=failed))
    if options.json:
        print_json([msgspec.to_builtins(run) for run in found])
    elif found:
        print_runs(found)
    else:
        what = "run that cost a fee for nothing" if failed else "run"
        note(f"the fleet remembers no {what}", quiet=options.quiet)


def print_runs(found: list[RunView]) -> None:
    """A table of ends, in the order given."""
    print_table(_COLUMNS, [cells(run) for run in found], right=_RIGHT)


def cells(run: RunView) -> list[object]:
    """One end as a table's row."""
    name = f"{run.id}:{run.window}" if run.source == "tasks" else f"{run.source}/{run.id}:{run.window}"
    fee: object = run.fee_stroops
    if fee is None:
        fee = "" if run.reserved_stroops is None else f"≤{run.reserved_stroops}"
    ledger = "" if run.ledger is None else run.ledger
    late = "" if run.ledgers_late is None else run.ledgers_late
    reason = f"{run.reason} (dead letter)" if run.dead else run.reason
    return [utc(run.at_ms // 1000), name, run.outcome, ledger, late, fee, run.transaction, reason]
