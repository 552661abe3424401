"""What can be done to a sandbox that runs: its clock, state and accounts. `sandbox_fault` breaks it."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from sorofast.cli.options import LEADING_HYPHEN, OutputFormat, Whole
from sorofast.cli.output import note, print_json, print_pairs, print_table, utc, xlm
from sorofast.errors import UnreachableError

if TYPE_CHECKING:
    from sorofast.sandbox.answers import Moment
    from sorofast.sandbox.blocking_client import BlockingAdminClient

_GROUP = Group("Sandbox address and output", sort_key=90)
# SDKs give a transaction some minutes by this machine's clock.
_AHEAD_S = 60


@dataclass(frozen=True)
class ControlOptions:
    """Options shared by the commands that speak to a running sandbox."""

    url: Annotated[
        str | None,
        Parameter(
            name="--url",
            group=_GROUP,
            help="URL of the sandbox; by default $SOROFAST_SANDBOX_URL or http://localhost:8000.",
        ),
    ] = None
    output: Annotated[
        OutputFormat, Parameter(name=("--output", "-o"), group=_GROUP, help="Output format.")
    ] = "table"
    quiet: Annotated[
        bool, Parameter(name=("--quiet", "-q"), negative="", group=_GROUP, help="Print only the result.")
    ] = False
    verbose: Annotated[
        bool,
        Parameter(name=("--verbose", "-v"), negative="", group=_GROUP, help="Show tracebacks of errors."),
    ] = False

    @property
    def json(self) -> bool:
        """Whether the result is JSON."""
        return self.output == "json"


Options = Annotated[ControlOptions, Parameter(name="*")]
DEFAULTS = ControlOptions()


def connect(options: ControlOptions) -> BlockingAdminClient:
    """A client for the sandbox that is meant. UnreachableError says how to start one."""
    from sorofast.sandbox.blocking_client import BlockingAdminClient
    from sorofast.sandbox.find import find_url

    url = find_url(options.url)
    client = BlockingAdminClient(f"{url}/admin")
    try:
        client.stats()
    except UnreachableError as error:
        raise UnreachableError(
            f"no sandbox answers at {url} ({error.__cause__ or error}); start one with `sorofast sandbox start`, or "
            "name another with --url or SOROFAST_SANDBOX_URL"
        ) from error
    return client


def _show_moment(moment: Moment, options: ControlOptions) -> None:
    shown: dict[str, object] = {"latest_ledger": moment.latest_ledger, "close_time": moment.close_time}
    if moment.ledgers_closed is not None:
        shown["ledgers_closed"] = moment.ledgers_closed
    if options.json:
        print_json(shown)
        return
    shown["close_time"] = f"{utc(moment.close_time)} UTC"
    print_pairs([(name.replace("_", " "), value) for name, value in shown.items()])


def advance(
    *,
    ledgers: Annotated[
        Whole | None,
        Parameter(help="Number of ledgers to close; by default 1, or as many as --spread needs."),
    ] = None,
    time: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(help="How far to move the ledger's clock forward: 500ms, 5s, 2m, 3h or 30d."),
    ] = None,
    spread: Annotated[
        bool,
        Parameter(
            negative="",
            help="Spread --time evenly over the ledgers instead of moving the clock before the first; without "
            "--ledgers, one ledger closes per five seconds.",
        ),
    ] = False,
    options: Options = DEFAULTS,
) -> None:
    """Advance time: close ledgers immediately and move the clock forward.

    The lifetime of entries is counted in ledgers and the interval of tasks in seconds, so a month needs both:
    `sorofast sandbox advance --time 30d --spread`.
    """
    from sorofast.sandbox.durations import ledgers_to_close, parse_span_s

    seconds = 0.0 if time is None else parse_span_s(time, "--time")
    count = ledgers_to_close(ledgers, seconds, spread=spread, dashes="--")
    moment = connect(options).advance(count, seconds, spread=spread)
    _show_moment(moment, options)
    if seconds and moment.close_time > clock.time() + _AHEAD_S:
        note(
            "The ledger's clock is ahead of this machine's: transactions whose time bounds come from this machine "
            "(most SDKs' timeouts) fail with txTOO_LATE. Count from the latest close time, or set no time bounds.",
            quiet=options.quiet,
        )


def save(file: Annotated[Path, Parameter(help="File to write.")], /, *, options: Options = DEFAULTS) -> None:
    """Save the whole state of the network to FILE, for `load` or for `start --load`."""
    count = connect(options).save(file)
    if options.json:
        print_json({"file": str(file), "bytes": count})
    else:
        print_pairs([("file", file), ("bytes", count)])


def load(
    file: Annotated[Path, Parameter(help="File that `save` wrote.")], /, *, options: Options = DEFAULTS
) -> None:
    """Replace the whole state of the network by the one in FILE. A fault plan that is in force begins anew."""
    _show_moment(connect(options).load(file), options)


def reset(*, options: Options = DEFAULTS) -> None:
    """Reset the network to the ledger it began with. Flags stay as they are, and a fault plan begins anew.

    What the plan has done, a stall for instance, it does again; `sorofast sandbox fault --clear` removes it.
    """
    _show_moment(connect(options).reset(), options)


def accounts(*, options: Options = DEFAULTS) -> None:
    """List the accounts that were funded when the network began, with their keys.

    The keys are derived from the network's passphrase and known to everybody: never use them elsewhere.
    """
    found = connect(options).accounts()
    if options.json:
        from msgspec import to_builtins

        print_json(to_builtins(found), public_seeds=True)
        return
    print_table(
        ["", "public key", "secret key", "XLM"],
        [
            (
                index,
                account.public_key,
                account.secret_key,
                None if account.balance_stroops is None else xlm(account.balance_stroops),
            )
            for index, account in enumerate(found.accounts)
        ],
        right=["", "XLM"],
        public_seeds=True,
    )
    note("These keys are public: never use them on a public network.", quiet=options.quiet)
