"""Why a task ran or did not: what it waits for now, and how its newest executions ended."""

from __future__ import annotations

import msgspec

from sorofast import _core, reasons
from sorofast.coordination.visit import TaskRecords, task_records, visit_fleet
from sorofast.registry.store import StoredTask
from sorofast.settings import RedisConfig
from sorofast.views.run import RunView, read_task_runs

__all__ = ["Explanation", "read_explanation"]


class Explanation(msgspec.Struct, frozen=True):
    """`state` is "due", "waiting", "in_flight", "backing_off", "dead" or the reason that the task's entry gives;
    `waits_for` is the sentence. `runs` are the newest ends, newest first. Times are Unix seconds.
    """

    id: int
    now_s: int
    state: str
    due_s: int | None
    waits_for: str
    runs: list[RunView]


async def read_explanation(
    config: RedisConfig, shards: int, task: StoredTask, now_s: int, count: int
) -> Explanation:
    """`now_s` is the newest ledger's close time. Raises RedisUnreachable, FleetMismatch and DecodeError."""
    task_id = task.row.task_id
    shard = _core.shard_of(task_id, shards)
    async with visit_fleet(config, shards) as redis:
        records = await task_records(redis, config.prefix, shard, task_id)
    state, waits_for = _now(task, records, now_s)
    return Explanation(
        id=task_id,
        now_s=now_s,
        state=state,
        due_s=task.row.next_due_s,
        waits_for=waits_for,
        runs=await read_task_runs(config, shards, task_id, count),
    )


def _now(task: StoredTask, records: TaskRecords, now_s: int) -> tuple[str, str]:
    """The strongest reason first: what is on its way or given up says more than what the entry allows."""
    window = task.row.last_run_s
    for record in records.in_flight:
        return "in_flight", (
            f"transaction {record.hash.hex()} is on its way on channel {record.channel}; the network takes it in "
            f"ledgers below {record.max_ledger}"
        )
    state = task.state(now_s)
    if state not in ("due", "waiting"):
        return state, reasons.text_of(state) or state
    for letter in records.dead:
        if letter.window == window:
            return "dead", (
                f"it failed too often and is not tried again until it changes: {letter.reason}; "
                f"`sorofast dead retry {task.row.task_id}` tries it again"
            )
    for retry in records.retry:
        if retry.window == window and retry.not_before_s > now_s:
            return "backing_off", (
                f"it is tried again in {retry.not_before_s - now_s} s, after {retry.attempts} failed attempts, "
                f"the last because {retry.reason}"
            )
    if state == "waiting":
        return state, f"it can run and falls due in {(task.row.next_due_s or now_s) - now_s} s"
    return state, "it is due, and no attempt of this window is recorded"
