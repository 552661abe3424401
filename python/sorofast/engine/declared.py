"""What a template declares, to be compared with another one's and raised above it."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Self

from sorofast import _core
from sorofast.chain.xdr import Footprint, footprint_of
from sorofast.errors import XdrError

__all__ = ["Declared", "raised"]

TOLERANCE = 8
"""Two templates are near each other if they declare the same but for one part in so many."""

_U32_MAX = 2**32 - 1
# The end of a SorobanTransactionData: instructions, bytes read, bytes written, resource fee.
_RESOURCES = struct.Struct(">IIIq")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a template touches and declares, the numbers of the run taken out."""

    footprint: Footprint
    instructions: int
    read_bytes: int
    write_bytes: int
    fee_stroops: int

    @classmethod
    def of(cls, signer: _core.Signer, template: int) -> Self | None:
        """Of the template under that key; None if there is none."""
        facts = signer.template_facts(template)
        if facts is None:
            return None
        return cls(
            footprint_of(facts.read_only, facts.read_write),
            facts.instructions,
            facts.read_bytes,
            facts.write_bytes,
            facts.resource_fee_stroops,
        )

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        return self.instructions, self.read_bytes, self.write_bytes, self.fee_stroops

    def covers(self, other: Declared) -> bool:
        return all(ours >= theirs for ours, theirs in zip(self.amounts, other.amounts, strict=True))

    def serves(self, other: Declared) -> bool:
        """Whether what needs the other one could be built from this one."""
        return self.covers(other) and self.footprint.touches_same(other.footprint)

    def near(self, other: Declared) -> bool:
        """Whether they touch the same, and use the same but for what is tolerated."""
        return self.footprint.touches_same(other.footprint) and all(
            TOLERANCE * abs(ours - theirs) <= max(ours, theirs)
            for ours, theirs in zip(self.amounts, other.amounts, strict=True)
        )


def raised(transaction_data: str, instructions: int, read_bytes: int) -> str:
    """The simulation's answer (base64), declaring so much more."""
    try:
        raw = base64.b64decode(transaction_data, validate=True)
        had, read, write, fee = _RESOURCES.unpack(raw[-_RESOURCES.size :])
    except (ValueError, binascii.Error, struct.error) as error:
        raise XdrError(0, f"no transaction data: {error}") from None
    end = _RESOURCES.pack(min(had + instructions, _U32_MAX), min(read + read_bytes, _U32_MAX), write, fee)
    return base64.b64encode(raw[: -_RESOURCES.size] + end).decode()
