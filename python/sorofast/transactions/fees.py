"""What a run bids for its place in a ledger, and what it may cost at most. Pure: no clock, no I/O.

A strategy is a `FeePolicy`, chosen by its name in `fees.strategy`. A new one is a class here, a line in `_POLICIES` and
a name in `settings.config.FeeStrategy`; whoever builds or explains a bid asks the policy and knows no strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sorofast.settings import FeeConfig, FeeStrategy

__all__ = ["Bid", "FeePolicy", "FixedFee", "fee_policy"]


@dataclass(frozen=True, slots=True)
class Bid:
    """The bid of one run, in stroops: for being included, beside what its resources cost, and the most that both
    together may be.
    """

    inclusion_fee_stroops: int
    max_fee_stroops: int

    def allows(self, fee_stroops: int) -> bool:
        """Whether a run with this whole fee may be sent."""
        return fee_stroops <= self.max_fee_stroops


class FeePolicy(Protocol):
    """One strategy."""

    def bid(self) -> Bid:
        """What a run that is built now bids."""
        ...


@dataclass(frozen=True, slots=True)
class FixedFee:
    """Every run bids what the settings say, whatever the market asks."""

    inclusion_fee_stroops: int
    max_fee_stroops: int

    def bid(self) -> Bid:
        return Bid(self.inclusion_fee_stroops, self.max_fee_stroops)


def _fixed(fees: FeeConfig) -> FeePolicy:
    return FixedFee(fees.inclusion_fee_stroops, fees.max_fee_stroops)


_POLICIES: Mapping[FeeStrategy, Callable[[FeeConfig], FeePolicy]] = {"fixed": _fixed}


def fee_policy(fees: FeeConfig) -> FeePolicy:
    """The policy that the settings name."""
    return _POLICIES[fees.strategy](fees)
