"""What a fleet knows about one task, as commands show it."""

from __future__ import annotations

from typing import Any

from sorofast.errors import RedisUnreachable
from sorofast.settings import Settings

__all__ = ["fleet_records"]


async def fleet_records(settings: Settings, task_id: int) -> dict[str, Any]:
    """What the fleet holds about a task. Without Redis that is one sentence, since the task itself is on the chain."""
    from sorofast import _core
    from sorofast.coordination.visit import task_records, visit

    shard = _core.shard_of(task_id, int(settings.get("engine.shards")))
    shown: dict[str, Any] = {"shard": shard}
    config = settings.redis()
    try:
        async with visit(config) as redis:
            records = await task_records(redis, config.prefix, shard, task_id)
    except RedisUnreachable as error:
        return shown | {"note": str(error)}
    shown["in_flight"] = [
        {
            "window": record.window,
            "attempt": record.attempt,
            "channel": record.channel,
            "sequence": str(record.sequence),
            "transaction": record.hash.hex(),
            "valid_below_ledger": record.max_ledger,
        }
        for record in records.in_flight
    ]
    for name, failed in (("retry", records.retry), ("dead", records.dead)):
        shown[name] = [
            {
                "window": record.window,
                "attempts": record.attempts,
                "not_before_s": record.not_before_s or None,
                "reason": record.reason,
            }
            for record in failed
        ]
    return shown
