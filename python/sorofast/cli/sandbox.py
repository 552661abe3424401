"""`sorofast sandbox`: the local network by itself, where every Stellar tool expects one."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import App, Parameter

from sorofast.cli.options import OutputFormat
from sorofast.errors import ConfigError

sandbox_app = App(name="sandbox", help="A local Stellar network for tests and trials.")


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
    )
    arguments = ["start", "--host", host, *options.arguments(), "-o", output]
    if allow_remote:
        arguments.append("--allow-remote")
    if protocol is not None:
        arguments += ["--protocol", str(protocol)]
    binary = str(find_binary())
    try:
        # Nothing is left for this process to do, so it becomes the network: signals and exit code are the
        # binary's.
        os.execv(binary, [binary, *arguments])  # noqa: S606
    except OSError as error:
        raise ConfigError(f"{binary} cannot be started: {error.strerror or error}") from error
