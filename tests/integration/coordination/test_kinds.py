"""Two members of a fleet: which calls they build from the template of another call, and when they stop doing so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import structlog
from redis.asyncio import Redis

from helpers import calls
from helpers import entries as make
from helpers.lessons import CODE, KIND, due, entry, simulation, waits_for
from sorofast import _core
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.templates import TemplateStore
from sorofast.engine.kinds import ON_TRIAL_MIN, TRIAL_ROUNDS_MAX, is_kind
from sorofast.engine.templates import FleetTemplates

FEE = 228


class Member:
    """One worker's templates, with a signer of its own."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.signer: _core.Signer = calls.signer()
        self.store = TemplateStore(redis, prefix)
        self.templates = FleetTemplates(self.store, self.signer, make.CONTRACT_RAW, structlog.get_logger())

    def learn(self, arguments: int, task_id: int = 7, *, fee: int = FEE, **simulated: object) -> None:
        said = simulation(task_id, **simulated)  # type: ignore[arg-type]
        self.templates.learn(due(arguments, task_id), said, fee)

    def usable(self, arguments: int, task_id: int = 9) -> bool:
        return self.templates.usable(due(arguments, task_id))


@pytest.fixture
def member(redis: Redis, prefix: str) -> Callable[[], Member]:
    return lambda: Member(redis, prefix)


@pytest.fixture
def one(member: Callable[[], Member]) -> Member:
    return member()


def test_two_calls_that_touch_the_same_speak_for_their_kind(one: Member) -> None:
    one.learn(1)
    assert not one.usable(3)
    # Where the run's own entry stands among the others goes by the task's number.
    one.learn(2, task_id=8)
    assert one.usable(3)
    assert one.signer.template_digest(due(3).template) == one.signer.template_digest(due(1).template)
    ((_, _, fee),) = one.signer.build([(due(3).template, (9,), 0, 1, 1, 1)], 100)
    assert fee == 50_000 + 100
    assert one.templates.fee(due(3).template) == FEE


