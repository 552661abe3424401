"""How executions ended, out of the fleet's bounded histories."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from sorofast import _core
from sorofast.coordination import history
from sorofast.coordination.visit import visit_fleet
from sorofast.executions.key import TASKS, Execution
from sorofast.executions.records import HistoryRecord
from sorofast.settings import RedisConfig

__all__ = ["FAILED", "RunView", "follow_runs", "read_runs", "read_task_runs", "remembered_since"]

FAILED = frozenset({"failed", "no_effect", "unknown"})
"""The outcomes that cost a fee for nothing, or of which nobody can tell."""

_WORDS = {
    "executed": "the task ran",
    "superseded": "another keeper ran the task first",
    "expired": "no ledger took the transaction; it was built again",
    "refused": "the node refused the transaction",
    "failed": "the transaction failed",
    "no_effect": "the call succeeded and did nothing",
    "unknown": "what became of it cannot be told any more",
}


_DONE = {"restore": "restored"}
"""What came of an operation that is no run, by its kind."""


class RunView(msgspec.Struct, frozen=True):
    """How one envelope ended. `source`, `id` and `window` say of what; `at_ms` when the fleet settled it.

    `ledger` included it at `time_s`; both are None where none did. `fee_stroops` is what was charged: 0 where nothing
    was, None where nobody asked the ledger, as for runs that their event proved. `reserved_stroops` is the most it
    can have been. `dead` says that a dead letter came of it, `retry_s` when it may be tried again. `operation` is
    "invoke", "restore", "extend" or "payment", None where an older version did not write it down; `purpose` says what
    it was for where that is no run of the subject's own.
    """

    at_ms: int
    source: str
    id: int | str
    window: int | str
    attempt: int
    outcome: str
    reason: str
    error: str | None
    transaction: str
    ledger: int | None
    time_s: int | None
    due_s: int | None
    ledgers_late: int | None
    fee_stroops: int | None
    reserved_stroops: int | None
    channel: int | None
    dead: bool
    retry_s: int | None
    operation: str | None = None
    purpose: str | None = None

    @classmethod
    def of(cls, record: HistoryRecord) -> RunView:
        try:
            key = Execution.parse(record.execution)
        except ValueError:
            key = Execution("", record.execution, "")
        detail = record.detail
        free = record.outcome in ("expired", "refused")
        return cls(
            at_ms=record.at_ms,
            source=key.source,
            id=key.id,
            window=key.window,
            attempt=record.attempt,
            outcome=record.outcome,
            reason=_reason(record),
            error=_text(detail, "error"),
            transaction=record.hash,
            ledger=_number(detail, "ledger") or None,
            time_s=_number(detail, "time_s") or None,
            due_s=_number(detail, "due_s"),
            ledgers_late=_number(detail, "ledgers_late"),
            fee_stroops=0 if free else _number(detail, "fee_stroops"),
            reserved_stroops=_number(detail, "reserved_stroops") or None,
            channel=_number(detail, "channel"),
            dead=bool(detail.get("dead")),
            retry_s=_number(detail, "retry_s") or None,
            operation=_text(detail, "operation"),
            purpose=_text(detail, "purpose"),
        )


async def read_runs(config: RedisConfig, shards: int, count: int, *, failed: bool = False) -> list[RunView]:
    """The newest `count` ends of all shards, newest first; only those that failed, if asked so. Raises
    RedisUnreachable, FleetMismatch and DecodeError.
    """
    async with visit_fleet(config, shards) as redis:
        found = await history.recent(
            redis, config.prefix, shards, count, lambda record: _shown(record, failed=failed)
        )
    return [RunView.of(record) for record in found]


async def read_task_runs(config: RedisConfig, shards: int, task_id: int, count: int) -> list[RunView]:
    """The newest `count` ends of one task's executions, and of what was restored for it, newest first. Raises
    RedisUnreachable, FleetMismatch and DecodeError.
    """
    shard = _core.shard_of(task_id, shards)
    for_it = f" for task {task_id}"
    async with visit_fleet(config, shards) as redis:
        found = await history.of_subject(redis, config.prefix, shard, (TASKS, task_id), count)
        found += await history.among_newest(
            redis, config.prefix, shards, lambda end: str(end.detail.get("purpose")).endswith(for_it)
        )
    newest = sorted(found, key=lambda end: end.at_ms, reverse=True)[:count]
    return [RunView.of(record) for record in newest]


async def remembered_since(config: RedisConfig, shards: int, task_id: int) -> int | None:
    """The second in which the oldest end was settled that the history of the task's shard still holds; None while it
    holds none. Raises as `read_task_runs` does.
    """
    async with visit_fleet(config, shards) as redis:
        oldest_ms = await history.oldest_ms(redis, config.prefix, _core.shard_of(task_id, shards))
    return None if oldest_ms is None else oldest_ms // 1000


async def follow_runs(
    config: RedisConfig, shards: int, count: int, *, failed: bool = False
) -> AsyncGenerator[list[RunView], None]:
    """First the newest `count` ends, oldest first, then what ends from then on, one list per look; some are empty. The
    caller decides how often to look. Raises as `read_runs` does.
    """

    def wanted(record: HistoryRecord) -> bool:
        return _shown(record, failed=failed)

    async with visit_fleet(config, shards) as redis:
        following = history.Following(redis, config.prefix, shards)
        # First it is noted where the histories end, so that nothing falls between the two readings.
        await following.poll()
        found = await history.recent(redis, config.prefix, shards, count, wanted)
        shown = {record.hash for record in found}
        yield [RunView.of(record) for record in reversed(found)]
        while True:
            found = [record for record in await following.poll() if wanted(record)]
            yield [RunView.of(record) for record in found if record.hash not in shown]
            shown.clear()


def _shown(record: HistoryRecord, *, failed: bool) -> bool:
    return not failed or record.outcome in FAILED


def _reason(record: HistoryRecord) -> str:
    """Why it ended so, or what came of it; with what it was for, where it was not for its own subject."""
    detail, purpose = record.detail, _text(record.detail, "purpose")
    if purpose is not None and record.outcome == "executed":
        return f"{_DONE.get(str(detail.get('operation')), 'done')}: {purpose}"
    # Older versions called it `detail`.
    reason = str(detail.get("reason") or detail.get("detail") or _WORDS.get(record.outcome, ""))
    return reason if purpose is None else f"{reason} ({purpose})"


def _number(detail: dict[str, Any], name: str) -> int | None:
    value = detail.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(detail: dict[str, Any], name: str) -> str | None:
    value = detail.get(name)
    return value if isinstance(value, str) and value else None
