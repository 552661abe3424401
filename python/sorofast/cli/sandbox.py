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
    ("sandbox_control:advance", "Let time pass: close ledgers at once, with the clock moved on."),
    ("sandbox_fault:fault", "Break the network the way networks break: by a plan in a file, or by flags."),
    ("sandbox_control:save", "Save the whole state of the network to a file."),
    ("sandbox_control:load", "Replace the whole state of the network by the one in a file."),
    ("sandbox_control:reset", "Take the network back to the ledger it began with."),
    (
        "sandbox_control:accounts",
        "List the accounts that were funded when the network began, with their keys.",
    ),
):
    sandbox_app.command(f"sorofast.cli.{_path}", name=_path.partition(":")[2], help=_summary)

_NETWORK = Group("Where it listens, and which network it is", sort_key=10)
_PACE = Group("Ledgers, time and chance", sort_key=11)
_RULES = Group("The network's rules", sort_key=12)
_BEGINNING = Group("What there is in the beginning", sort_key=13)
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
            help="Let HOST be no loopback address. The admin interface has no password.",
        ),
    ] = False
    port: Annotated[
        Whole, Parameter(group=_NETWORK, help="Port for RPC, friendbot and admin; 0 takes a free one.")
    ] = 8000
    network_passphrase: Annotated[
        str | None, Parameter(group=_NETWORK, help="The standalone network's unless given.")
    ] = None
    protocol: Annotated[Whole | None, Parameter(group=_NETWORK, help="Protocol version.")] = None
    ledger_close: Annotated[
        str,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE, help="Time from one ledger to the next; 0s closes them only on the admin call."
        ),
    ] = "5s"
    ledger_jitter: Annotated[
        str | None, LEADING_HYPHEN, Parameter(group=_PACE, help="How far a ledger may close from its time.")
    ] = None
    consensus_delay: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE,
            help="From a ledger's close to when it is visible; a quarter of the close by default.",
        ),
    ] = None
    flood_delay: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(
            group=_PACE,
            help="Transactions reach the rest of the network in slices, and so much later; at once unless given.",
        ),
    ] = None
    clock: Annotated[
        Literal["system", "manual"],
        Parameter(
            group=_PACE, help="`manual` stands still until an advance moves it; it needs --ledger-close 0s."
        ),
    ] = "system"
    start_time: Annotated[
        Whole | None,
        Parameter(
            group=_PACE, help="Close time of the first ledger in seconds since 1970; now unless given."
        ),
    ] = None
    seed: Annotated[
        Whole | None,
        Parameter(group=_PACE, help="What all chance follows from; drawn at random, and told, unless given."),
    ] = None
    limits: Annotated[
        Literal["mainnet", "slp7", "testnet", "unlimited"] | None,
        Parameter(
            group=_RULES, help="Limits of transactions and ledgers; the public network's unless given."
        ),
    ] = None
    retention: Annotated[
        Whole | None,
        Parameter(group=_RULES, help="How many ledgers the RPC remembers; a week's unless given."),
    ] = None
    accounts: Annotated[
        Whole | None,
        Parameter(group=_BEGINNING, help="Accounts with 10,000 XLM and keys known to all; 10 unless given."),
    ] = None
    seed_tasks: Annotated[
        Whole | None, Parameter(group=_BEGINNING, help="Task registries with so many tasks in all.")
    ] = None
    seed_task_interval: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(group=_BEGINNING, help="Range of those tasks' intervals, as 20s-120s."),
    ] = None
    seed_task_generations: Annotated[
        str | None, Parameter(group=_BEGINNING, help="Generations of TaskConfig those are of, as G0,G4.")
    ] = None
    load: Annotated[
        str | None, Parameter(group=_BEGINNING, help="A state file, from `sorofast sandbox save`.")
    ] = None
    faults: Annotated[str | None, Parameter(group=_TROUBLE, help="A fault plan, TOML or JSON.")] = None
    replicas: Annotated[
        Whole | None,
        Parameter(group=_TROUBLE, help="RPC servers of the same ledger on further ports, to lag and flap."),
    ] = None


_DEFAULTS = StartFlags()


@sandbox_app.command
def start(
    *,
    flags: Annotated[StartFlags, Parameter(name="*")] = _DEFAULTS,
    output: Annotated[
        OutputFormat, Parameter(name=("--output", "-o"), help="How the lines with the URLs are printed.")
    ] = "table",
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show=False)] = False,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="", show=False)] = False,
) -> None:
    """Start a local network: JSON-RPC at / and /rpc, friendbot at /friendbot, admin at /admin. Ctrl-C ends
    it.

    State is in memory. When it is ready it prints where it is; with -o json as one line: rpc_url,
    admin_url, friendbot_url, network_passphrase, pid, seed, …
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
            raise UsageError(f"{option} {file}: there is no such file")
    if flags.load is None:
        return
    for option, value in (
        ("--seed", flags.seed),
        ("--start-time", flags.start_time),
        ("--accounts", flags.accounts),
        ("--seed-tasks", flags.seed_tasks),
    ):
        if value is not None:
            raise UsageError(f"{option} cannot be given with --load: a saved state has its own")