def test_another_kind_and_a_source_whose_keys_are_its_own_are_not_spoken_for(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    assert not one.templates.usable(due(3, kind=KIND + 1))
    assert not one.templates.usable(due(3, shares=False))


@pytest.mark.parametrize(
    "second",
    [
        {"touches": [entry(2)]},
        {"touches": []},
        {"instructions": 1_300_000},
        {"fee": FEE + 1},
    ],
    ids=["other entries", "fewer entries", "much more work", "another fee"],
)
def test_two_calls_that_differ_keep_their_kind_apart_for_good(one: Member, second: dict[str, object]) -> None:
    one.learn(1, touches=[entry(1)])
    one.learn(2, **({"touches": [entry(1)]} | second))  # type: ignore[arg-type]
    one.learn(3, touches=[entry(1)])
    assert not one.usable(4)
    assert one.usable(1)
    assert one.usable(2)


def test_the_template_of_a_kind_covers_both_it_was_seen_with_and_as_much_again(one: Member) -> None:
    one.learn(1, instructions=1_000_000, fee_stroops=51_000)
    one.learn(2, instructions=1_050_000, fee_stroops=50_000)
    assert one.usable(3)
    lent = one.signer.template_facts(due(3).template)
    own = one.signer.template_facts(due(2).template)
    assert lent is not None
    assert own is not None
    assert lent.instructions == 1_050_000 + 50_000
    assert lent.resource_fee_stroops >= 51_000 + 1_000
    assert (own.instructions, own.resource_fee_stroops) == (1_050_000, 50_000)


def test_a_call_that_uses_less_than_the_kind_declares_is_no_reason_to_part(one: Member) -> None:
    """What the margin adds is no difference between calls."""
    one.learn(1, instructions=1_000_000)
    one.learn(2, instructions=1_140_000)
    one.learn(4, instructions=1_000_000)
    assert one.usable(5)
    one.learn(6, instructions=1_800_000)
    assert not one.usable(7)


def test_tasks_that_wait_for_others_share_nothing(one: Member) -> None:
    """Which others they wait for is not in the kind."""
    one.learn(1, touches=[waits_for(3)])
    one.learn(2, touches=[waits_for(3)])
    assert not one.usable(3)


def test_a_failed_run_ends_the_sharing_and_no_other_is_built(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    assert one.usable(3)
    assert one.usable(4)
    one.templates.drop(due(3).template, outgrown=True)
    assert not one.usable(3)
    assert not one.usable(4)
    assert one.signer.template(due(4).template) is None, "planned, and would be built"
    assert one.usable(1), "those that were simulated keep what they learned"
    one.learn(3)
    one.learn(5)
    assert one.usable(3)
    assert not one.usable(4)


def test_one_run_without_effect_ends_the_sharing_and_gates_no_sibling(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    assert one.usable(3)
    one.templates.gate(due(3).template)
    assert not one.usable(3)
    assert not one.usable(4)
    assert one.usable(1)


def test_a_call_that_was_never_simulated_waits_where_one_like_it_would_have_no_effect(one: Member) -> None:
    one.templates.gate(due(1).template)
    one.learn(2)
    one.learn(3)
    assert not one.usable(1)
    assert not one.usable(4)


def test_twice_as_many_at_once_try_it_for_the_first_time_as_have_done_so(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    tried = [arguments for arguments in range(3, 100) if one.usable(arguments)]
    assert len(tried) == ON_TRIAL_MIN
    assert all(one.usable(arguments) for arguments in tried), "asking again takes no place"
    for arguments in tried:
        one.templates.worked(due(arguments).template)
    one.templates.worked(due(tried[0]).template)
    assert sum(one.usable(arguments) for arguments in range(100, 200)) == 2 * ON_TRIAL_MIN


async def test_one_that_never_ran_gives_up_its_place(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    assert all(one.usable(arguments) for arguments in range(3, 3 + ON_TRIAL_MIN))
    for _ in range(TRIAL_ROUNDS_MAX - 1):
        await one.templates.sync()
    assert not one.usable(100)
    await one.templates.sync()
    assert one.usable(100)


async def test_how_many_have_tried_it_is_known_to_all_and_to_the_next_start(
    one: Member, member: Callable[[], Member]
) -> None:
    one.learn(1)
    one.learn(2)
    await one.templates.sync()
    two = member()
    await two.templates.sync()
    for who, first in ((one, 3), (two, 3 + ON_TRIAL_MIN)):
        for arguments in range(first, first + ON_TRIAL_MIN):
            assert who.usable(arguments)
            who.templates.worked(due(arguments).template)
            await one.templates.sync()
            await two.templates.sync()
    for arguments in range(3, 3 + 2 * ON_TRIAL_MIN):
        assert one.usable(arguments)
        one.templates.worked(due(arguments).template)
    await one.templates.sync()
    later = member()
    await later.templates.sync()
    assert all(later.usable(arguments) for arguments in range(3, 3 + 2 * ON_TRIAL_MIN))
    assert sum(later.usable(arguments) for arguments in range(1_000, 2_000)) <= 6 * ON_TRIAL_MIN


def test_a_shared_entry_that_is_archived_is_so_for_all_of_the_kind_and_a_task_s_own_is_not(
    one: Member,
) -> None:
    shared = [entry(5)]
    one.learn(1, touches=shared)
    one.learn(2, touches=shared)
    assert one.usable(3)
    one.learn(2, touches=shared, archived=[0])
    assert one.usable(3)
    one.learn(2, touches=shared, archived=[1])
    assert not one.usable(3)
    one.learn(4, touches=shared)
    one.learn(5, touches=shared)
    assert one.usable(3)


def test_other_code_begins_anew(one: Member) -> None:
    one.learn(1)
    one.learn(2)
    assert one.usable(3)
    assert make.TARGET_RAW in one.templates.watched()
    one.templates.code_changed({make.TARGET_RAW: CODE})
    assert one.usable(3)
    one.templates.code_changed({make.TARGET_RAW: b"d" * 32})
    assert not one.usable(3)
    assert one.signer.template(due(3).template) is None
    one.learn(1)
    assert not one.usable(3)
    one.learn(2)
    assert one.usable(3)


async def test_what_one_member_knows_of_a_kind_all_do_and_the_next_start_does(
    one: Member, member: Callable[[], Member]
) -> None:
    two = member()
    one.learn(1)
    await one.templates.sync()
    await two.templates.sync()
    two.learn(2)
    assert two.usable(3)
    await two.templates.sync()
    await one.templates.sync()
    assert one.usable(3)
    assert one.templates.fee(due(3).template) == FEE

    one.templates.drop(due(3).template, outgrown=True)
    await one.templates.sync()
    await two.templates.sync()
    assert not two.usable(3)
    assert not two.usable(4)
    later = member()
    await later.templates.sync()
    assert later.usable(1)
    assert not later.usable(4)


async def test_a_member_that_did_not_know_better_does_not_bring_the_sharing_back(
    one: Member, member: Callable[[], Member]
) -> None:
    two = member()
    one.learn(1, touches=[entry(1)])
    two.learn(2, touches=[entry(1)])
    one.learn(3, touches=[entry(3)])
    two.learn(4, touches=[entry(1)])
    for _ in range(2):
        await one.templates.sync()
        await two.templates.sync()
    later = member()
    await later.templates.sync()
    assert [who.usable(9) for who in (one, two, later)] == [False, False, False]


async def test_what_is_known_of_a_kind_is_under_the_key_of_no_call(
    one: Member, redis: Redis, prefix: str
) -> None:
    """Not even of one whose arguments hash to 0."""
    one.learn(0)
    own = one.signer.template_digest(due(0).template)
    one.learn(1, instructions=1_050_000)
    await one.templates.sync()
    keys = {int(key) for key in await redis.hkeys(FleetKeys.of(prefix).templates) if key}
    assert {key for key in keys if not is_kind(key)} == {due(0).template, due(1).template}
    assert len(keys) == 3
    assert one.usable(2)
    assert one.signer.template_digest(due(0).template) == own


async def test_new_code_is_new_to_every_member(one: Member, member: Callable[[], Member]) -> None:
    two = member()
    one.learn(1)
    one.learn(2, touches=[entry(1)])
    await one.templates.sync()
    await two.templates.sync()
    two.templates.code_changed({make.TARGET_RAW: b"d" * 32})
    await two.templates.sync()
    await one.templates.sync()
    for who in (one, two):
        who.learn(1)
        who.learn(2)
        assert who.usable(3)
