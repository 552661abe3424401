"""What a shard does about claims that Redis refused: it works on, and what it did not know is read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sorofast.coordination.leases import Term
from sorofast.coordination.shard import Refusal
from sorofast.engine.context import WorkerContext
from sorofast.engine.flights import Flights
from sorofast.errors import RedisUnreachable
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.triggers.base import TriggerSource

__all__ = ["work_on"]

IN_FLIGHT = code_of("in_flight")
NO_CHANNEL = code_of("no_channel")


async def work_on(
    context: WorkerContext,
    term: Term,
    flights: Flights,
    source_of: Callable[[WalRecord], TriggerSource],
    records: Sequence[WalRecord],
    reasons: Mapping[str, str],
) -> None:
    """Redis knows something of these executions or their channels that we do not. A channel is read again from the
    chain; envelopes that the log holds and nobody here knew of are taken up, as nobody else would settle them.

    `reasons` are `Refusal` values by execution. Raises what `ShardStore.load` raises but for an absent Redis.
    """
    for record in records:
        reason = reasons[record.execution]
        context.log.warning("claim_refused", **record.key.fields(), channel=record.channel, reason=reason)
        if reason != Refusal.IN_FLIGHT:
            flights.channels.disputed(record.channel, reason)
        shown = IN_FLIGHT if reason == Refusal.IN_FLIGHT else NO_CHANNEL
        source_of(record).wait(record.key, record.due_s, shown)
    try:
        state = await context.store.load(term)
    except RedisUnreachable as error:
        context.redis_failed("read_log", error)
        return
    context.outages.ok("read_log")
    for record in flights.adopt(state):
        source_of(record).started(record.key)
