"""What the sandbox's admin interface answers with, and the fault rules it takes."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Accounts",
    "AppliedTransaction",
    "ClosedLedger",
    "Fate",
    "FaultRule",
    "FundedAccount",
    "Moment",
    "Stats",
    "TransactionsPage",
]


class AppliedTransaction(msgspec.Struct, frozen=True):
    """One transaction in apply order (`order` counts within its ledger). Addresses are strkeys, `args` base64
    ScVals.

    `source` pays and gives the sequence; `operation_source` is who the operation acts for.
    """

    ledger: int
    order: int
    close_time: int
    close_time_ms: int
    hash: str
    source: str
    operation_source: str
    operation: str
    status: Literal["SUCCESS", "FAILED"]
    result_code: str
    fee_charged: int
    contract: str | None = None
    function: str | None = None
    args: tuple[str, ...] = ()
    operation_result: str | None = None
    max_ledger: int | None = None


class ClosedLedger(msgspec.Struct, frozen=True):
    """One closed ledger: its close time in whole seconds, in milliseconds, and how many transactions it
    applied.
    """

    sequence: int
    close_time: int
    close_time_ms: int
    hash: str
    transactions: int


class Stats(msgspec.Struct, frozen=True):
    """JSON-RPC calls since the start, by method; the latest ledger; transactions waiting for a ledger."""

    rpc_calls: dict[str, int]
    latest_ledger: int
    pending: int


class Moment(msgspec.Struct, frozen=True):
    """Where the chain stands now."""

    latest_ledger: int
    close_time: int
    ledgers_closed: int | None = None


class FundedAccount(msgspec.Struct, frozen=True):
    """An account that the sandbox was started with. Its secret key is public on purpose. The balance is None
    once the account is gone.
    """

    public_key: str
    secret_key: str
    balance_stroops: int | None
    index: int | None = None


class Accounts(msgspec.Struct, frozen=True):
    """The funded accounts in order, and the network's root account, which holds the rest."""

    accounts: tuple[FundedAccount, ...]
    root: FundedAccount | None = None


class Fate(msgspec.Struct, frozen=True):
    """What became of a transaction by the queue's own record."""

    state: Literal["pending", "applied", "dropped", "unknown"]
    ledger: int | None = None
    reason: str | None = None


class FaultRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule for the answers to JSON-RPC calls. `count` None is without end; `drop_reply` carries the
    request out and gives no answer.
    """

    method: str
    kind: Literal["latency", "http_status", "rpc_error", "drop_reply"]
    latency_ms: int | None = None
    status: int | None = None
    code: int | None = None
    message: str | None = None
    count: int | None = None
    probability: float = 1.0


class TransactionsPage(msgspec.Struct):
    transactions: list[AppliedTransaction]
    latest_ledger: int
    next_from_ledger: int | None = None
