"""Which tasks are due and do not run, and why: what costs nothing stands in no record, so it is simulated again."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.registry.codec import error_names
from sorofast.registry.identity import identify
from sorofast.registry.store import Registry, StoredTask
from sorofast.views.task import TaskPage, TaskView
from sorofast.views.trial import Trial, try_run

__all__ = ["SIMULATED_MAX", "read_failing"]

SIMULATED_MAX = 1_000
"""Runs that one call simulates at most."""
AT_ONCE = 8


async def read_failing(
    rpc: RpcClient,
    passphrase: str,
    contract_id: str,
    keeper: bytes,
    *,
    start: int,
    limit: int,
    state: str | None = None,
) -> TaskPage:
    """The first `limit` due tasks from id `start` on whose run, simulated as the keeper's, does not do its work: for
    that reason, or for any without one. `error` says more. A run that nobody could simulate is among the latter, as
    `simulation_failed`.

    WrongContract when the contract is no registry.
    """
    identity = await identify(rpc, contract_id)
    names = {} if identity.wasm is None else error_names(identity.wasm)
    source = _core.account_from_bytes(keeper)
    now_s = (await rpc.get_health()).close_time_s
    registry = Registry(rpc, contract_id, keeper)
    found: list[TaskView] = []
    simulated = 0
    held: Counter[str] = Counter()
    due: list[StoredTask] = []

    async def simulate() -> None:
        trials = await asyncio.gather(
            *(try_run(rpc, passphrase, contract_id, task.row.task_id, source, names) for task in due)
        )
        views = (_view(task, trial, now_s) for task, trial in zip(due, trials, strict=True))
        found.extend(view for view in views if view is not None and state in (None, view.state))
        due.clear()

    next_id: int | None = None
    async for task in registry.tasks(range(start, identity.counter + 1)):
        if len(found) >= limit or simulated == SIMULATED_MAX:
            next_id = task.row.task_id
            break
        entry_state = task.state(now_s)
        if entry_state == "due":
            simulated += 1
            due.append(task)
        elif entry_state != "waiting":
            held[entry_state] += 1
        if len(due) == AT_ONCE:
            await simulate()
    await simulate()
    if len(found) > limit:
        found, next_id = found[:limit], found[limit].id
    return TaskPage(tuple(found), now_s, identity.counter, next_id, held)


def _view(task: StoredTask, trial: Trial, now_s: int) -> TaskView | None:
    """None for one whose run works."""
    if trial.outcome == "runs":
        return None
    return msgspec.structs.replace(TaskView.of(task, now_s), state=trial.reason, error=trial.words())
