"""The command line's root: which commands there are, and how every one of them ends.

Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration, 4 unreachable. They are decided here and nowhere else: a command
raises, this prints one line and exits with the error's code.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from sorofast.cli.options import options_last, peek
from sorofast.errors import SorofastError, UsageError
from sorofast.redaction import refuse_secrets_in_argv

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

# (import path, name, summary): the summary stands here so that help imports no command.
COMMANDS = (
    (
        "sorofast.cli.demo:demo",
        "demo",
        "Run a local network, a registry and a fleet, and watch tasks being executed.",
    ),
    ("sorofast.cli.run:run", "run", "Run the engine until it is told to stop (SIGTERM or Ctrl-C drains)."),
    ("sorofast.cli.status:status", "status", "Show what the fleet is doing."),
    ("sorofast.cli.tasks:tasks_app", "tasks", "List, show, explain and register tasks, and give them gas."),
    ("sorofast.cli.runs:runs", "runs", "Show how the fleet's newest executions ended."),
    ("sorofast.cli.dead:dead_app", "dead", "List, retry and purge executions that failed too often."),
    ("sorofast.cli.channels:channels_app", "channels", "Create and list the channel accounts."),
    (
        "sorofast.cli.doctor:doctor",
        "doctor",
        "Check everything a run needs, and show how to fix each problem.",
    ),
    ("sorofast.cli.config:config_app", "config", "Show the settings in effect and where each comes from."),
    ("sorofast.cli.sandbox:sandbox_app", "sandbox", "A local Stellar network for tests and trials."),
)


def build_app() -> App:
    """The cyclopts application; commands are imported when they are first used."""
    from cyclopts import App

    app = App(
        name="sorofast",
        help="A keeper engine for large task registries on Stellar's Soroban.",
        version=version_line,
        version_flags=["--version", "-V"],
        suppress_keyboard_interrupt=False,
    )
    for path, name, summary in COMMANDS:
        app.command(path, name=name, help=summary)
    return app


def version_line() -> str:
    """`sorofast 0.1.0 (core 0.1.0, Python 3.11.7)`."""
    import platform

    from sorofast import __version__

    try:
        from sorofast import _core

        core = _core.CORE_VERSION
    except ImportError:
        core = "not built"
    return f"sorofast {__version__} (core {core}, Python {platform.python_version()})"


def execute(arguments: list[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    output, verbose = peek(arguments)
    as_json = output == "json"
    try:
        refuse_secrets_in_argv(arguments)
        return _dispatch(arguments)
    except SorofastError as error:
        return _fail(error, error.exit_code, as_json=as_json, verbose=verbose)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`… | head`). Python would complain again when it flushes stdout at exit.
        _let_go_of(sys.stdout)
        return EXIT_OK
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return _fail(_internal(error, verbose=verbose), EXIT_FAILURE, as_json=as_json, verbose=verbose)
        _let_go_of(sys.stdout)
        where = error.filename or "the output"
        told = SorofastError(f"{where} cannot be written: {error.strerror}")
        return _fail(told, EXIT_FAILURE, as_json=as_json, verbose=verbose)
    except Exception as error:  # noqa: BLE001 - the last stop before the interpreter prints a traceback
        return _fail(_internal(error, verbose=verbose), EXIT_FAILURE, as_json=as_json, verbose=verbose)


def _internal(error: Exception, *, verbose: bool) -> RuntimeError:
    """Nothing else is expected, so this is a mistake of ours; says so instead of a traceback."""
    hint = "" if verbose else "; run the command again with -v for the traceback"
    shown = RuntimeError(f"internal error, {type(error).__name__}: {error}{hint}")
    shown.__cause__ = error
    return shown


def _dispatch(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    app = build_app()
    try:
        result = app(
            options_last(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        raise UsageError(f"{_whose(error)}{error} Try --help for the commands and options.") from error
    return result if isinstance(result, int) else EXIT_OK


def _whose(error: CycloptsError) -> str:
    """The positional argument that a value was meant for: unlike options, the library does not name those."""
    from cyclopts import CoercionError

    argument = error.argument if isinstance(error, CoercionError) else None
    if argument is None or argument.index is None or argument.name in str(error):
        return ""
    return f"{argument.name}: "


def _fail(error: BaseException, exit_code: int, *, as_json: bool, verbose: bool) -> int:
    from sorofast.cli.output import print_error

    try:
        print_error(error, exit_code=exit_code, as_json=as_json, verbose=verbose)
    except OSError:
        # A message that nobody takes is lost; what ends with it still has its exit code.
        _let_go_of(sys.stderr)
    return exit_code


def _let_go_of(stream: TextIO) -> None:
    """What is left in its buffer goes nowhere, or Python would complain again when it flushes it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _open_standard_streams() -> None:
    """Whoever starts us may have closed some of them. A file or connection that took such a number would get what is
    meant for people.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def main() -> NoReturn:
    """Entry point of the `sorofast` command."""
    _open_standard_streams()
    code = execute(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _let_go_of(stream)
    sys.exit(code)
