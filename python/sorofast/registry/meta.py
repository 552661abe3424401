"""What a transaction changed in the registry, out of its TransactionMeta."""

from __future__ import annotations

from collections.abc import Iterator

from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr

__all__ = ["changes_last_run"]

TASK_KEYS = ("Task", "TaskMeta")


def changes_last_run(meta_xdr: str, contract: bytes, task_id: int) -> bool | None:
    """Whether the transaction moved the task's `last_run`; None for a meta that cannot be read.

    `contract` are the registry's 32 bytes, empty for any contract's task of that id.
    """
    try:
        meta = stellar_xdr.TransactionMeta.from_xdr(meta_xdr)
        before: int | None = None
        for changed, entry in _changes(meta):
            run_s = _last_run_s(entry, contract, task_id)
            if run_s is None:
                continue
            if changed and before is not None and run_s != before:
                return True
            before = run_s
    except Exception:  # noqa: BLE001 - the library raises what its reader happens to meet in odd bytes
        return None
    return False


def _changes(meta: stellar_xdr.TransactionMeta) -> Iterator[tuple[bool, stellar_xdr.LedgerEntry]]:
    """(whether it is how the entry was left, entry) of every operation, in order."""
    body = meta.v4 or meta.v3 or meta.v2 or meta.v1
    if body is None:
        raise ValueError(f"transaction meta of version {meta.v} is not known")
    for operation in body.operations:
        for change in operation.changes.ledger_entry_changes:
            if change.state is not None:
                yield False, change.state
            left = change.updated or change.created or change.restored
            if left is not None:
                yield True, left


def _last_run_s(entry: stellar_xdr.LedgerEntry, contract: bytes, task_id: int) -> int | None:
    data = entry.data.contract_data
    if data is None or data.key.vec is None or len(data.key.vec.sc_vec) != 2:
        return None
    kind, number = data.key.vec.sc_vec
    if kind.sym is None or kind.sym.sc_symbol.decode(errors="replace") not in TASK_KEYS:
        return None
    if number.u64 is None or number.u64.uint64 != task_id:
        return None
    address = data.contract.contract_id
    if contract and (address is None or address.contract_id.hash != contract):
        return None
    for field in () if data.val.map is None else data.val.map.sc_map:
        if field.key.sym is not None and scval.from_symbol(field.key) == "last_run" and field.val.u64:
            return int(field.val.u64.uint64)
    return None
