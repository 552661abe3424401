"""Every key of a script must live in one slot, whatever the prefix."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from redis.crc import key_slot

from sorofast.coordination.keys import FleetKeys, ShardKeys, shard_name, shard_number
from sorofast.errors import ConfigError
from sorofast.limits import SHARDS_MAX


def slots(keys: FleetKeys | ShardKeys) -> set[int]:
    return {key_slot(key.encode()) for key in astuple(keys)}


@pytest.mark.parametrize("prefix", ["sorofast", "a:b", "team-7.prod"])
def test_keys_that_scripts_touch_together_share_a_slot(prefix: str) -> None:
    assert slots(FleetKeys.of(prefix)) == {key_slot(b"fleet")}
    for shard in (0, 7, 15, 100, SHARDS_MAX - 1):
        assert slots(ShardKeys.of(prefix, shard)) == {key_slot(f"fleet:{shard_name(shard)}".encode())}


def test_keys_are_what_an_operator_looks_for() -> None:
    assert FleetKeys.of("sorofast").ledgers == "sorofast:{fleet}:ledgers"
    assert ShardKeys.of("sorofast", 7).wal == "sorofast:{fleet:s07}:wal"


def test_keys_of_different_shards_and_prefixes_differ() -> None:
    everything = [
        key
        for prefix in ("a", "b")
        for keys in (FleetKeys.of(prefix), *(ShardKeys.of(prefix, shard) for shard in range(20)))
        for key in astuple(keys)
    ]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("prefix", ["", "{own}", "with space", "x" * 65, "new\nline"])
def test_a_prefix_that_would_move_the_hash_tag_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\.prefix"):
        FleetKeys.of(prefix)


def test_shard_names_go_both_ways() -> None:
    assert [shard_name(shard) for shard in (0, 7, 99, 100)] == ["s00", "s07", "s99", "s100"]
    assert all(shard_number(shard_name(shard)) == shard for shard in range(SHARDS_MAX))
    for name in ("follower", "s7", "s-1", "s", "", "s٣٣"):
        with pytest.raises(ValueError):
            shard_number(name)
    with pytest.raises(ValueError):
        shard_name(SHARDS_MAX)
