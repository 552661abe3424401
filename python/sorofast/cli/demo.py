"""`sorofast demo`: see the engine work, and have its work audited, with one command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sorofast.cli.options import LEADING_HYPHEN, OutputFormat, Whole
from sorofast.cli.output import print_json, print_pairs, print_table
from sorofast.errors import UsageError
from sorofast.limits import GUARD_MAX_S, WORKERS_MAX

if TYPE_CHECKING:
    from sorofast.demo.progress import Progress
    from sorofast.demo.scenario import DemoOptions, DemoResult

_INTERRUPTED = 130
_LATENESS = ("all", "first_runs", "known_first_runs", "recurring")


def demo(
    *,
    tasks: Annotated[Whole, Parameter(help="Number of tasks in the registry.")] = 200,
    workers: Annotated[Whole, Parameter(help="Number of worker processes.")] = 4,
    duration: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(help="How long the engine runs, e.g. 60s or 5m; by default until Ctrl-C."),
    ] = None,
    due_per_ledger: Annotated[
        float | None,
        Parameter(help="Choose the intervals so that about this many tasks fall due per ledger."),
    ] = None,
    intervals: Annotated[
        str, LEADING_HYPHEN, Parameter(help="Range of task intervals, e.g. 20s-120s.")
    ] = "20s-120s",
    ledger_close: Annotated[str, LEADING_HYPHEN, Parameter(help="Time between ledgers.")] = "1s",
    ledger_jitter: Annotated[
        str | None, LEADING_HYPHEN, Parameter(help="Random variation of each close time, e.g. 200ms.")
    ] = None,
    consensus_delay: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            help="Delay from a ledger's close until it is visible; by default a quarter of --ledger-close."
        ),
    ] = None,
    guard: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            help="How long after its due second a run that waits for it is sent, e.g. 50ms; by default engine.guard_s."
        ),
    ] = None,
    seed: Annotated[Whole, Parameter(help="Seed of the tasks: the same seed gives the same tasks.")] = 0,
    port: Annotated[Whole, Parameter(help="Port of the local network; 0 picks a free one.")] = 0,
    output: Annotated[OutputFormat, Parameter(name=("--output", "-o"), help="Output format.")] = "table",
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", help="Print no progress.")] = False,
    verbose: Annotated[
        bool, Parameter(name=("--verbose", "-v"), negative="", help="Show tracebacks of errors.")
    ] = False,
) -> int:
    """Run a local network, a registry and a fleet; watch tasks being executed, then audit the ledger.

    Everything runs on this machine and is removed at the end. The counters come from the ledger, not from the
    engine. Exit code 1 if an execution was missed or done twice.
    """
    del verbose  # the root looks for it itself, when an error has to be shown
    from sorofast.audit.seed import SeedOptions
    from sorofast.demo.progress import Progress
    from sorofast.demo.scenario import DemoOptions
    from sorofast.sandbox.durations import parse_duration_s, parse_range_s
    from sorofast.sandbox.process import SandboxOptions

    if not 1 <= workers <= WORKERS_MAX:
        raise UsageError(f"--workers {workers}: must be 1 to {WORKERS_MAX}")
    ledger_close_s = parse_duration_s(ledger_close, "--ledger-close")
    if ledger_close_s <= 0:
        raise UsageError(
            f"--ledger-close {ledger_close}: must be above 0, since a demo needs ledgers that close by themselves"
        )
    duration_s = None if duration is None else parse_duration_s(duration, "--duration")
    if duration_s == 0:
        raise UsageError(f"--duration {duration}: must be above 0; leave it out to run until Ctrl-C")
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port {port}: must be 1 to 65535, or 0 for a free one")
    for name, text in (("--ledger-jitter", ledger_jitter), ("--consensus-delay", consensus_delay)):
        if text is not None:
            parse_duration_s(text, name)
    guard_s = None if guard is None else parse_duration_s(guard, "--guard")
    if guard_s is not None and guard_s > GUARD_MAX_S:
        raise UsageError(f"--guard {guard}: must be at most {GUARD_MAX_S}s")
    options = DemoOptions(
        seed=SeedOptions(
            tasks=tasks,
            ledger_close_s=ledger_close_s,
            intervals_s=parse_range_s(intervals, "--intervals"),
            due_per_ledger=due_per_ledger,
            seed=seed,
            dependencies=True,
        ),
        sandbox=SandboxOptions(
            port=port,
            ledger_close=ledger_close,
            ledger_jitter=ledger_jitter,
            consensus_delay=consensus_delay,
        ),
        workers=workers,
        duration_s=duration_s,
        guard_s=guard_s,
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
