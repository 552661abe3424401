"""`sorofast sandbox`: the local network by itself, where every Stellar tool expects one."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from cyclopts import App, Parameter

from sorofast.cli.options import OutputFormat
from sorofast.errors import ConfigError

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


@sandbox_app.command
def start(
    *,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool,
        Parameter(negative="", help="Let HOST be no loopback address. The admin interface has no password."),
    ] = False,
    port: Annotated[int, Parameter(help="Port for RPC, friendbot and admin; 0 takes a free one.")] = 8000,
    ledger_close: Annotated[
        str, Parameter(help="Time from one ledger to the next; 0s closes them only on the admin call.")
    ] = "5s",
    ledger_jitter: Annotated[str | None, Parameter(help="How far a ledger may close from its time.")] = None,
    consensus_delay: Annotated[
        str | None,
        Parameter(help="From a ledger's close to when it is visible; a quarter of the close by default."),
    ] = None,
    network_passphrase: Annotated[
        str | None, Parameter(help="The standalone network's unless given.")
    ] = None,
    protocol: Annotated[int | None, Parameter(help="Protocol version.")] = None,
    seed: Annotated[
        int | None, Parameter(help="What all chance follows from; drawn at random and told unless given.")
    ] = None,
    clock: Annotated[
        Literal["system", "manual"],
        Parameter(help="`manual` stands still until an advance moves it; it needs --ledger-close 0s."),
    ] = "system",
    start_time: Annotated[
        int | None, Parameter(help="Close time of the first ledger in seconds since 1970; now unless given.")
    ] = None,
    output: Annotated[
        OutputFormat, Parameter(name=("--output", "-o"), help="How the line with the URLs is printed.")
    ] = "table",
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show=False)] = False,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative="", show=False)] = False,
) -> None:
    """Start a local network: JSON-RPC at / and /rpc, friendbot at /friendbot, admin at /admin. Ctrl-C ends
    it.

    State is in memory. When it is ready it prints where it is; with -o json as one line: rpc_url,
    admin_url, friendbot_url, network_passphrase, pid.
    """
    del quiet, verbose  # accepted like everywhere; the network has nothing to leave out
    from sorofast.sandbox.process import SandboxOptions, find_binary

    options = SandboxOptions(
        port=port,
        ledger_close=ledger_close,
        ledger_jitter=ledger_jitter,
        consensus_delay=consensus_delay,
        network_passphrase=network_passphrase,
        seed=seed,
        clock=clock,
        start_time=start_time,
        protocol=protocol,
        host=host,
        allow_remote=allow_remote,
    )
    arguments = ["start", *options.arguments(), "-o", output]
    binary = str(find_binary())
    try:
        # Nothing is left for this process to do, so it becomes the network: signals and exit code are the
        # binary's.
        os.execv(binary, [binary, *arguments])  # noqa: S606
    except OSError as error:
        raise ConfigError(f"{binary} cannot be started: {error.strerror or error}") from error
