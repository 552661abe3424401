"""The division of shards: complete, disjoint, even, the same for everybody, and calm when members change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sorofast.coordination.members import fair_share, schema_for_all

names = st.sets(st.text("abcdef0123456789-:.", min_size=1, max_size=12), min_size=1, max_size=12)


@given(names, st.integers(0, 64))
def test_every_shard_has_one_owner_and_nobody_two_more_than_another(members: set[str], shards: int) -> None:
    shares = [fair_share(members, shards, me) for me in members]
    assert sorted(shard for share in shares for shard in share) == list(range(shards))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(names, st.integers(1, 64), st.randoms())
def test_the_order_in_which_members_are_seen_does_not_matter(
    members: set[str], shards: int, random: object
) -> None:
    me = min(members)
    assert fair_share(sorted(members), shards, me) == fair_share(sorted(members, reverse=True), shards, me)
    assert fair_share([*members, *members], shards, me) == fair_share(members, shards, me)


def test_a_member_not_seen_yet_counts_itself_in() -> None:
    assert fair_share([], 4, "me") == {0, 1, 2, 3}
    assert fair_share(["a"], 4, "b") == fair_share(["a", "b"], 4, "b")


def test_few_shards_move_when_one_of_four_dies() -> None:
    members = [f"host-{number}" for number in range(4)]
    before = {member: fair_share(members, 64, member) for member in members}
    left = members[:3]
    moved = sum(len(before[member] - fair_share(left, 64, member)) for member in left)
    assert moved <= 8  # the 16 of the dead one must move; of the other 48 nearly all stay


def test_records_are_written_so_that_every_live_member_reads_them() -> None:
    assert schema_for_all([]) == 2
    assert schema_for_all([{"reads": 2}, {"reads": 3}]) == 2
    assert schema_for_all([{"reads": 2}, {"pid": 5}]) == 1
    assert schema_for_all([{"reads": 2}, {"reads": "two"}]) == 1
    assert schema_for_all([{"reads": 0}]) == 1
