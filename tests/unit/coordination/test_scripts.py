"""What can be said about the Lua files without a server."""

from __future__ import annotations

import re

import pytest

from sorofast.coordination.scripts import key_count, script_names, script_text

KEYLESS = re.compile(r"redis\.p?call\('(?P<command>[A-Z]+)'(?:, (?P<first>[^,)]+))?")
FENCED = {"answer_requests-4", "commit_ledger-6", "confirm_channels-2", "store_snapshot-2"}
NEWER_THAN_7_0 = ("HEXPIRE", "HPEXPIRE", "XACKDEL", "XDELEX", "HGETEX", "HSETEX", "HGETDEL", "WAITAOF")


@pytest.mark.parametrize("name", script_names())
def test_scripts_name_every_key_they_touch(name: str) -> None:
    """A key that is not in KEYS would escape the cluster's slot check; a lease argument is one of KEYS."""
    for found in KEYLESS.finditer(script_text(name)):
        if found["command"] != "TIME":
            assert re.fullmatch(r"KEYS\[\d+\]|lease|key", found["first"] or ""), found[0]


@pytest.mark.parametrize("name", script_names())
def test_scripts_use_nothing_newer_than_redis_7_0(name: str) -> None:
    text = script_text(name)
    assert not [command for command in NEWER_THAN_7_0 if command in text]
    assert key_count(name) >= 1


def test_what_writes_a_shard_is_fenced_before_anything_else() -> None:
    fenced = {name for name in script_names() if "-- @include fence_shard" in raw(name)}
    assert fenced == FENCED
    for name in FENCED:
        _, _, body = raw(name).partition("-- @include fence_shard\n")
        assert body.startswith("local refused = fence_shard(KEYS[1], ARGV[1], ARGV[2], ARGV[3])")


def raw(name: str) -> str:
    from importlib.resources import files

    return (files("sorofast.coordination") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def test_includes_are_filled_in() -> None:
    assert all("@include" not in script_text(name) for name in script_names())
    assert "local function fence_shard" in script_text("commit_ledger-6")
