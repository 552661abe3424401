"""The registry's tasks as the chain has them, and one of them with everything that is known of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sorofast import _core, reasons
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.restores import RestoreNeed
from sorofast.errors import SorofastError, XdrError
from sorofast.registry.codec import TaskConfig, decode_config, error_names
from sorofast.registry.identity import check_registry, identify
from sorofast.registry.store import Registry, StoredTask
from sorofast.views.execution import ExecutionsView
from sorofast.views.trial import Trial, try_run

__all__ = [
    "ENTRY_STATES", "SIMULATED_STATES", "SimulationView", "TaskDetail", "TaskPage", "TaskView",
    "read_task", "read_tasks",
]  # fmt: skip

_RUNNING = {
    "due": "The task is due.",
    "waiting": "The task can run and waits for its time.",
}

ENTRY_STATES = (
    *_RUNNING, "inactive", "out_of_gas", "not_whitelisted", "blocked", "undecodable", "due_overflow", "interval_zero",
    "archived",
)  # fmt: skip
"""The states that a task's entry gives: due, waiting, or the reason why it cannot run."""

SIMULATED_STATES = (
    "resolver_says_no", "gas_below_fee", "target_panics", "function_missing", "token_refused", "registry_refused",
    "simulation_failed",
)  # fmt: skip
"""Those that only a simulation of a due task's run tells."""


class TaskView(msgspec.Struct, frozen=True):
    """One task. Times are Unix seconds; what its entry would say is None where it does not decode, and `problem` tells
    why. `next_due_s` is None when that time does not exist.
    """

    id: int
    state: str
    interval_s: int | None
    last_run_s: int | None
    next_due_s: int | None
    gas_stroops: int | None
    problem: str | None
    error: str | UnsetType = UNSET
    """Why its run does not work, where that was simulated."""

    @classmethod
    def of(cls, task: StoredTask, now_s: int) -> TaskView:
        decoded = task.problem is None
        return cls(
            id=task.row.task_id,
            state=task.state(now_s),
            interval_s=task.row.interval_s if decoded else None,
            last_run_s=task.row.last_run_s if decoded else None,
            next_due_s=task.row.next_due_s,
            gas_stroops=task.row.gas_stroops if decoded else None,
            problem=task.problem,
        )


class TaskPage(msgspec.Struct, frozen=True):
    """Some of the registry's tasks as of `now_s` (the newest ledger's close time); ids go up to `counter`, and those
    from `next_id` on were not looked at.
    """

    tasks: tuple[TaskView, ...]
    now_s: int
    counter: int
    next_id: int | None = None
    held_by_entry: Mapping[str, int] = {}
    """Of those looked at, how many cannot run for what stands in their entry, by the reason; only where runs are
    simulated, which theirs are not.
    """


class SimulationView(msgspec.Struct, frozen=True):
    """What came of the run in a simulation, and its error if it failed."""

    outcome: str
    error: str | None


class TaskDetail(TaskView, frozen=True, kw_only=True):
    """One task in full: its configuration, or its entry where that does not decode; a due one with its simulation."""

    explanation: str
    simulation: SimulationView | None
    entry_xdr: str | UnsetType = UNSET
    creator: str | UnsetType | None = UNSET
    target: str | UnsetType | None = UNSET
    function: str | UnsetType | None = UNSET
    args: list[Any] | UnsetType = UNSET
    resolver: str | UnsetType | None = UNSET
    whitelist: list[str] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    blocked_by: list[int] | UnsetType = UNSET
    others: dict[str, Any] | UnsetType = UNSET
    live_until_ledger: int
    last_modified_ledger: int
    fleet: ExecutionsView | UnsetType = UNSET
    """What the fleet holds about it, where that was asked."""


async def read_tasks(
    rpc: RpcClient, contract_id: str, keeper: bytes, *, start: int, limit: int, state: str | None = None
) -> TaskPage:
    """The first `limit` tasks from id `start` on that are in `state` (in any, without one).

    `keeper` is the public key by which whitelists are judged. WrongContract when the contract is no registry.
    """
    found: list[TaskView] = []
    registry = Registry(rpc, contract_id, keeper)
    counter = await check_registry(rpc, contract_id)
    now_s = (await rpc.get_health()).close_time_s
    next_id: int | None = None
    async for task in registry.tasks(range(start, counter + 1)):
        if state is None or task.state(now_s) == state:
            if len(found) == limit:
                next_id = task.row.task_id
                break
            found.append(TaskView.of(task, now_s))
    return TaskPage(tuple(found), now_s, counter, next_id)


async def read_task(
    rpc: RpcClient,
    passphrase: str,
    contract_id: str,
    keeper: bytes,
    task_id: int,
    needs: Collection[RestoreNeed] = (),
) -> tuple[TaskDetail, int]:
    """One task, and the ledger's time it was read at. SorofastError when there is no such task.

    The run of a task that is due is simulated, as the keeper's or, where `keeper` is zeros, as the creator's. `needs`
    are what the fleet has to restore, where that was asked.
    """
    identity = await identify(rpc, contract_id)
    registry = Registry(rpc, contract_id, keeper)
    now_s = (await rpc.get_health()).close_time_s
    tasks = [task async for task in registry.tasks([task_id])]
    entry = await registry.entry(task_id)
    if not tasks or entry is None:
        raise SorofastError(
            f"task {task_id} does not exist in contract {contract_id}: it was cancelled, or never "
            f"registered (ids go up to {identity.counter})"
        )
    task = tasks[0]
    try:
        config = decode_config(entry)
    except XdrError as error:
        return _detail(task, now_s, entry, error, None), now_s
    trial = None
    if task.state(now_s) == "due":
        names = {} if identity.wasm is None else error_names(identity.wasm)
        source = _core.account_from_bytes(keeper) if any(keeper) else config.creator
        trial = await try_run(rpc, passphrase, contract_id, task_id, source, names, needs)
    return _detail(task, now_s, entry, config, trial), now_s


def _detail(
    task: StoredTask, now_s: int, entry: str, config: TaskConfig | XdrError, trial: Trial | None
) -> TaskDetail:
    common: dict[str, Any] = msgspec.structs.asdict(TaskView.of(task, now_s))
    state = task.state(now_s)
    common |= {
        "explanation": trial.explanation() if trial else reasons.text_of(state) or _RUNNING[state],
        "simulation": None if trial is None else SimulationView(trial.outcome, trial.error),
        "live_until_ledger": task.row.live_until_ledger,
        "last_modified_ledger": task.row.last_modified_ledger,
    }
    if isinstance(config, XdrError):
        common["problem"] = common["problem"] or str(config)
        return TaskDetail(**common, entry_xdr=entry)
    if config.gas_stroops is not None:
        common["gas_stroops"] = config.gas_stroops  # the row saturates at 64 bits
    return TaskDetail(
        **common,
        creator=config.creator,
        target=config.target,
        function=config.function,
        args=config.args,
        resolver=config.resolver,
        whitelist=config.whitelist,
        is_active=config.is_active,
        blocked_by=config.blocked_by,
        others=config.others,
    )
