"""`sorofast run`: the engine, in the foreground, until it is told to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from cyclopts import Parameter

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options


def run(
    *,
    workers: Annotated[str | None, Parameter(help="Worker processes, or 'auto' for one per core.")] = None,
    timing: Annotated[
        Literal["eager", "safe"] | None,
        Parameter(help="eager: send what will be due when the next ledger closes. safe: wait until it is."),
    ] = None,
    drain_timeout: Annotated[
        float | None, Parameter(help="Seconds a drain may take before what is in flight is left to the log.")
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Run the engine until it is told to stop.

    SIGTERM or Ctrl-C drains: nothing new is claimed, what is in flight is settled or stays in the write-ahead log, and
    leases are released. A second signal ends it at once.
    """
    settings = load(
        options, {"engine.workers": workers, "engine.timing": timing, "engine.drain_timeout_s": drain_timeout}
    )
    config = settings.engine_config()
    if options.json and "log.format" not in settings.origins:
        # Whoever asks for JSON reads the log by machine too, unless the settings say something else about it.
        config = replace(config, log=replace(config.log, format="json"))
    # Imported after the settings are known to be right: a mistake there should be told at once.
    from sorofast.engine import supervisor
    from sorofast.observability import logs

    logs.configure(config.log.level, config.log.format)
    return supervisor.run(config)
