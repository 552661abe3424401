"""Reads tasks from the chain, so that what reading one of them does to the worker is known afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sorofast import _core
from sorofast.engine.context import WorkerContext
from sorofast.executions.key import TASKS
from sorofast.failpoints import failpoint_sync
from sorofast.registry.row import pack_ids

__all__ = ["read_entries"]


async def read_entries(
    context: WorkerContext, task_ids: Sequence[int], accounts: bytes, ledger_min: int
) -> _core.EntriesBatch:
    """Entries of these tasks, but for those that are not handled, and of accounts (packed 32-byte keys): at most 200
    together. A suspect is read by itself first, so that it kills alone or not at all. Raises what the network may
    raise.
    """
    suspects = context.suspects
    wanted = [task_id for task_id in task_ids if not suspects.quarantined((TASKS, task_id))]
    for task_id in wanted:
        if suspects.suspected((TASKS, task_id)):
            await _read(context, [task_id], b"", ledger_min)
    return await _read(context, wanted, accounts, ledger_min)


async def _read(
    context: WorkerContext, task_ids: Sequence[int], accounts: bytes, ledger_min: int
) -> _core.EntriesBatch:
    @contextmanager
    def decoding() -> Iterator[None]:
        with context.suspects.hold((TASKS, task_id) for task_id in task_ids):
            failpoint_sync("read.decoding", task=task_ids)
            yield

    return await context.rpc.entries(
        context.contract,
        context.signer.keeper,
        pack_ids(task_ids),
        accounts,
        ledger_min=ledger_min,
        decoding=decoding,
    )
