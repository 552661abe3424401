"""One claimed envelope on its way: how often its bytes may have left, and what the network last said about it.

A refusal ends no envelope. Behind one address there may be several nodes, and whoever stands before them may have
handed the bytes to one that took them before it asked the one that answers. What was refused is not sent again, and is
judged by its channel like everything else: dead once its bound has passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sorofast.executions.records import WalRecord
from sorofast.transactions.submit import Receipt, Sent
from sorofast.triggers.base import Due

__all__ = ["Flight"]

RESEND_AFTER_LEDGERS = 2


@dataclass(slots=True)
class Flight:
    """A claimed envelope. `sends` counts how often its bytes may have left; an inherited one counts as sent. `due` is
    what it was built for, None where another process built it. `refused_ledger` was the newest one when a node refused
    it.

    `unseen` counts the ledgers in a row whose reads did not show its channel. It is looked up once a ledger at most:
    `absent` counts the answers of nodes that hold its ledgers and do not find it there, `forgotten` those of nodes
    that no longer hold them, `unanswered` the look-ups that failed.
    """

    record: WalRecord
    due: Due | None = None
    sends: int = 0
    queued_at_ledger: int = 0
    receipt: Receipt | None = None
    refused_ledger: int = 0
    sending: bool = False
    unseen: int = 0
    looked_up_ledger: int = 0
    absent: int = 0
    forgotten: int = 0
    unanswered: int = 0

    @property
    def refusal(self) -> str | None:
        """The codes with which a node refused it; None where none did."""
        receipt = self.receipt
        return receipt.detail if receipt is not None and receipt.kind is Sent.REFUSED else None

    def to_resend(self, ledger: int) -> bool:
        """Whether the same bytes should go out again after `ledger`: no queue is known to hold them, or one has held
        them for longer than it should.
        """
        if self.sending or ledger + 1 >= self.record.max_ledger:
            return False
        if self.receipt is None:
            return True
        if self.receipt.kind is Sent.QUEUED:
            return self.queued_at_ledger + RESEND_AFTER_LEDGERS <= ledger
        return self.receipt.kind is not Sent.REFUSED
