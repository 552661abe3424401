"""Every execution comes to an end, whatever the RPC still remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.settling import Small, kill, small_fleet
from sorofast.executions.key import Execution
from sorofast.executions.records import WalRecord

RETENTION = 12


async def check_all_end(small: Small, left: list[WalRecord], landed: set[str]) -> None:
    """What was in flight ends as the ledger had it, and its tasks and channels work again."""
    ends = await small.until(lambda: small.all_ended(left), "everything that was in flight ends")
    for tx_hash, end in ends.items():
        assert end.outcome == ("executed" if tx_hash in landed else "expired"), end
    asked_too_late = [end for end in ends.values() if "no longer holds" in str(end.detail["reason"])]
    assert asked_too_late, "no envelope was past the retention, so this proves nothing"
    subjects = {record.key.subject for record in left}
    channels = {record.channel for record in left}

    async def at_work_again() -> bool:
        later = [entry for entry in await small.history() if entry.hash not in ends]
        ran = {Execution.parse(entry.execution).subject for entry in later if entry.outcome == "executed"}
        used = {entry.detail["channel"] for entry in later}
        return subjects <= ran and bool(channels & used)

    await small.until(at_work_again, "the tasks that were in flight run again, on the channels as well")


@pytest.mark.timeout(120)
async def test_what_a_killed_engine_had_in_flight_ends_though_the_rpc_has_forgotten_its_ledgers(
    tmp_path: Path,
) -> None:
    async with small_fleet(tmp_path, retention=RETENTION) as small:
        run = await small.start()
        left, landed = await small.deaf_with_work_in_flight()
        await kill(run)
        await small.admin.advance(2 * RETENTION)
        await small.admin.clear_faults()
        await small.start()
        await check_all_end(small, left, landed)


@pytest.mark.timeout(120)
async def test_what_a_deaf_engine_had_in_flight_ends_though_the_rpc_has_forgotten_its_ledgers(
    tmp_path: Path,
) -> None:
    async with small_fleet(tmp_path, retention=RETENTION) as small:
        await small.start()
        left, landed = await small.deaf_with_work_in_flight()
        await small.admin.advance(2 * RETENTION)
        await small.admin.clear_faults()
        await check_all_end(small, left, landed)
