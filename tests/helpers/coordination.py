"""Records to claim, and waiting for a condition instead of for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sorofast.coordination.leases import Term
from sorofast.coordination.shard import ShardStore
from sorofast.executions.records import WalRecord

BIG = 2**62 + 2**53 + 1
"""A sequence that a double cannot hold, nor its neighbours."""


async def until(condition: Callable[[], Awaitable[object]], deadline_s: float = 20.0) -> None:
    """Returns as soon as the condition holds; TimeoutError when it does not within the deadline."""
    async with asyncio.timeout(deadline_s):
        while not await condition():
            await asyncio.sleep(0.02)


def envelope(task_id: int = 1, **changes: object) -> WalRecord:
    """A record to claim: channel 3, the sequence after BIG, unless told otherwise."""
    values: dict[str, object] = {
        "id": task_id,
        "window": 1_700_000_000,
        "attempt": 1,
        "channel": 3,
        "sequence": BIG + 1,
        "max_ledger": 105,
        "max_time_s": 1_700_000_060,
        "hash": bytes([task_id % 256]) * 32,
        "envelope": "AAAA" * 400,
        "claimed_ledger": 100,
        "epoch": 1,
        "template": 2**64 - 1,
        "due_s": 1_700_000_020,
    }
    return WalRecord(**{**values, **changes})  # type: ignore[arg-type]


async def owned(store: ShardStore, owner: str = "a", shard: int = 1) -> tuple[Term, int]:
    """A term whose channels 0–9 are confirmed at BIG."""
    term = await store.acquire(shard, owner)
    assert term is not None
    state = await store.load(term)
    return term, await store.set_confirmed(term, state.version, dict.fromkeys(range(10), BIG))
