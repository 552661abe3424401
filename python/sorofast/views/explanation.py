"""Why a task ran or did not: what it waits for now, and how its newest executions ended."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sorofast import _core, reasons
from sorofast.coordination.control import FleetControl
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.visit import TaskRecords, task_records, visit_fleet
from sorofast.registry.store import StoredTask
from sorofast.settings import RedisConfig
from sorofast.views.fleet import PauseView, pause_of
from sorofast.views.run import RunView, read_task_runs
from sorofast.wording import counted

__all__ = ["Explanation", "read_explanation"]

_DAY_S = 86_400


class Explanation(msgspec.Struct, frozen=True):
    """`state` is "due", "waiting", "in_flight", "backing_off", "quarantined", "dead", "fleet_paused", "no_workers" or
    the reason that the task's entry gives; `waits_for` is the sentence. `runs` are the newest ends, newest first. Times
    are Unix seconds.
    """

    id: int
    now_s: int
    state: str
    due_s: int | None
    waits_for: str
    runs: list[RunView]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the fleet holds about the task, and what it says of itself."""

    records: TaskRecords
    pause: PauseView | None
    workers: int


async def read_explanation(
    config: RedisConfig, shards: int, task: StoredTask, now_s: int, count: int, *, paid_failures_max: int
) -> Explanation:
    """`now_s` is the newest ledger's close time; after `paid_failures_max` on one UTC day a task rests until the next.
    Raises RedisUnreachable, FleetMismatch and DecodeError.
    """
    task_id = task.row.task_id
    shard = _core.shard_of(task_id, shards)
    async with visit_fleet(config, shards) as redis:
        fleet = Fleet(redis, config.prefix)
        ledgers = await fleet.last_ledgers(1)
        known = _Known(
            records=await task_records(redis, config.prefix, shard, task_id),
            pause=pause_of(
                ledgers[-1][1] if ledgers else None, await FleetControl(redis, config.prefix).pause()
            ),
            workers=len(await fleet.members()),
        )
    state, waits_for = _now(task, known, now_s, paid_failures_max)
    return Explanation(
        id=task_id,
        now_s=now_s,
        state=state,
        due_s=task.row.next_due_s,
        waits_for=waits_for,
        runs=await read_task_runs(config, shards, task_id, count),
    )


def _now(task: StoredTask, known: _Known, now_s: int, paid_failures_max: int) -> tuple[str, str]:
    """The strongest reason first: what is on its way or given up says more than what the entry allows."""
    window, records = task.row.last_run_s, known.records
    for record in records.in_flight:
        return "in_flight", (
            f"transaction {record.hash.hex()} is on its way on channel {record.channel}; the network takes it in "
            f"ledgers below {record.max_ledger}"
        )
    state = task.state(now_s)
    if state not in ("due", "waiting"):
        return state, reasons.text_of(state) or state
    for letter in records.dead:
        if letter.window == window and letter.not_before_s:
            return "dead", (
                f"too many of its runs did nothing today and were paid for; it is tried again in "
                f"{max(0, letter.not_before_s - now_s)} s, when the next UTC day begins: {letter.reason}; "
                f"`sorofast dead retry {task.row.task_id}` tries it again at once"
            )
        if letter.window == window:
            return "dead", (
                f"it failed too often and is not tried again until it changes: {letter.reason}; "
                f"`sorofast dead retry {task.row.task_id}` tries it again"
            )
    if state == "due" and known.pause is not None:
        return (
            "fleet_paused",
            f"the fleet is paused since ledger {known.pause.since_ledger}: {known.pause.text}",
        )
    if state == "due" and not known.workers:
        return "no_workers", "it is due, and no worker of the fleet is alive; start `sorofast run`"
    for retry in records.retry:
        if retry.window == window and retry.not_before_s > now_s:
            return "backing_off", (
                f"it is tried again in {retry.not_before_s - now_s} s, after "
                f"{counted(retry.attempts, 'failed attempt')}, the last because {retry.reason}"
            )
    day = now_s // _DAY_S
    for kept in (*records.retry, *records.dead):
        if kept.day == day and kept.waste.spent(paid_failures_max):
            return "quarantined", (
                f"too many of its runs were paid for today for nothing: {kept.failures} failed, and "
                f"{kept.without_effect} in a row had no effect, the last because {kept.reason}; it is tried again in "
                f"{(day + 1) * _DAY_S - now_s} s, when the next UTC day begins"
            )
    if state == "waiting":
        return state, f"it can run and falls due in {(task.row.next_due_s or now_s) - now_s} s"
    return state, "it is due, and no attempt of this window is recorded"
