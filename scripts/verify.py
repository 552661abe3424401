"""The long runs behind the promises: `make verify`, or `make verify ARGS='reads'` for one of them.

Most runs are demos, whose counts come from the ledger. A line says what was measured and whether it holds; the last
line is one JSON object with everything. Exit code 1 if anything does not hold. `--duration` replaces the time each
demo runs: a short one tells whether the run works, not whether the promise holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sorofast.audit.seed import SeedOptions
from sorofast.demo.fleet import Fleet
from sorofast.demo.network import DemoNetwork
from sorofast.demo.scenario import DemoOptions, calls_between, lead_s, wait_until_quiet
from sorofast.sandbox.process import SandboxOptions

ROOT = Path(__file__).resolve().parent.parent
SOROFAST = Path(sys.executable).parent / "sorofast"
FIRST_LEDGER_RATIO_MIN = 0.99
# 1 − (guard + path) / target, of 50 ms, 10 ms and 1 s: docs/design/timing.md.
ONE_SECOND_RATIO_MIN = 0.94
SHAPES = 72
SIMULATIONS_AFTER_RESTART_MAX = 10
READS_RATIO_MAX = 1.1
MODEL = "tests/integration/fidelity/test_model.py"
OTHER_THAN_READS = {"simulateTransaction", "sendTransaction"}

Result = dict[str, Any]
Findings = list[tuple[str, bool]]


def demo(*arguments: str, duration_s: int) -> Result:
    """Runs one demo and returns its JSON; a demo that prints none ends the verification."""
    command = [str(SOROFAST), "demo", "-o", "json", "--quiet", "--duration", f"{duration_s}s", *arguments]
    print("$", "sorofast", *command[1:], file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=2 * duration_s + 600, check=False)
    try:
        result: Result = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"the demo ended with code {done.returncode} and no result") from None
    return result


def once(result: Result) -> Findings:
    return [(f"{name} {result[name]}", result[name] == 0) for name in ("missed", "duplicates")]


def on_time(result: Result, runs: str, ratio_min: float) -> tuple[str, bool]:
    late = result["ledgers_late"][runs]
    ratio = float(late["zero_ratio"] or 0.0)
    text = f"{ratio:.4f} of {late['count']} {runs.replace('_', ' ')} in the first eligible ledger"
    return f"{text}, {ratio_min} promised", ratio >= ratio_min


def verify_five_seconds(duration_s: int | None) -> tuple[list[Result], Findings]:
    """1,000 tasks, 4 workers, 5 s ledgers, 5 minutes, three starts."""
    results, findings = [], []
    for _ in range(3):
        result = demo(
            "--tasks", "1000", "--workers", "4", "--ledger-close", "5s", duration_s=duration_s or 300
        )
        findings += [
            *once(result),
            on_time(result, "recurring", FIRST_LEDGER_RATIO_MIN),
            on_time(result, "known_first_runs", FIRST_LEDGER_RATIO_MIN),
        ]
        results.append(result)
    return results, findings


def verify_one_second(duration_s: int | None) -> tuple[list[Result], Findings]:
    """1,000 tasks, 4 workers, a guard of 50 ms and 1 s ledgers that close up to 200 ms early or late, 10 minutes.

    All runs of a second are late together, so few ledgers scatter much: 300 of them by more than a hundredth.
    """
    arguments = ("--tasks", "1000", "--workers", "4", "--ledger-close", "1s", "--ledger-jitter", "200ms")
    result = demo(*arguments, "--guard", "50ms", duration_s=duration_s or 600)
    return [result], [*once(result), on_time(result, "recurring", ONE_SECOND_RATIO_MIN)]


def verify_restart(duration_s: int | None) -> tuple[list[Result], Findings]:
    """1,000 tasks of 72 shapes, 5 s ledgers; the engine is started again on its Redis after 150 s, for 150 s more."""
    result = asyncio.run(restarted(duration_s or 150))
    simulations = result["rpc_calls_restarted"].get("simulateTransaction", 0)
    text = (
        f"{simulations} simulations after a restart for {result['tasks']} tasks of {result['shapes']} shapes"
    )
    fits = result["shapes"] == SHAPES and simulations <= SIMULATIONS_AFTER_RESTART_MAX
    return [result], [*once(result), (f"{text}, {SIMULATIONS_AFTER_RESTART_MAX} promised", fits)]


async def restarted(duration_s: int) -> Result:
    """An audited demo whose engine runs twice for so long. Every task falls due within two minutes."""
    options = DemoOptions(
        seed=SeedOptions(1_000, ledger_close_s=5.0, resolvers=0),
        sandbox=SandboxOptions(ledger_close="5s"),
        workers=4,
    )
    with tempfile.TemporaryDirectory(prefix="sorofast-verify-") as directory:
        network = DemoNetwork(options.sandbox, options.seed)
        async with network, Fleet(network, Path(directory)) as fleet, network.evidence() as evidence:
            await network.seed_tasks(lead_s(options))
            await evidence.begin()
            calls = []
            for _ in range(2):
                before = await network.admin.stats()
                async with fleet.run(options.workers) as run:
                    print("$ sorofast run --workers 4, for", duration_s, "s", file=sys.stderr, flush=True)
                    await run.ready()
                    await asyncio.wait([asyncio.ensure_future(run.wait())], timeout=duration_s)
                    until = await network.admin.stats()
                    if run.returncode is not None or await run.stop() != 0:
                        raise SystemExit(f"sorofast run did not end well: {run.failure}")
                calls.append(calls_between(before.rpc_calls, (await network.admin.stats()).rpc_calls))
            await wait_until_quiet(network)
            report = await evidence.report(until.latest_ledger)
    return asdict(report) | {"rpc_calls_first": calls[0], "rpc_calls_restarted": calls[1]}


def verify_reads(duration_s: int | None) -> tuple[list[Result], Findings]:
    """With the same due rate, reads per ledger at 10,000 tasks are those at 100; simulations are counted apart."""
    results = [
        demo(
            "--tasks",
            tasks,
            "--workers",
            "4",
            "--due-per-ledger",
            "20",
            "--ledger-close",
            "1s",
            duration_s=duration_s or 120,
        )
        for tasks in ("100", "10000")
    ]
    few, many = (
        sum(count for name, count in result["rpc_calls_steady"].items() if name not in OTHER_THAN_READS)
        / result["ledgers"]
        for result in results
    )
    text = f"{few:.2f} reads per ledger at 100 tasks, {many:.2f} at 10,000"
    return results, [*once(results[0]), *once(results[1]), (text, many <= few * READS_RATIO_MAX)]


def pytest(*arguments: str) -> tuple[list[Result], Findings]:
    command = [sys.executable, "-m", "pytest", "--verify", *arguments]
    code = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode
    return [], [(f"pytest --verify {' '.join(arguments)} ended with {code}".replace("  ", " "), code == 0)]


def verify_model(_: int | None) -> tuple[list[Result], Findings]:
    """Long random histories of transactions against a model of the ledger."""
    return pytest(MODEL)


def verify_tests(_: int | None) -> tuple[list[Result], Findings]:
    """The other tests that take minutes, and all that do not."""
    return pytest(f"--ignore={MODEL}")


RUNS: dict[str, Callable[[int | None], tuple[list[Result], Findings]]] = {
    "five-seconds": verify_five_seconds,
    "one-second": verify_one_second,
    "restart": verify_restart,
    "reads": verify_reads,
    "model": verify_model,
    "tests": verify_tests,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen_help = "\n".join(f"{name}: {run.__doc__}" for name, run in RUNS.items())
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help=f"one or more of {', '.join(RUNS)}; all by default"
    )
    parser.epilog = chosen_help
    parser.add_argument("--duration", type=int, metavar="SECONDS", help="how long each demo runs")
    given = parser.parse_args(arguments)
    chosen = given.runs or list(RUNS)
    if unknown := [name for name in chosen if name not in RUNS]:
        parser.error(f"no such run: {', '.join(unknown)}")
    report: dict[str, Any] = {"host": platform.platform(), "python": platform.python_version(), "runs": {}}
    holds = True
    for name in chosen:
        results, findings = RUNS[name](given.duration)
        for text, good in findings:
            print(f"{name}: {text}{'' if good else '  <-- does not hold'}", file=sys.stderr, flush=True)
            holds = holds and good
        report["runs"][name] = {"results": results, "findings": findings}
    print(json.dumps({"holds": holds, **report}))
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
