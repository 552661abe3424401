"""A task whose handling kills the worker, every time: it is told apart by what was in hand, and kept out of use."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval

from helpers.contract_calls import invoke, seeded
from helpers.faults.scene import Scenario, Scene
from sorofast.coordination.requests import RETRY
from sorofast.settings import RedisConfig
from sorofast.views.dead import KILLED_WORKERS, ask_for, read_dead

KILLER = 7
DEATHS = 3
BOUND_LEDGERS = 20
"""Three deaths, and as many new workers, come before the others of the killer's shard."""

JUDGING, SIGNING, INGEST, DECODING = "simulate.judging", "build.signing", "ingest.rows", "read.decoding"


def of_its_own_kind(task_id: int) -> dict[str, Any] | None:
    """The killer shares its call with nobody, so it is simulated itself."""
    return calls("bump", scval.to_uint64(9_999)) if task_id == KILLER else None


def overdue(task_id: int) -> dict[str, Any]:
    """All share a call, are due since long ago, and then in an hour."""
    due = {"interval": scval.to_uint64(3_600), "last_run": scval.to_uint64(task_id)}
    return calls("increment") | due


def calls(function: str, *arguments: Any) -> dict[str, Any]:
    return {
        "target": scval.to_address(seeded("target 0")),
        "function": scval.to_symbol(function),
        "args": scval.to_vec(list(arguments)),
        "resolver": scval.to_void(),
    }


async def retire(s: Scene) -> None:
    """The killer's owner pauses it, so that it is not missed."""
    await invoke(s.network, s.network.registry.contract, "pause_task", scval.to_uint64(KILLER))


def told_in_hand(s: Scene) -> list[list[str]]:
    """What each worker that died had in hand, as the log tells."""
    return [event["in_hand"] for event in s.processes.events("worker_died")]


async def quarantined(s: Scene, place: str) -> None:
    """Waits until the killer has struck for the last time, and one line has told so."""
    await s.struck(place, DEATHS, timeout_s=60)
    told = await s.processes.logged("task_quarantined")
    assert told["task"] == KILLER
    assert told["reason"].startswith(f"{DEATHS} workers died while they handled it")
    assert told["fix"]


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_task_that_kills_its_worker_when_it_is_simulated_is_quarantined_and_the_others_run_on(
    scenario: Scenario,
) -> None:
    async with scenario(failpoints=f"{JUDGING}=kill?task={KILLER}", reshape=of_its_own_kind) as s:
        await quarantined(s, JUDGING)
        await retire(s)
        report = await s.judged(bound_ledgers=BOUND_LEDGERS, bent=False)
        assert told_in_hand(s) == [[str(KILLER)]] * DEATHS
        assert len(s.processes.events("task_quarantined")) == 1
    assert s.strikes(JUDGING) == DEATHS
    assert not report.runs_of([KILLER])
    assert {run.task_id for run in report.runs} == set(range(1, 25)) - {KILLER}, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
async def test_a_task_that_kills_its_worker_when_it_is_built_is_found_among_those_built_with_it(
    scenario: Scenario,
) -> None:
    """All are due at once and make the same call, so they are built together, by the one worker there is."""
    kill = f"{SIGNING}=kill?task={KILLER}"
    async with scenario(failpoints=kill, reshape=overdue, workers=1, shards=1, lead_s=0.0) as s:
        await quarantined(s, SIGNING)
        await retire(s)
        report = await s.judged(bound_ledgers=BOUND_LEDGERS, bent=False)
        first, *others = told_in_hand(s)
        assert len(first) > 1, "the killer was alone from the start"
        assert others == [[str(KILLER)]] * (DEATHS - 1)
        assert len(s.processes.events("task_quarantined")) == 1
    assert s.strikes(SIGNING) == DEATHS
    assert sorted(run.task_id for run in report.runs) == sorted(set(range(1, 25)) - {KILLER})
    assert (report.early, report.failed) == (0, 0), report.summary()


@pytest.mark.verify
@pytest.mark.timeout(150)
@pytest.mark.parametrize("place", [INGEST, DECODING])
async def test_a_task_that_kills_whoever_reads_of_it_is_left_alone_until_it_is_cleared(
    scenario: Scenario, place: str
) -> None:
    """Every shard takes in every row, and whoever loads or follows reads its entry, so this one kills every worker. The
    next run could handle it, and does not know that.
    """
    kill = f"{place}=kill?task={KILLER}"

    def runs_of_the_killer() -> int:
        return sum(run.task_id == KILLER for run in s.oracle.runs())

    async with scenario(failpoints=kill, reshape=of_its_own_kind) as s:
        await quarantined(s, place)
        ran = runs_of_the_killer()
        assert await s.run.stop() == 0
        again = await s.start_run(failpoints="")
        await again.ready()
        await s.pass_ledgers(4)
        assert runs_of_the_killer() == ran
        redis = RedisConfig(url=s.valkey.url)
        (letter,) = await read_dead(redis, s.setup.shards)
        assert (letter.id, letter.error) == (KILLER, KILLED_WORKERS)
        await ask_for(redis, RETRY, [letter])
        report = await s.judged(bound_ledgers=BOUND_LEDGERS, bent=False)
    assert len(report.runs_of([KILLER])) > ran, report.summary()
    # It goes on from what the chain says of it now, not from what was known before.
    assert not report.verdicts.no_effect, report.summary()
    assert {run.task_id for run in report.runs} == set(range(1, 25)), report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()
