"""`sorofast sandbox`: the local network by itself, where every Stellar tool expects one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from sorofast.cli.options import LEADING_HYPHEN, OutputFormat, Whole
from sorofast.errors import ConfigError, UsageError

sandbox_app = App(name="sandbox", help="A local Stellar network for tests and trials.")

# The summaries stand here so that help imports no command.
for _path, _summary in (
    ("sandbox_control:advance", "Advance time: close ledgers immediately and move the clock forward."),
    ("sandbox_fault:fault", "Inject faults into the network, from a plan file or by flags."),
    ("sandbox_control:save", "Save the whole state of the network to a file."),
    ("sandbox_control:load", "Replace the whole state of the network by the one in a file."),
    ("sandbox_control:reset", "Reset the network to the ledger it began with."),
    (
        "sandbox_control:accounts",
        "List the accounts that were funded when the network began, with their keys.",
    ),
):
    sandbox_app.command(f"sorofast.cli.{_path}", name=_path.partition(":")[2], help=_summary)

_NETWORK = Group("Network", sort_key=10)
_PACE = Group("Ledgers, time and randomness", sort_key=11)
_RULES = Group("Limits", sort_key=12)
_BEGINNING = Group("Initial state", sort_key=13)
_TROUBLE = Group("Faults", sort_key=14)


@dataclass(frozen=True)
class StartFlags:
    """The options of the binary, under the names that `SandboxOptions` gives them."""

    host: Annotated[str, Parameter(group=_NETWORK, help="Address to listen on.")] = "127.0.0.1"
    allow_remote: Annotated[
        bool,
        Parameter(
            group=_NETWORK,
            negative="",
            help="Allow --host to be an address that other machines can reach. The admin interface has no password.",
        ),
    ] = False
    port: Annotated[
        Whole, Parameter(group=_NETWORK, help="Port for RPC, friendbot and admin; 0 picks a free one.")
    ] = 8000
    network_passphrase: Annotated[
        str | None, Parameter(group=_NETWORK, help="Network passphrase; by default the standalone network's.")
    ] = None
    protocol: Annotated[Whole | None, Parameter(group=_NETWORK, help="Protocol version.")] = None
    ledger_close: Annotated[
        str,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE, help="Time between ledgers; with 0s a ledger closes only when `advance` asks for it."
        ),
    ] = "5s"
    ledger_jitter: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(group=_PACE, help="Random variation of each close time, e.g. 200ms."),
    ] = None
    consensus_delay: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE,
            help="Delay from a ledger's close until it is visible; by default a quarter of --ledger-close.",
        ),
    ] = None
    flood_delay: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE,
            help="Delay before transactions reach the rest of the network, in batches; by default none.",
        ),
    ] = None
    clock: Annotated[
        Literal["system", "manual"],
        Parameter(
            group=_PACE,
            help="`system` is this machine's clock; `manual` moves only by `advance` and needs --ledger-close 0s.",
        ),
    ] = "system"
    start_time: Annotated[
        Whole | None,
        Parameter(
            group=_PACE, help="Close time of the first ledger as a Unix time in seconds; by default now."
        ),
    ] = None
    seed: Annotated[
        Whole | None,
        Parameter(group=_PACE, help="Seed of all randomness; by default drawn at random and printed."),
    ] = None
    limits: Annotated[
        Literal["mainnet", "slp7", "testnet", "unlimited"] | None,
        Parameter(group=_RULES, help="Transaction and ledger limits; by default the public network's."),
    ] = None
    retention: Annotated[
        Whole | None,
        Parameter(group=_RULES, help="How many ledgers the RPC keeps; by default a week of them."),
    ] = None
    accounts: Annotated[
        Whole | None,
        Parameter(
            group=_BEGINNING,
            help="Number of accounts with 10,000 XLM and publicly known keys; by default 10.",
        ),
    ] = None
    seed_tasks: Annotated[
        Whole | None,
        Parameter(group=_BEGINNING, help="Create task registries with this many tasks in total."),
    ] = None
    seed_task_interval: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(group=_BEGINNING, help="Range of the seeded tasks' intervals, e.g. 20s-120s."),
    ] = None
    seed_task_generations: Annotated[
        str | None, Parameter(group=_BEGINNING, help="Generations of TaskConfig to seed, e.g. G0,G4.")
    ] = None
    load: Annotated[
        str | None,
        Parameter(group=_BEGINNING, help="Start from this state file, written by `sorofast sandbox save`."),
    ] = None
    faults: Annotated[
        str | None, Parameter(group=_TROUBLE, help="Fault plan to start with, in TOML or JSON.")
    ] = None
    replicas: Annotated[
        Whole | None,
        Parameter(
            group=_TROUBLE,
            help="Number of extra RPC servers of the same ledger, on ports of their own; faults can make them lag.",
        ),
    ] = None


_DEFAULTS = StartFlags()


@sandbox_app.command
def start(
    *,
    flags: Annotated[StartFlags, Parameter(name="*")] = _DEFAULTS,
    output: Annotated[
        OutputFormat, Parameter(name=("--output", "-o"), help="Output format of the lines with the URLs.")
    ] = "table",
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show=False)] = False,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="", show=False)] = False,
) -> None:
    """Start a local network: JSON-RPC at / and /rpc, friendbot at /friendbot, admin at /admin.

    It runs until Ctrl-C, and its state is in memory. When it is ready it prints where it is; with -o json as one
    line: rpc_url, admin_url, friendbot_url, network_passphrase, pid, seed, …
    """
    del quiet, verbose  # accepted like everywhere; the network has nothing to leave out
    from sorofast.sandbox.process import SandboxOptions, find_binary

    _check_files(flags)
    options = SandboxOptions(**vars(flags))
    binary = str(find_binary())
    try:
        # Nothing is left for this process to do, so it becomes the network: signals and exit code are the
        # binary's.
        os.execv(binary, [binary, "start", *options.arguments(), "-o", output])  # noqa: S606
    except OSError as error:
        raise ConfigError(f"{binary} cannot be started: {error.strerror or error}") from error


def _check_files(flags: StartFlags) -> None:
    """What can be told of them in one line before the network starts."""
    for option, file in (("--load", flags.load), ("--faults", flags.faults)):
        if file is not None and not Path(file).exists():
            raise UsageError(f"{option} {file}: file not found")
    if flags.load is None:
        return
    for option, value in (
        ("--seed", flags.seed),
        ("--start-time", flags.start_time),
        ("--accounts", flags.accounts),
        ("--seed-tasks", flags.seed_tasks),
    ):
        if value is not None:
            raise UsageError(f"{option} cannot be combined with --load: the saved state already has one")
