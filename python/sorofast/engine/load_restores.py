"""Gives a shard the source of the restores that are its to do."""

from __future__ import annotations

from sorofast.coordination.shard import ShardState
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.context import WorkerContext
from sorofast.triggers.restores import RestoreSource

__all__ = ["load_restores"]


async def load_restores(
    context: WorkerContext, shard: int, state: ShardState, at: LedgerEntry
) -> tuple[RestoreSource, int]:
    """Satisfies `SourceLoader`. What is to be restored is the fleet's to know, so nothing is read here."""
    return RestoreSource(context.restores, shard, context.shards, at.ledger, context.log), at.ledger
