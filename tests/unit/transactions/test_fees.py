"""What a run bids, and what it may cost at most."""

from __future__ import annotations

from typing import get_args

import pytest

from sorofast.settings import FeeConfig, FeeStrategy
from sorofast.transactions.fees import Bid, fee_policy


def test_a_fixed_fee_bids_what_the_settings_say() -> None:
    fees = FeeConfig(strategy="fixed", inclusion_fee_stroops=700, max_fee_stroops=90_000)
    assert fee_policy(fees).bid() == Bid(inclusion_fee_stroops=700, max_fee_stroops=90_000)


@pytest.mark.parametrize(
    ("fee_stroops", "allowed"), [(0, True), (89_999, True), (90_000, True), (90_001, False)]
)
def test_a_run_may_cost_its_bids_most_and_not_a_stroop_more(fee_stroops: int, allowed: bool) -> None:
    assert Bid(inclusion_fee_stroops=700, max_fee_stroops=90_000).allows(fee_stroops) is allowed


def test_a_fee_is_fixed_unless_the_settings_say_otherwise() -> None:
    assert fee_policy(FeeConfig()).bid() == Bid(
        FeeConfig().inclusion_fee_stroops, FeeConfig().max_fee_stroops
    )


@pytest.mark.parametrize("strategy", get_args(FeeStrategy))
def test_every_strategy_that_the_settings_take_makes_bids_below_its_most(strategy: FeeStrategy) -> None:
    bid = fee_policy(FeeConfig(strategy=strategy)).bid()
    assert 0 < bid.inclusion_fee_stroops <= bid.max_fee_stroops
