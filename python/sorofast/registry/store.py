"""Reads the registry from the chain for commands: all of it in bounded pages, or one task with everything it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass

from sorofast import _core
from sorofast.chain.lookups import ledger_entries
from sorofast.chain.rpc import KEYS_PER_CALL_MAX, RpcClient
from sorofast.errors import WrongContract
from sorofast.reasons import name_of
from sorofast.registry.row import Row, pack_ids, rows_of

__all__ = ["Registry", "RegistryHead", "StoredTask"]


@dataclass(frozen=True, slots=True)
class RegistryHead:
    """How many ids the registry has given out, and the ledger that says so."""

    counter: int
    latest_ledger: int


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as the engine would judge it: `reason` names why it does not run, and is None when it can."""

    row: Row
    reason: str | None
    problem: str | None
    """Where and why its entry does not decode."""

    def state(self, now_s: int) -> str:
        """`due` or `waiting` for a task that can run, else the name of its reason."""
        if self.reason is not None:
            return self.reason
        return "due" if self.row.next_due_s is not None and self.row.next_due_s <= now_s else "waiting"


class Registry:
    """One registry contract behind one RPC, as seen by `keeper` (its whitelisting is judged)."""

    def __init__(self, rpc: RpcClient, contract_id: str, keeper: bytes) -> None:
        self.contract_id = contract_id
        self._rpc = rpc
        self._contract = _core.contract_to_bytes(contract_id)
        self._keeper = keeper

    async def head(self) -> RegistryHead:
        """The registry's counter. Raises WrongContract when no contract has that id, or one that is no registry."""
        batch = await self._rpc.registry(self._contract, self._keeper)
        if not batch.instance:
            raise WrongContract(
                f"contract {self.contract_id} does not exist on the network behind {self._rpc.name}; "
                "check contract.id and network.rpc_url"
            )
        # A registry that has never issued an id need not have a counter yet.
        return RegistryHead(batch.counter or 0, batch.latest_ledger)

    async def tasks(self, task_ids: Sequence[int]) -> AsyncIterator[StoredTask]:
        """The tasks that exist among `task_ids`, in that order, read in requests of 200 keys."""
        for start in range(0, len(task_ids), KEYS_PER_CALL_MAX):
            page = task_ids[start : start + KEYS_PER_CALL_MAX]
            batch = await self._rpc.entries(self._contract, self._keeper, pack_ids(page), b"")
            problems = {
                task_id: f"byte {offset}: {reason}"
                for task_id, offset, reason in batch.problems
                if task_id is not None
            }
            # The core's table judges what can run, so that this says what the engine would say.
            table = _core.TaskTable()
            table.apply(batch.rows, 0, 1)
            for task_id in await self._unblocked(dict(batch.dependencies)):
                table.set_unblocked(task_id, True)
            rows = {row.task_id: row for row in rows_of(table.rows())}
            for task_id in page:
                if task_id in rows:
                    row = rows[task_id]
                    state = table.state(task_id)
                    runnable = state is not None and state[0] == "indexed"
                    reason = None if runnable else name_of(row.reason)
                    yield StoredTask(row, reason, problems.get(task_id))

    async def _unblocked(self, waits: Mapping[int, Collection[int]]) -> list[int]:
        """Which of these tasks wait for others all of which have run."""
        others = sorted({other for of_task in waits.values() for other in of_task})
        ran: set[int] = set()
        for start in range(0, len(others), KEYS_PER_CALL_MAX):
            part = pack_ids(others[start : start + KEYS_PER_CALL_MAX])
            batch = await self._rpc.entries(self._contract, self._keeper, part, b"")
            ran.update(row.task_id for row in rows_of(batch.rows) if row.last_run_s > 0)
        return [task_id for task_id, of_task in waits.items() if ran.issuperset(of_task)]

    async def entry(self, task_id: int) -> str | None:
        """The task's ledger entry data in base64, as stored; None when there is none."""
        # Imported here and below because the SDK takes a while to load, and listing does without it.
        from sorofast.registry.codec import task_key

        key = task_key(self.contract_id, task_id)
        return (await ledger_entries(self._rpc, [key])).get(key)

    async def wasm(self) -> bytes | None:
        """The registry's wasm; None where its instance runs none of its own."""
        from sorofast.registry.codec import code_key, executable_hash, instance_key, wasm_of

        key = instance_key(self.contract_id)
        instance = (await ledger_entries(self._rpc, [key])).get(key)
        code_hash = None if instance is None else executable_hash(instance)
        if code_hash is None:
            return None
        key = code_key(code_hash)
        code = (await ledger_entries(self._rpc, [key])).get(key)
        return None if code is None else wasm_of(code)
