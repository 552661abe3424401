"""What a fleet holds about one task's executions."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sorofast import _core
from sorofast.coordination.visit import task_records, visit_fleet
from sorofast.errors import FleetMismatch, RedisUnreachable
from sorofast.executions.records import RetryRecord, WalRecord
from sorofast.settings import RedisConfig

__all__ = ["EnvelopeView", "ExecutionsView", "FailureView", "read_executions"]


class EnvelopeView(msgspec.Struct, frozen=True):
    """A signed envelope on its way. `window` is the run it replaces; `sequence` is text, since many JSON readers round
    beyond 2^53.
    """

    window: int | str
    attempt: int
    channel: int
    sequence: str
    transaction: str
    valid_below_ledger: int

    @classmethod
    def of(cls, record: WalRecord) -> EnvelopeView:
        return cls(
            window=record.window,
            attempt=record.attempt,
            channel=record.channel,
            sequence=str(record.sequence),
            transaction=record.hash.hex(),
            valid_below_ledger=record.max_ledger,
        )


class FailureView(msgspec.Struct, frozen=True):
    """An execution that waits for another attempt, or was given up; `not_before_s` is None where no time is set."""

    window: int | str
    attempts: int
    not_before_s: int | None
    reason: str

    @classmethod
    def of(cls, record: RetryRecord) -> FailureView:
        return cls(
            window=record.window,
            attempts=record.attempts,
            not_before_s=record.not_before_s or None,
            reason=record.reason,
        )


class ExecutionsView(msgspec.Struct, frozen=True):
    """The task's shard and its records; instead of those a `note` where Redis cannot be asked: the task is on the
    chain.
    """

    shard: int
    note: str | UnsetType = UNSET
    in_flight: tuple[EnvelopeView, ...] | UnsetType = UNSET
    retry: tuple[FailureView, ...] | UnsetType = UNSET
    dead: tuple[FailureView, ...] | UnsetType = UNSET


async def read_executions(config: RedisConfig, shards: int, task_id: int) -> ExecutionsView:
    """What the fleet with that many shards holds about a task. DecodeError for records of another version."""
    shard = _core.shard_of(task_id, shards)
    try:
        async with visit_fleet(config, shards, may_be_new=True) as redis:
            records = await task_records(redis, config.prefix, shard, task_id)
    except (FleetMismatch, RedisUnreachable) as error:
        return ExecutionsView(shard, note=str(error))
    return ExecutionsView(
        shard,
        in_flight=tuple(EnvelopeView.of(record) for record in records.in_flight),
        # One without attempts only remembers what the day has cost so far.
        retry=tuple(FailureView.of(record) for record in records.retry if record.attempts),
        dead=tuple(FailureView.of(record) for record in records.dead),
    )
