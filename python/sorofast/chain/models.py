"""What the RPC answers, as far as the engine reads it in Python. The hot answers are read by the Rust core
instead.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health", "Lookup", "SendAnswer", "Simulation"]


@dataclass(frozen=True, slots=True)
class Health:
    """getHealth: the newest ledger the node can answer for. Times are whole Unix seconds."""

    latest_ledger: int
    close_time_s: int
    oldest_ledger: int
    retention_ledgers: int


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """sendTransaction: `status` is PENDING, DUPLICATE, TRY_AGAIN_LATER or ERROR; `result_xdr` comes only
    with ERROR.
    """

    status: str
    latest_ledger: int
    result_xdr: str | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """getTransaction: `status` is SUCCESS, FAILED or NOT_FOUND, as a node that holds ledgers oldest..latest
    knows it. `close_time_s` is that of `ledger`; `diagnostics` are DiagnosticEvents, innermost first, where the
    node keeps them. XDR is base64.
    """

    status: str
    latest_ledger: int
    oldest_ledger: int
    ledger: int | None
    result_xdr: str | None
    close_time_s: int | None = None
    meta_xdr: str | None = None
    diagnostics: tuple[str, ...] = ()

    def covers(self, ledger: int) -> bool:
        """Whether the answering node would know a transaction of that ledger."""
        return self.oldest_ledger <= ledger <= self.latest_ledger


@dataclass(frozen=True, slots=True)
class Simulation:
    """simulateTransaction of one invocation, on the state of `latest_ledger`."""

    latest_ledger: int
    transaction_data: str
    auth: tuple[str, ...]
    min_resource_fee_stroops: int
    error: str | None
    events: tuple[str, ...] = ()
    """What the host noted down, DiagnosticEvents in base64; also of a call that failed."""
    restore_first: str = ""
    """It went through as if archived entries had been restored before: the transaction data of the operation that does,
    in base64.
    """
