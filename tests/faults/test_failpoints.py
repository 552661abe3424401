"""Workers that are killed or stopped at every step from plan to record, one step after the other."""

from __future__ import annotations

import asyncio

import pytest

from helpers.faults.oracle import Judgement
from helpers.faults.scene import Scenario, Scene
from sorofast.coordination.leases import LEASE_TTL_S
from sorofast.failpoints import FIELDS, NAMES

LOAD = {"tasks": 36, "due_per_ledger": 4}

STEPS = {
    "before anything is claimed": ("plan.simulated@2", "build.done@4", "claim.before@6"),
    "between claim and send": ("claim.committed@3", "send.before@6"),
    "between send and record": (
        "send.answered@4",
        "settle.judged@6",
        "settle.before@8",
        "settle.committed@10",
    ),
    "while the ledger is told": ("follow.read@6", "follow.published@9"),
}
"""Where a worker dies, at its own N-th pass: one kill a place and scene, since a slot that died five times ends the
run."""

BOUND_LEDGERS = 12
"""An interpreter that starts anew takes seconds on a machine that has other work, and a slot may do so four times."""

SCATTERED = {"settle.looked_up", "snapshot.before", "handover.before", *FIELDS}
"""Have scenes of their own: they need something else to happen first, or strike for one task: `test_killer_tasks`."""


def test_every_failpoint_has_its_scene() -> None:
    struck = {place.partition("@")[0] for places in STEPS.values() for place in places}
    assert struck | SCATTERED == set(NAMES)


def kills(*places: str) -> str:
    """A kill at each place, once in the scene."""
    return ";".join(f"{name}=kill@{at}*1" for name, _, at in (place.partition("@") for place in places) if at)


async def killed_and_judged(s: Scene, *names: str) -> Judgement:
    for name in names:
        await s.struck(name, timeout_s=60)
    report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS)
    assert [s.strikes(name) for name in names] == [1] * len(names)
    died = [event for event in s.processes.events("worker_died") if event["exit_code"] == -9]
    assert len(died) == len(names), died
    assert report.executed >= s.setup.tasks, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()
    return report


@pytest.mark.parametrize(
    "step",
    [
        step if step == "between send and record" else pytest.param(step, marks=pytest.mark.verify)
        for step in STEPS
    ],
)
async def test_a_worker_killed_costs_no_run_and_doubles_none(scenario: Scenario, step: str) -> None:
    async with scenario(failpoints=kills(*STEPS[step]), **LOAD) as s:
        await killed_and_judged(s, *(place.partition("@")[0] for place in STEPS[step]))


@pytest.mark.verify
async def test_a_worker_killed_with_the_answer_to_a_lookup_in_hand_costs_nothing(scenario: Scenario) -> None:
    """A run without effect is looked up: its resolver says no, after its call was learned."""
    async with scenario(failpoints=kills("settle.looked_up@1"), **LOAD) as s:
        await s.pass_ledgers(6)
        await s.turn_resolvers(False)
        await s.struck("settle.looked_up", timeout_s=60)
        await s.turn_resolvers(True)
        report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS)
    assert report.verdicts.no_effect, report.summary()


@pytest.mark.verify
async def test_a_worker_killed_while_it_loads_or_hands_over_costs_nothing(scenario: Scenario) -> None:
    async with scenario(failpoints=kills("snapshot.before@2", "handover.before@1"), **LOAD) as s:
        # A second run takes its share, so the first has to hand over.
        second = await s.start_run(1, failpoints="")
        await second.ready()
        for name in ("snapshot.before", "handover.before"):
            await s.struck(name, timeout_s=60)
        report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS)
    assert report.executed >= s.setup.tasks, report.summary()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("claim.committed@3", marks=pytest.mark.verify),
        pytest.param("send.before@3", marks=pytest.mark.verify),
        pytest.param("settle.before@5", marks=pytest.mark.verify),
    ],
)
async def test_a_worker_that_stood_still_at_a_step_past_its_lease_goes_on_harmlessly(
    scenario: Scenario, place: str
) -> None:
    """What it claimed was taken over; the bytes it still sends are the same ones, and what it writes is refused."""
    name, _, at = place.partition("@")
    async with scenario(failpoints=f"{name}=stop@{at}*1", **LOAD) as s:
        await s.struck(name)
        (stopped,) = [pid for pid in s.processes.workers() if s.processes.states(pid) == ["stopped"]]
        try:
            await s.processes.logged("shards_held", lambda event: len(event["shards"]) == s.setup.shards)
            await s.pass_ledgers(int(LEASE_TTL_S))
        finally:
            await asyncio.to_thread(s.processes.go_on, stopped)
        report = await s.judged(ledgers=10, bound_ledgers=BOUND_LEDGERS)
    assert report.executed >= s.setup.tasks, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()
