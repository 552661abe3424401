"""`sorofast dead`: executions that failed too often to be tried again by themselves."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options, Whole
from sorofast.cli.output import console, note, print_json, print_pairs, print_table, utc
from sorofast.errors import SorofastError, UsageError
from sorofast.wording import counted

if TYPE_CHECKING:
    from sorofast.views.dead import DeadView
    from sorofast.views.run import RunView

dead_app = App(name="dead", help="List, retry and purge executions that failed too often.")

IDS_SHOWN = 10
RUNS_SHOWN = 10

TaskId = Annotated[Whole | None, Parameter(help="The task whose dead letter is meant.")]
All = Annotated[bool, Parameter(name="--all", help="Every dead letter.", negative="")]
Error = Annotated[str | None, Parameter(help="Every dead letter of this error, as `dead list` names it.")]


@dead_app.command(name="list")
def list_(*, options: Options = DEFAULTS) -> None:
    """List dead letters by error, the most frequent first: tasks whose runs were paid for too often for nothing.

    What fails in a simulation costs nothing and is tried again by itself: `sorofast tasks list --failing` lists that.
    """
    import msgspec

    from sorofast.views.dead import groups_of

    letters = asyncio.run(_read(options))
    groups = groups_of(letters)
    if options.json:
        print_json(
            {
                "count": len(letters),
                "errors": [msgspec.to_builtins(group) for group in groups],
                "dead": [msgspec.to_builtins(letter) for letter in letters],
            }
        )
        return
    if not letters:
        note("there are no dead letters", quiet=options.quiet)
        return
    print_table(
        ["error", "count", "tasks", "last reason"],
        [(group.error, group.count, _some(group.ids), group.reason) for group in groups],
        right=["count"],
    )
    asked = sum(letter.asked is not None for letter in letters)
    if asked:
        note(
            f"{asked} of them {'waits' if asked == 1 else 'wait'} for the fleet to retry or purge {_them(asked)}",
            quiet=options.quiet,
        )
    ends = [letter.tried_again_s for letter in letters if letter.tried_again_s is not None]
    if ends:
        by_itself = "ends by itself" if len(ends) == 1 else "end by themselves"
        note(
            f"{len(ends)} of them {by_itself} at {utc(max(ends))} UTC, since what had no effect may have one tomorrow",
            quiet=options.quiet,
        )


@dead_app.command
def show(
    task_id: Annotated[Whole, Parameter(help="The task whose dead letter is meant.")],
    /,
    *,
    options: Options = DEFAULTS,
) -> None:
    """Show one task's dead letter: why it failed, and how its attempts ended."""
    import msgspec

    letters = _of_task(asyncio.run(_read(options)), task_id)
    runs = asyncio.run(_attempts(options, task_id, {letter.window for letter in letters}))
    if options.json:
        print_json(
            {
                "dead": [msgspec.to_builtins(letter) for letter in letters],
                "attempts": [msgspec.to_builtins(run) for run in runs],
            }
        )
        return
    from sorofast.cli.runs import print_runs

    for letter in letters:
        print_pairs(
            [
                ("task", letter.id),
                ("window", letter.window),
                ("error", letter.error),
                ("reason", letter.reason),
                ("attempts", letter.attempts),
                ("paid failures", letter.failures),
                ("paid without effect", letter.without_effect),
                ("tried again", "when asked" if letter.tried_again_s is None else utc(letter.tried_again_s)),
                *([("asked", letter.asked)] if letter.asked else []),
            ]
        )
    console().print()
    print_runs(runs)


@dead_app.command
def retry(
    task_id: TaskId = None,
    /,
    *,
    everything: All = False,
    error: Error = None,
    options: Options = DEFAULTS,
) -> None:
    """Try dead letters again, with a clean slate. A running fleet takes them up with its next ledger.

    Without a running fleet the request waits for the next one, unless Redis is the embedded one, which runs with it.
    """
    from sorofast.coordination.requests import RETRY

    letters = _chosen(options, task_id, error, everything=everything)
    asyncio.run(_ask(options, RETRY, letters))
    _done(options, letters, "tried again", "retried")


@dead_app.command
def purge(
    task_id: TaskId = None,
    /,
    *,
    everything: All = False,
    error: Error = None,
    yes: Annotated[
        bool, Parameter(name=["--yes", "-y"], help="Do not ask for confirmation.", negative="")
    ] = False,
    options: Options = DEFAULTS,
) -> None:
    """Put dead letters away. Their tasks rest until the next UTC day and are then tried like any others.

    Without a running fleet the request waits for the next one, unless Redis is the embedded one, which runs with it.
    """
    from sorofast.coordination.requests import PURGE
    from sorofast.views.dead import KILLED_WORKERS

    chosen = _chosen(options, task_id, error, everything=everything)
    letters = [letter for letter in chosen if letter.error != KILLED_WORKERS]
    if chosen and not letters:
        raise SorofastError(
            "what killed workers is kept out until a day after the last death; 'sorofast dead retry' lets it in again"
        )
    if letters and not yes:
        _confirm(len(letters))
    asyncio.run(_ask(options, PURGE, letters))
    _done(options, letters, "put away", "purged")


def _chosen(options: Options, task_id: int | None, error: str | None, *, everything: bool) -> list[DeadView]:
    if (task_id is not None) + (error is not None) + everything != 1:
        raise UsageError("name one task, or an error with --error, or --all")
    letters = asyncio.run(_read(options))
    if task_id is not None:
        return _of_task(letters, task_id)
    if error is None:
        return letters
    chosen = [letter for letter in letters if letter.error == error]
    if not chosen:
        known = sorted({letter.error for letter in letters})
        there = f"there are {', '.join(known)}" if known else "there are none at all"
        raise SorofastError(f"no dead letter has the error {error!r}; {there}")
    return chosen


def _of_task(letters: list[DeadView], task_id: int) -> list[DeadView]:
    found = [letter for letter in letters if letter.source == "tasks" and letter.id == task_id]
    if not found:
        raise SorofastError(
            f"task {task_id} has no dead letter; `sorofast tasks explain {task_id}` tells more"
        )
    return found


async def _read(options: Options) -> list[DeadView]:
    from sorofast.views.dead import read_dead

    settings = load(options)
    return await read_dead(settings.redis(), int(settings.get("engine.shards")))


async def _attempts(options: Options, task_id: int, windows: set[int | str]) -> list[RunView]:
    from sorofast.views.run import read_task_runs

    settings = load(options)
    shards = int(settings.get("engine.shards"))
    runs = await read_task_runs(settings.redis(), shards, task_id, RUNS_SHOWN)
    return [run for run in runs if run.window in windows]


async def _ask(options: Options, action: str, letters: list[DeadView]) -> None:
    from sorofast.views.dead import ask_for

    await ask_for(load(options).redis(), action, letters)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{counted(count, 'dead letter')} would be put away; give --yes to do it without being asked"
        )
    sys.stderr.write(f"put away {counted(count, 'dead letter')}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise SorofastError("nothing was put away")


def _done(options: Options, letters: list[DeadView], words: str, name: str) -> None:
    if options.json:
        print_json({name: [letter.execution for letter in letters]})
    elif letters:
        are = "is" if len(letters) == 1 else "are"
        console().print(f"{counted(len(letters), 'dead letter')} {are} {words} by the fleet's next ledger")
    else:
        note("there are no dead letters", quiet=options.quiet)


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _some(ids: list[int | str]) -> str:
    shown = ", ".join(str(one) for one in ids[:IDS_SHOWN])
    return shown if len(ids) <= IDS_SHOWN else f"{shown} and {len(ids) - IDS_SHOWN} more"
