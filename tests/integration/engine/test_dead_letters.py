"""A failed run is told once with its cause and its price, ends as a dead letter, and comes back when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import scval

from helpers.settling import Small, client_of, small_fleet
from sorofast.executions.key import Execution
from sorofast.registry.store import Registry
from sorofast.transactions.oneshot import invoke

TASK = 5
GAS_BELOW_FEE, GAS = 50, 10**9
TRIES = 5


async def ran(small: Small, task_id: int, after_ms: int = 0) -> bool:
    return any(
        entry.outcome == "executed"
        and entry.at_ms > after_ms
        and Execution.parse(entry.execution).id == task_id
        for entry in await small.history()
    )


async def due_s(small: Small) -> int:
    async with client_of(small) as rpc:
        registry = Registry(rpc, small.network.registry.contract, bytes(32))
        async for task in registry.tasks([TASK]):
            return task.row.due_s
    raise AssertionError("the task is gone")


async def close_s(small: Small) -> int:
    return (await small.admin.ledgers(await small.latest_ledger()))[-1].close_time


async def fail(small: Small) -> dict[str, Any]:
    """Takes the task's gas away, and waits for the failure to be told.

    No event tells the fleet, so the gas goes just before the task is due. A sweep that reads the task again in that
    very moment keeps the fleet from paying for it; then the next run is tried.
    """
    before = len(small.told("run_failed"))
    for _ in range(TRIES):
        due = await due_s(small)

        async def close_to_it(due: int = due) -> bool:
            return await close_s(small) >= due - 2

        await small.until(close_to_it, "the task is about to fall due")
        await small.change_task(TASK, gas_balance=scval.to_int128(GAS_BELOW_FEE))

        async def over(due: int = due) -> bool:
            return bool(small.told("run_failed")[before:]) or await close_s(small) >= due + 6

        await small.until(over, "the run fails, or is not sent")
        if lines := small.told("run_failed")[before:]:
            return lines[-1]
        await give_gas(small)
        ran_at = (await small.history())[-1].at_ms

        async def runs_again(ran_at: int = ran_at) -> bool:
            return await ran(small, TASK, ran_at)

        await small.until(runs_again, "the task runs again")
    raise AssertionError(f"in {TRIES} runs the fleet never paid for one that it could not know to fail")


async def give_gas(small: Small) -> None:
    """Gives the task gas again, and makes an event of it, as a deposit would."""
    await small.change_task(TASK, gas_balance=scval.to_int128(GAS))
    network, task = small.network, scval.to_uint64(TASK)
    async with client_of(small) as rpc:
        for function in ("pause_task", "resume_task"):
            await invoke(
                rpc,
                network.urls.network_passphrase,
                network.keeper,
                network.registry.contract,
                function,
                [task],
            )


@pytest.mark.timeout(240)
async def test_a_failed_run_is_told_shown_and_retried_by_name(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, settings="[retry]\nmax_attempts = 1\n") as small:
        await small.start()
        await small.until(lambda: ran(small, TASK), "the task runs")
        line = await fail(small)
        assert line["task"] == TASK
        assert line["error"] == "InsufficientBalance"
        assert "the registry refused: InsufficientBalance" in line["reason"]
        assert line["fee_stroops"] > 100
        assert "dead letter" in line["then"]

        shown = (await small.command("dead", "list", "-o", "json")).json
        assert shown["errors"] == [
            {"error": "InsufficientBalance", "count": 1, "reason": line["reason"], "ids": [TASK]}
        ]
        shown = (await small.command("dead", "show", str(TASK), "-o", "json")).json
        assert shown["dead"][0]["reason"] == line["reason"]
        assert shown["attempts"][0]["transaction"] == line["hash"]

        (entry, *_) = (await small.command("tasks", "history", str(TASK), "-o", "json")).json
        assert (entry["outcome"], entry["transaction"]) == ("failed", line["hash"])
        assert (entry["fee_stroops"], entry["ledger"]) == (line["fee_stroops"], line["ledger"])
        assert entry["dead"]
        failed = (await small.command("runs", "--failed", "-o", "json")).json
        assert [run["transaction"] for run in failed] == [line["hash"]]
        told = (await small.command("tasks", "explain", str(TASK), "-o", "json")).json
        assert told["state"] == "dead"
        assert line["reason"] in told["waits_for"]

        await give_gas(small)
        asked = await small.command("dead", "retry", "--error", "InsufficientBalance")
        assert (asked.code, asked.out) == (0, "1 dead letter is tried again by the fleet's next ledger\n")
        asked_at = await small.latest_ledger()

        async def taken_up() -> bool:
            return bool(small.told("dead_letter_retried", task=TASK))

        await small.until(taken_up, "the request is carried out")
        before = small.events[: small.events.index(small.told("dead_letter_retried")[0])]
        taken_up_in = 1 + max(event["ledger"] for event in before if event["event"] == "ledger")
        assert taken_up_in <= asked_at + 2
        await small.until(lambda: ran(small, TASK, entry["at_ms"]), "the task runs again")
        assert (await small.command("dead", "list", "-o", "json")).json["count"] == 0
        assert len(small.told("run_failed")) == 1
        assert not small.told("worker_died")


@pytest.mark.timeout(240)
async def test_a_purged_dead_letter_is_gone_and_asking_waits_for_a_yes(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, settings="[retry]\nmax_attempts = 1\n") as small:
        run = await small.start()
        await small.until(lambda: ran(small, TASK), "the task runs")
        await fail(small)
        refused = await small.command("dead", "purge", str(TASK))
        assert (refused.code, "--yes" in refused.err) == (2, True)
        missing = await small.command("dead", "retry", "77")
        assert (missing.code, "no dead letter" in missing.err) == (1, True)
        # Whoever owns the shard next carries it out.
        assert await run.stop() == 0
        assert (await small.command("dead", "purge", "--all", "-y")).code == 0
        waiting = (await small.command("dead", "list", "-o", "json")).json
        assert [letter["asked"] for letter in waiting["dead"]] == ["purge"]
        await small.start()

        async def gone() -> bool:
            return (await small.command("dead", "list", "-o", "json")).json["count"] == 0

        await small.until(gone, "the dead letter is gone")
        assert len(small.told("dead_letter_purged", task=TASK)) == 1
        await small.change_task(TASK, gas_balance=scval.to_int128(GAS))
        told = (await small.command("tasks", "explain", str(TASK), "-o", "json")).json
        assert told["state"] == "backing_off", told
        assert not small.told("worker_died")
