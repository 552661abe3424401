from __future__ import annotations

import pytest
from stellar_sdk import Keypair

from sorofast import _core, limits


@pytest.mark.parametrize(
    ("runs", "shards", "channels"),
    [(0, 16, 64), (6, 16, 64), (20, 16, 128), (100, 16, 384), (1_000, 16, 3_000), (1, 1, 7)],
)
def test_channels_follow_load_and_leave_each_shard_room_for_chance(
    runs: int, shards: int, channels: int
) -> None:
    assert limits.channels_needed(runs, shards) == channels


def test_the_core_derives_as_many_channels_as_the_settings_allow() -> None:
    words = "illness spike retreat truth genius clock brain pass fit cave bargain toe"
    secret = Keypair.from_raw_ed25519_seed(bytes(32)).secret
    signer = _core.Signer("a network", secret, words, limits.CHANNELS_MAX)
    assert len(signer.channels) == 32 * limits.CHANNELS_MAX


def test_combinations_that_cannot_work_are_named_by_key() -> None:
    problems = limits.fleet_problems(
        shards=32, channels=127, inclusion_fee_stroops=2_000, max_fee_stroops=1_000
    )
    assert [key for key, _ in problems] == ["keeper.channels", "fees.inclusion_fee_stroops"]
    assert "128" in problems[0][1]
    assert (
        limits.fleet_problems(shards=32, channels=128, inclusion_fee_stroops=100, max_fee_stroops=100) == []
    )
