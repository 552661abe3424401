from __future__ import annotations

import pytest

from sorofast import limits


@pytest.mark.parametrize(
    ("runs", "shards", "channels"), [(0, 16, 64), (20, 16, 64), (100, 16, 300), (1, 1, 4)]
)
def test_channels_follow_load_but_never_starve_a_shard(runs: int, shards: int, channels: int) -> None:
    assert limits.channels_needed(runs, shards) == channels


def test_the_time_bound_never_ends_an_envelope_before_its_ledger_bound() -> None:
    for ledgers in range(limits.ENVELOPE_LEDGERS_MIN, limits.ENVELOPE_LEDGERS_MAX + 1):
        assert limits.max_time_closes(ledgers) >= max(6, ledgers + 1)


def test_combinations_that_cannot_work_are_named_by_key() -> None:
    problems = limits.fleet_problems(
        shards=32, channels=127, inclusion_fee_stroops=2_000, max_fee_stroops=1_000
    )
    assert [key for key, _ in problems] == ["keeper.channels", "fees.inclusion_fee_stroops"]
    assert "128" in problems[0][1]
    assert (
        limits.fleet_problems(shards=32, channels=128, inclusion_fee_stroops=100, max_fee_stroops=100) == []
    )
