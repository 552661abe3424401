"""One claimed envelope on its way: how often its bytes may have left, and what the network last said about it."""

from __future__ import annotations

from dataclasses import dataclass

from sorofast.executions.records import WalRecord
from sorofast.transactions.submit import Receipt, Sent

__all__ = ["Flight"]

RESEND_AFTER_LEDGERS = 2


@dataclass(slots=True)
class Flight:
    """A claimed envelope. `sends` counts how often its bytes may have left; an inherited one counts as sent.

    `unseen` counts the ledgers in a row whose reads did not show its channel. It is looked up once a ledger at most:
    `absent` counts the answers of nodes that hold its ledgers and do not find it there, `forgotten` those of nodes
    that no longer hold them, `unanswered` the look-ups that failed.
    """

    record: WalRecord
    sends: int = 0
    queued_at_ledger: int = 0
    receipt: Receipt | None = None
    sending: bool = False
    unseen: int = 0
    looked_up_ledger: int = 0
    absent: int = 0
    forgotten: int = 0
    unanswered: int = 0

    def provably_unsent(self, epoch: int) -> bool:
        """Whether nobody's queue can hold it: a refusal answered the one send there was, under the epoch that claimed
        it.
        """
        refused = self.receipt is not None and self.receipt.kind is Sent.REFUSED
        return refused and self.sends == 1 and self.record.epoch == epoch and not self.sending

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
