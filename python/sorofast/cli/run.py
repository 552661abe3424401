"""`sorofast run`: the engine, in the foreground, until it is told to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from cyclopts import Parameter

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, LEADING_HYPHEN, Options


def run(
    *,
    workers: Annotated[
        str | None, LEADING_HYPHEN, Parameter(help="Worker processes, or 'auto' for one per core.")
    ] = None,
    timing: Annotated[
        Literal["eager", "safe"] | None,
        Parameter(
            help="eager: send tasks that will be due when the next ledger closes. safe: wait until they are due."
        ),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        Parameter(
            help="Seconds a drain waits for ledgers to settle what is in flight; the log keeps the rest."
        ),
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Run the engine until it is told to stop.

    SIGTERM, Ctrl-C or a closed terminal drains: nothing new is claimed, what is in flight is settled or, after
    --drain-timeout, stays in the write-ahead log for the next run, and leases are released. That takes less than ten
    seconds by default, also when every process of the run is told at once. Another SIGTERM or Ctrl-C, more than a
    second later, ends it at once. Under nohup a closed terminal changes nothing.
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
    try:
        return supervisor.run(config)
    finally:
        logs.settle()
