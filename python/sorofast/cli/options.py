"""The options every command takes, and what they mean for the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from sorofast.errors import UsageError

if TYPE_CHECKING:
    from cyclopts import Token

OutputFormat = Literal["table", "json"]
LogFormat = Literal["console", "json"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_U64_MAX = 2**64 - 1


def _whole(kind: type[int], tokens: Sequence[Token]) -> int:
    """A whole number as written; cyclopts by itself would round 1.5 to 2."""
    del kind
    text = tokens[0].value
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


# What every command takes where it takes a number of things.
Whole = Annotated[int, Parameter(converter=_whole)]
TaskId = Annotated[Whole, Parameter(help="Number of the task, as `sorofast tasks list` shows it.")]
# A duration with a minus in front is refused as a duration, not taken for an option that was left empty.
LEADING_HYPHEN = Parameter(allow_leading_hyphen=True)

_GROUP = Group("Global options", sort_key=90)


def _option(*names: str, text: str) -> Parameter:
    return Parameter(name=names, help=text, group=_GROUP, negative="")


@dataclass(frozen=True)
class GlobalOptions:
    """Options shared by all commands. They win over environment variables, the settings file and the defaults."""

    config: Annotated[
        Path | None, _option("--config", "-c", text="Settings file; by default ./sorofast.toml if it exists.")
    ] = None
    rpc_url: Annotated[str | None, _option("--rpc-url", text="URL of the Stellar RPC server.")] = None
    network_passphrase: Annotated[
        str | None, _option("--network-passphrase", text="Passphrase of the network behind the RPC server.")
    ] = None
    contract_id: Annotated[
        str | None, _option("--contract-id", text="The registry contract, as a C… address.")
    ] = None
    redis_url: Annotated[
        str | None, _option("--redis-url", text="Redis or Valkey: redis://…, unix://… or 'embedded'.")
    ] = None
    output: Annotated[OutputFormat, _option("--output", "-o", text="Output format of results.")] = "table"
    verbose: Annotated[bool, _option("--verbose", "-v", text="Log more, and show tracebacks of errors.")] = (
        False
    )
    quiet: Annotated[bool, _option("--quiet", "-q", text="Print no progress and log only warnings.")] = False
    log_format: Annotated[LogFormat | None, _option("--log-format", text="Format of the log on stderr.")] = (
        None
    )

    @property
    def json(self) -> bool:
        """Whether results and errors are JSON."""
        return self.output == "json"


Options = Annotated[GlobalOptions, Parameter(name="*")]
DEFAULTS = GlobalOptions()

# Options that take a value, and flags, as they may stand before the command (`sorofast -c x.toml status`).
VALUE_OPTIONS = frozenset(
    {
        "-c",
        "--config",
        "--rpc-url",
        "--network-passphrase",
        "--contract-id",
        "--redis-url",
        "-o",
        "--output",
        "--log-format",
    }
)
FLAGS = frozenset({"-v", "--verbose", "-q", "--quiet"})


def options_last(arguments: list[str]) -> list[str]:
    """Move shared options written before the command to the end of its arguments, where the command parses them."""
    leading: list[str] = []
    rest = list(arguments)
    while rest:
        name, _, value = rest[0].partition("=")
        if rest[0] in FLAGS or (name in VALUE_OPTIONS and value):
            leading.append(rest.pop(0))
        elif rest[0] in VALUE_OPTIONS and len(rest) > 1:
            leading += rest[:2]
            del rest[:2]
        else:
            break
    if not rest or rest[0].startswith("-"):
        return list(arguments)
    end = rest.index("--") if "--" in rest else len(rest)
    return rest[:end] + leading + rest[end:]


def peek(arguments: list[str]) -> tuple[OutputFormat, bool]:
    """Output format and verbosity as far as they can be told without parsing: how an error in the parsing is shown."""
    output: OutputFormat = "table"
    verbose = False
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        if argument in {"-o=json", "-ojson", "--output=json"} or (
            argument in {"-o", "--output"} and following == "json"
        ):
            output = "json"
        elif argument in {"-v", "--verbose"}:
            verbose = True
    return output, verbose


def check_task_id(task_id: int) -> None:
    """UsageError for a number that no task can have."""
    if not 1 <= task_id <= _U64_MAX:
        raise UsageError(f"{task_id} is not a task id; task ids are whole numbers from 1")
