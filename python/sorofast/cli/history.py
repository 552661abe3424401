"""`sorofast tasks history` and `sorofast tasks explain`: what became of one task's executions, and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sorofast.cli.context import checked_rpc, keeper_key, load, require_for_chain
from sorofast.cli.options import DEFAULTS, Options, TaskId, Whole, check_task_id
from sorofast.cli.output import console, note, print_json, print_pairs, utc
from sorofast.cli.runs import COUNT_MAX, print_runs
from sorofast.errors import SorofastError, UsageError

if TYPE_CHECKING:
    from sorofast.settings import Settings
    from sorofast.views.explanation import Explanation

Count = Annotated[Whole, Parameter(help="Maximum number of executions to show.")]


def history(task_id: TaskId, /, *, count: Count = 20, options: Options = DEFAULTS) -> None:
    """Show how the newest executions of one task ended: outcome, ledger, ledgers late, fee and reason.

    The fleet keeps about the newest 10,000 of each shard. Where it knows of no run, the chain is asked whether there is
    such a task.
    """
    import msgspec

    from sorofast.views.run import read_task_runs, remembered_since

    _check(task_id, count)
    settings = load(options)
    config, shards = settings.redis(), int(settings.get("engine.shards"))
    found = asyncio.run(read_task_runs(config, shards, task_id, count))
    if not found and asyncio.run(_exists(settings, task_id)) is False:
        raise SorofastError(
            f"task {task_id} does not exist in contract {settings.contract().id}, and no run of it is remembered"
        )
    if options.json:
        print_json([msgspec.to_builtins(run) for run in found])
    elif found:
        print_runs(found)
    if not found:
        since_s = asyncio.run(remembered_since(config, shards, task_id))
        back = "holds nothing yet" if since_s is None else f"goes back to {utc(since_s)}"
        note(f"no run of task {task_id} is remembered; the history of its shard {back}", quiet=options.quiet)


async def _exists(settings: Settings, task_id: int) -> bool | None:
    """Whether the registry has that task; None where nobody can be asked."""
    from sorofast.registry.store import Registry

    try:
        require_for_chain(settings, contract=True)
        async with checked_rpc(settings.network()) as rpc:
            registry = Registry(rpc, settings.contract().id, bytes(32))
            return bool([task async for task in registry.tasks([task_id])])
    except SorofastError:
        return None


def explain(task_id: TaskId, /, *, count: Count = 10, options: Options = DEFAULTS) -> None:
    """Explain why one task ran, or why it did not: what it waits for now, and how its newest executions ended.

    The run of a task that is due, with nothing recorded of it, is simulated.
    """
    import msgspec

    from sorofast.registry.store import Registry
    from sorofast.views.explanation import read_explanation
    from sorofast.views.restores import read_needs
    from sorofast.views.task import read_task

    _check(task_id, count)
    settings = load(options)
    require_for_chain(settings, contract=True)
    network, contract, keeper = settings.network(), settings.contract(), keeper_key(settings)
    config, shards = settings.redis(), int(settings.get("engine.shards"))
    failures_max = int(settings.get("retry.max_attempts"))

    async def read() -> Explanation:
        async with checked_rpc(network) as rpc:
            now_s = (await rpc.get_health()).close_time_s
            registry = Registry(rpc, contract.id, keeper)
            tasks = [task async for task in registry.tasks([task_id])]
        if not tasks:
            raise SorofastError(
                f"task {task_id} does not exist in contract {contract.id}: it was cancelled, or never registered"
            )
        told = await read_explanation(config, shards, tasks[0], now_s, count, paid_failures_max=failures_max)
        if told.state != "due":
            return told
        # What fails for nothing, in a simulation, is in no record: the same simulation tells.
        async with checked_rpc(network) as rpc:
            needs = await read_needs(config, shards)
            detail, _ = await read_task(rpc, network.passphrase, contract.id, keeper, task_id, needs)
        return msgspec.structs.replace(told, waits_for=detail.explanation)

    told = asyncio.run(read())
    if options.json:
        print_json(msgspec.to_builtins(told))
        return
    due = "never" if told.due_s is None else "now" if told.due_s <= told.now_s else utc(told.due_s)
    print_pairs([("task", told.id), ("state", told.state), ("due", due), ("why", told.waits_for)])
    if told.runs:
        console().print()
        print_runs(told.runs)


def _check(task_id: int, count: int) -> None:
    check_task_id(task_id)
    if not 1 <= count <= COUNT_MAX:
        raise UsageError(f"--count is {count}; choose a number from 1 to {COUNT_MAX}")
