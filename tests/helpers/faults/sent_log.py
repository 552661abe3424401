"""The append-only log of bytes sent: every envelope on its way to a node, on disk before it is forwarded.

Together with the ledger it is all the oracle knows. One JSON object a line: a `sent` line for each
sendTransaction, then an `answered` line with what the node said, if it said anything.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from stellar_sdk import Address, FeeBumpTransactionEnvelope, TransactionBuilder, TransactionEnvelope
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import SdkError
from stellar_sdk.operation import InvokeHostFunction

UNDECIDED_CODES = frozenset({"txBAD_SEQ", "txTOO_LATE", "txTOO_EARLY", "txINTERNAL_ERROR"})
"""A refusal with one of these may mean a copy that was sent before."""


@dataclass(slots=True)
class Sent:
    """One sendTransaction, as it passed. `channel` and `sequence` are those of the (inner) transaction's source.

    `latest_ledger` is the newest ledger anybody could see when it passed. `forwarded` is False for what a
    rule kept from the node. `answer` is the node's status, `code` the result code of an ERROR.
    """

    order: int
    at_s: float
    endpoint: str
    envelope: str
    latest_ledger: int
    forwarded: bool
    hash: str = ""
    inner_hash: str = ""
    channel: str = ""
    sequence: int = 0
    fee_stroops: int = 0
    max_ledger: int | None = None
    max_time_s: int = 0
    contract: str = ""
    function: str = ""
    task_id: int | None = None
    answer: str = ""
    code: str = ""

    @property
    def refused(self) -> bool:
        """The node would not have these bytes, for a reason that is about them."""
        return self.answer == "ERROR" and bool(self.code) and self.code not in UNDECIDED_CODES


@dataclass
class SentLog:
    """Appends to `path`; `entries` holds the same in memory, in order."""

    path: Path
    passphrase: str
    entries: list[Sent] = field(default_factory=list)
    _file: int | None = None

    def read(self, envelope: str, endpoint: str, latest_ledger: int) -> Sent:
        """What an envelope is; nothing is written yet."""
        entry = Sent(-1, time.time(), endpoint, envelope, latest_ledger, forwarded=False)
        _describe(entry, self.passphrase)
        return entry

    def sent(self, entry: Sent, *, forwarded: bool) -> None:
        """Writes the line and hands it to the kernel before it returns."""
        entry.order, entry.forwarded = len(self.entries), forwarded
        self.entries.append(entry)
        self._append({"event": "sent"} | {name: getattr(entry, name) for name in Sent.__slots__})

    def answered(self, entry: Sent, answer: object) -> None:
        """Notes what the node answered: the JSON-RPC answer as it came."""
        result = answer.get("result") if isinstance(answer, dict) else None
        if isinstance(result, dict):
            entry.answer = str(result.get("status", ""))
            raw = result.get("errorResultXdr")
            if isinstance(raw, str):
                entry.code = stellar_xdr.TransactionResult.from_xdr(raw).result.code.name
        line = {"event": "answered", "order": entry.order, "hash": entry.hash}
        self._append(line | {"answer": entry.answer, "code": entry.code})

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def of_task(self, task_id: int) -> list[Sent]:
        """Everything sent for one task."""
        return [entry for entry in self.entries if entry.task_id == task_id]

    def hashes(self) -> set[str]:
        """All different transactions that were sent."""
        return {entry.hash for entry in self.entries}

    def _append(self, line: dict[str, object]) -> None:
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._file, json.dumps(line).encode() + b"\n")


def _describe(entry: Sent, passphrase: str) -> None:
    try:
        outer = TransactionBuilder.from_xdr(entry.envelope, passphrase)
    except (SdkError, ValueError, EOFError):
        return  # not an envelope; the bytes themselves are kept
    entry.hash = outer.hash_hex()
    inner: TransactionEnvelope
    if isinstance(outer, FeeBumpTransactionEnvelope):
        inner = outer.transaction.inner_transaction_envelope
        entry.fee_stroops = outer.transaction.fee
    else:
        inner = outer
        entry.fee_stroops = inner.transaction.fee
    transaction = inner.transaction
    entry.inner_hash = inner.hash_hex()
    entry.channel = transaction.source.account_id
    entry.sequence = transaction.sequence
    bounds = transaction.preconditions
    if bounds is not None and bounds.ledger_bounds is not None:
        entry.max_ledger = bounds.ledger_bounds.max_ledger or None
    if bounds is not None and bounds.time_bounds is not None:
        entry.max_time_s = bounds.time_bounds.max_time
    operation = transaction.operations[0] if transaction.operations else None
    if not isinstance(operation, InvokeHostFunction):
        return
    call = operation.host_function.invoke_contract
    if call is None:
        return
    entry.contract = Address.from_xdr_sc_address(call.contract_address).address
    entry.function = call.function_name.sc_symbol.decode()
    if entry.function == "execute" and len(call.args) > 1 and call.args[1].u64 is not None:
        entry.task_id = call.args[1].u64.uint64
