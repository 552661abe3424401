"""Reads that are not hot: entries by any key, and what an applied transaction returned."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sorofast.chain.fields import Fields
from sorofast.chain.rpc import KEYS_PER_CALL_MAX, STALE_ANSWERS_MAX, STALE_PAUSE_S, RpcClient
from sorofast.errors import BodyError, RpcOutOfStep

__all__ = ["fresh_entries", "ledger_entries", "result_meta"]


async def ledger_entries(rpc: RpcClient, keys: Sequence[str]) -> dict[str, str]:
    """LedgerEntryData in base64 by LedgerKey in base64, for those of `keys` (at most 200) that exist."""
    if len(keys) > KEYS_PER_CALL_MAX:
        raise ValueError(f"{len(keys)} keys in one request, the RPC takes {KEYS_PER_CALL_MAX}")
    result = await rpc.call("getLedgerEntries", {"keys": list(keys)})
    return _by_key(Fields("getLedgerEntries", result))


async def fresh_entries(rpc: RpcClient, keys: Sequence[str], *, ledger_min: int) -> dict[str, str]:
    """The same, as of `ledger_min` or later. RpcOutOfStep when the node stays behind it."""
    seen = 0
    for _ in range(STALE_ANSWERS_MAX):
        answer = Fields("getLedgerEntries", await rpc.call("getLedgerEntries", {"keys": list(keys)}))
        seen = answer.integer("latestLedger")
        if seen >= ledger_min:
            return _by_key(answer)
        await asyncio.sleep(STALE_PAUSE_S)
    raise RpcOutOfStep.behind(rpc.name, seen, ledger_min)


def _by_key(answer: Fields) -> dict[str, str]:
    return {entry.text("key"): entry.text("xdr") for entry in answer.objects("entries")}


async def result_meta(rpc: RpcClient, tx_hash: str) -> str:
    """TransactionMeta in base64 of the transaction `tx_hash` (hex), which must have been applied."""
    result = await rpc.call("getTransaction", {"hash": tx_hash})
    meta = result.get("resultMetaXdr")
    if not isinstance(meta, str):
        raise BodyError(
            f"getTransaction has no result for {tx_hash}, which was applied a moment ago; is the RPC server "
            "behind a balancer whose nodes are not equally far?"
        )
    return meta
