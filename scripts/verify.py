"""The long runs behind the promises: `make verify`, or `make verify ARGS='reads'` for one of them.

Most runs are `sorofast demo`, whose counts come from the ledger. A line says what was measured and whether it holds;
the last line is one JSON object with everything. Exit code 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOROFAST = Path(sys.executable).parent / "sorofast"
FIRST_LEDGER_RATIO_MIN = 0.95
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


def recurring(result: Result) -> tuple[str, float]:
    late = result["ledgers_late"]["recurring"]
    ratio = float(late["zero_ratio"] or 0.0)
    return f"{ratio:.4f} of {late['count']} recurring runs in the first eligible ledger", ratio


def verify_five_seconds() -> tuple[list[Result], Findings]:
    """1,000 tasks, 4 workers, 5 s ledgers, 5 minutes, three starts."""
    results, findings = [], []
    for _ in range(3):
        result = demo("--tasks", "1000", "--workers", "4", "--ledger-close", "5s", duration_s=300)
        text, ratio = recurring(result)
        findings += [*once(result), (text, ratio >= FIRST_LEDGER_RATIO_MIN)]
        results.append(result)
    return results, findings


def verify_one_second() -> tuple[list[Result], Findings]:
    """The same with 1 s ledgers that close early or late; the ratio is reported, not judged."""
    arguments = ("--tasks", "1000", "--workers", "4", "--ledger-close", "1s", "--ledger-jitter", "200ms")
    result = demo(*arguments, duration_s=300)
    return [result], [*once(result), (recurring(result)[0], True)]


def verify_reads() -> tuple[list[Result], Findings]:
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
            duration_s=120,
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


def verify_model() -> tuple[list[Result], Findings]:
    """Long random histories of transactions against a model of the ledger."""
    return pytest(MODEL)


def verify_tests() -> tuple[list[Result], Findings]:
    """The other tests that take minutes, and all that do not."""
    return pytest(f"--ignore={MODEL}")


RUNS: dict[str, Callable[[], tuple[list[Result], Findings]]] = {
    "five-seconds": verify_five_seconds,
    "one-second": verify_one_second,
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
    chosen = parser.parse_args(arguments).runs or list(RUNS)
    if unknown := [name for name in chosen if name not in RUNS]:
        parser.error(f"no such run: {', '.join(unknown)}")
    report: dict[str, Any] = {"host": platform.platform(), "python": platform.python_version(), "runs": {}}
    holds = True
    for name in chosen:
        results, findings = RUNS[name]()
        for text, good in findings:
            print(f"{name}: {text}{'' if good else '  <-- does not hold'}", file=sys.stderr, flush=True)
            holds = holds and good
        report["runs"][name] = {"results": results, "findings": findings}
    print(json.dumps({"holds": holds, **report}))
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
