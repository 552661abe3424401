"""`sorofast demo`: see the engine work, and have its work audited, with one command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sorofast.cli.options import OutputFormat, Whole
from sorofast.cli.output import print_json, print_pairs, print_table
from sorofast.errors import UsageError
from sorofast.limits import WORKERS_MAX

if TYPE_CHECKING:
    from sorofast.demo.progress import Progress
    from sorofast.demo.scenario import DemoOptions, DemoResult

_INTERRUPTED = 130
_LATENESS = ("all", "first_runs", "recurring")


def demo(
    *,
    tasks: Annotated[Whole, Parameter(help="Tasks in the registry.")] = 200,
    workers: Annotated[Whole, Parameter(help="Worker processes of the engine.")] = 4,
    duration: Annotated[
        str | None, Parameter(help="How long the engine runs, as 60s or 5m. Without it: until Ctrl-C.")
    ] = None,
    due_per_ledger: Annotated[
        float | None,
        Parameter(help="Choose the intervals so that about this many tasks fall due per ledger."),
    ] = None,
    intervals: Annotated[str, Parameter(help="Range of the tasks' intervals.")] = "20s-120s",
    ledger_close: Annotated[str, Parameter(help="Time from one ledger to the next.")] = "1s",
    ledger_jitter: Annotated[str | None, Parameter(help="How far a ledger may close from its time.")] = None,
    consensus_delay: Annotated[
        str | None,
        Parameter(help="From a ledger's close to when it is visible; a quarter of the close by default."),
    ] = None,
    seed: Annotated[Whole, Parameter(help="The same seed gives the same tasks.")] = 0,
    port: Annotated[Whole, Parameter(help="The local network's port; 0 takes a free one.")] = 0,
    output: Annotated[
        OutputFormat, Parameter(name=("--output", "-o"), help="How the result is printed.")
    ] = "table",
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", help="Print no progress.")] = False,
    verbose: Annotated[
        bool, Parameter(name=("--verbose", "-v"), negative="", help="Errors come with their traceback.")
    ] = False,
) -> int:
    """A local network, a registry and a fleet: watch tasks being executed, and see the ledger audited.

    Everything runs on this machine and is gone in the end. The counters come from the ledger, not from the
    engine. Exit code 1 if a run was missed or done twice.
    """
    del verbose  # the root looks for it itself, when an error has to be shown
    from sorofast.audit.seed import SeedOptions
    from sorofast.demo.progress import Progress
    from sorofast.demo.scenario import DemoOptions
    from sorofast.sandbox.durations import parse_duration_s, parse_range_s
    from sorofast.sandbox.process import SandboxOptions

    if not 1 <= workers <= WORKERS_MAX:
        raise UsageError(f"--workers {workers}: give 1 to {WORKERS_MAX}")
    ledger_close_s = parse_duration_s(ledger_close, "--ledger-close")
    if ledger_close_s <= 0:
        raise UsageError(f"--ledger-close {ledger_close}: a demo needs ledgers that close by themselves")
    duration_s = None if duration is None else parse_duration_s(duration, "--duration")
    if duration_s == 0:
        raise UsageError(
            f"--duration {duration}: give the engine some time, or leave it out and end with Ctrl-C"
        )
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port {port}: a port is 1 to 65535, or 0 for a free one")
    for name, text in (("--ledger-jitter", ledger_jitter), ("--consensus-delay", consensus_delay)):
        if text is not None:
            parse_duration_s(text, name)
    options = DemoOptions(
        seed=SeedOptions(
            tasks=tasks,
            ledger_close_s=ledger_close_s,
            intervals_s=parse_range_s(intervals, "--intervals"),
            due_per_ledger=due_per_ledger,
            seed=seed,
        ),
        sandbox=SandboxOptions(
            port=port,
            ledger_close=ledger_close,
            ledger_jitter=ledger_jitter,
            consensus_delay=consensus_delay,
        ),
        workers=workers,
        duration_s=duration_s,
    )
    try:
        result = asyncio.run(_run(options, Progress(quiet=quiet)))
    except asyncio.CancelledError:
        return _INTERRUPTED
    if output == "json":
        print_json(result.as_dict())
    else:
        _print_result(result)
    return 0 if result.passed else 1


async def _run(options: DemoOptions, progress: Progress) -> DemoResult:
    from sorofast.demo.scenario import Stop, run_demo, stop_on_interrupt

    stop = Stop()
    with stop_on_interrupt(stop):
        return await run_demo(options, progress, stop)


def _print_result(result: DemoResult) -> None:
    values = result.as_dict()
    print_pairs([(name, value) for name, value in values.items() if not isinstance(value, dict)])
    late = values["ledgers_late"]
    print_table(
        ["ledgers late", "count", "p50", "p99", "max", "zero ratio"],
        [(name, *late[name].values()) for name in _LATENESS],
        right=["count", "p50", "p99", "max", "zero ratio"],
    )
    methods = sorted(result.rpc_calls)
    print_table(
        ["rpc calls", "in all", "steady"],
        [(name, result.rpc_calls[name], result.rpc_calls_steady.get(name, 0)) for name in methods],
        right=["in all", "steady"],
    )
