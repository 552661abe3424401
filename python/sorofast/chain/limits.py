"""How much one transaction may read and write on the network at present, by a vote of its validators."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from sorofast.chain.fields import Fields
from sorofast.chain.rpc import RpcClient
from sorofast.chain.xdr import Footprint
from sorofast.errors import BodyError

__all__ = ["TransactionLimits", "read_limits"]

# LedgerKey and LedgerEntryData of CONFIG_SETTING (8), CONFIG_SETTING_CONTRACT_LEDGER_COST_V0 (2). Four limits of a
# ledger come first, then the four of a transaction.
_KINDS = (8, 2)
_KEY = struct.pack(">II", *_KINDS)
_ENTRY = struct.Struct(">10I")


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """The most that one transaction may declare. An archived entry counts as read from disk."""

    read_entries: int
    read_bytes: int
    write_entries: int
    write_bytes: int

    def calling(self, footprint: Footprint) -> float:
        """How much of what is possible a call takes, where it takes the most; above 1 no ledger takes it."""
        return self._share(footprint, len(footprint.archived))

    def restoring(self, footprint: Footprint) -> float:
        """The same of an operation that restores: all it names counts as read from disk."""
        return self._share(footprint, len(footprint.read_write))

    def _share(self, footprint: Footprint, read_entries: int) -> float:
        return max(
            read_entries / self.read_entries,
            footprint.read_bytes / self.read_bytes,
            len(footprint.read_write) / self.write_entries,
            footprint.write_bytes / self.write_bytes,
        )


async def read_limits(rpc: RpcClient) -> TransactionLimits:
    """The limits in force. BodyError, among what a call may raise, where the node does not tell them."""
    result = await rpc.call("getLedgerEntries", {"keys": [base64.b64encode(_KEY).decode()]})
    entries = Fields("getLedgerEntries", result).objects("entries")
    if not entries:
        raise BodyError("getLedgerEntries was answered without the setting of a transaction's limits")
    try:
        kind, setting, *limits = _ENTRY.unpack_from(base64.b64decode(entries[0].text("xdr")))
    except (ValueError, struct.error) as error:
        raise BodyError(f"getLedgerEntries was answered with an entry that is none: {error}") from error
    if (kind, setting) != _KINDS or not all(limits):
        raise BodyError("getLedgerEntries was answered with another entry than the limits asked for")
    return TransactionLimits(*limits[4:])
