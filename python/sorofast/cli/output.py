"""What commands print: results to stdout as a table or JSON, errors and progress to stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from sorofast.redaction import redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_INT64 = range(-(2**63), 2**64)
_PIPE_WIDTH = 4096  # nobody reads a pipe by the eye: rows are never folded there
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
STROOPS_PER_XLM = 10_000_000


def print_json(value: object, stream: TextIO | None = None, *, public_seeds: bool = False) -> None:
    """One JSON value on one line. Integers beyond 64 bits (i128 balances) become strings.

    `public_seeds`: the seeds in it are meant to be read by everybody, as those of a local network's accounts are.
    """
    out = stream or sys.stdout
    text = orjson.dumps(_plain(value)).decode()
    out.write((text if public_seeds else redact(text)) + "\n")
    out.flush()


def _plain(value: object) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "__struct_fields__"):
        return _plain(fields_of(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (str, float)):
        return value
    return str(value)


def fields_of(view: Any) -> dict[str, Any]:
    """The fields of a view by name, without those that do not apply."""
    from msgspec import UNSET

    pairs = ((name, getattr(view, name)) for name in view.__struct_fields__)
    return {name: value for name, value in pairs if value is not UNSET}


def console(stream: TextIO | None = None) -> Console:
    """A console for `stream` (stdout by default): colour and folding for a terminal, plain wide lines for a pipe."""
    from rich.console import Console

    out = stream or sys.stdout
    terminal = out.isatty()
    return Console(
        file=out,
        no_color=None if terminal else True,
        width=None if terminal else _PIPE_WIDTH,
        highlight=False,
        soft_wrap=False,
        markup=False,
        emoji=False,
    )


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    title: str | None = None,
    public_seeds: bool = False,
) -> None:
    """A table with a heading line. Columns named in `right` are aligned right; None prints as an empty cell.
    `public_seeds` as for `print_json`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=title, title_justify="left", header_style="bold")
    for name in columns:
        # Ids and numbers are useless when folded, so only free text gives way on a narrow terminal.
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=name in right, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(_visible(cell, public_seeds=public_seeds)) for cell in row))
    _show(table)


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(Text(name), Text(_visible(value)))
    _show(table)


def _visible(cell: object, *, public_seeds: bool = False) -> str:
    """A cell's text. Names and reasons come from contracts and servers, which must not steer the terminal."""
    text = "" if cell is None else str(cell)
    return (text if public_seeds else redact(text)).translate(_CONTROL)


def _show(table: Table) -> None:
    """Prints a table to stdout. Its cells are padded to their column, which a pipe has no use for at the line's end."""
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def print_error(error: BaseException, *, exit_code: int, as_json: bool, verbose: bool) -> None:
    """The line an error gives, on stderr; its traceback only when asked for.

    A settings file may have several mistakes. Their error has a line for each, so that all can be mended at once. Where
    nobody reads stderr, the command ends all the same.
    """
    # Not before: no command that ends well needs it.
    from sorofast.observability.logs import write_last

    lines = [one_line(line) for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = "".join(f"error: {line}\n" for line in lines)
    if as_json:
        body = {"kind": type(error).__name__, "message": "; ".join(lines), "exit_code": exit_code}
        text = redact(orjson.dumps(_plain({"error": body})).decode()) + "\n"
    if verbose:
        text += redact("".join(traceback.format_exception(error)))
    write_last(text)


def one_line(text: str) -> str:
    """Text without line breaks, control characters and secrets."""
    return redact(" ".join(text.split())).translate(_CONTROL)


def note(text: str, *, quiet: bool = False) -> None:
    """A line about what is going on, for people: stderr, not part of the result."""
    if not quiet:
        sys.stderr.write(one_line(text) + "\n")
        sys.stderr.flush()


def xlm(stroops: int) -> str:
    """Stroops as XLM with seven decimals, exactly."""
    sign = "-" if stroops < 0 else ""
    whole, rest = divmod(abs(stroops), STROOPS_PER_XLM)
    return f"{sign}{whole}.{rest:07d}"


def utc(seconds: int) -> str:
    """A Unix time as UTC text; times no calendar holds are shown as the number they are."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def duration(seconds: int) -> str:
    """Seconds as the largest two units that matter: `45s`, `5m`, `2h 30m`, `3d 4h`."""
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) if parts else "0s"
