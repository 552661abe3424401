"""What cannot work is refused in one clear line with the right exit code; one bad task stops no other."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import scval

from helpers.demo import Trial, fleet_of, network_of, options_of
from sorofast import _core
from sorofast.audit import seed
from sorofast.demo.network import DemoNetwork

RUN_TIMEOUT_S = 60
OTHER_CONTRACT = _core.contract_from_bytes(bytes(range(32)))


async def run_to_its_end(config: Path) -> tuple[int, list[str]]:
    """`sorofast run` with this file: exit code, and what it said on stderr that is no log event."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOROFAST_", "STELLAR_"))
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sorofast", "run", "--config", str(config), "--log-format", "json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(RUN_TIMEOUT_S):
        _, stderr = await process.communicate()
    assert process.returncode is not None
    lines = [line for line in stderr.decode().splitlines() if line and not line.startswith("{")]
    return process.returncode, lines


def with_value(key: str, value: str) -> Callable[[str], str]:
    """Replaces `key` in a settings file."""

    def change(text: str) -> str:
        lines = text.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} = "))
        lines[at] = f"{key} = {json.dumps(value)}"
        return "\n".join(lines)

    return change


@pytest.mark.timeout(120)
async def test_a_run_that_cannot_work_says_why_and_ends_with_the_right_code(tmp_path: Path) -> None:
    options = options_of(tasks=20)
    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet", channels=64) as fleet,
        Trial(network, options),
    ):
        secret = fleet.directory / "bad.secret"
        secret.write_text("SBADSECRETBADSECRET\n", encoding="utf-8")
        secret.chmod(0o600)
        loose = fleet.directory / "loose.secret"
        loose.write_text((fleet.directory / "keeper.secret").read_text(encoding="utf-8"), encoding="utf-8")
        loose.chmod(0o644)
        cases: list[tuple[str, str, int, str]] = [
            ("id", OTHER_CONTRACT, 3, OTHER_CONTRACT),
            ("id", network.registry.targets[0], 3, "not a task registry"),
            ("id", "CNOTANADDRESS", 3, "contract"),
            ("passphrase", "Public Global Stellar Network ; September 2015", 3, "passphrase"),
            ("rpc_url", "http://127.0.0.1:9/rpc", 4, "127.0.0.1:9"),
            ("url", "redis://127.0.0.1:9/0", 4, "127.0.0.1:9"),
            ("secret_file", "bad.secret", 3, "bad.secret"),
            ("secret_file", "loose.secret", 3, "chmod 600"),
            ("secret_file", "none.secret", 3, "none.secret"),
        ]
        text = fleet.config_path.read_text(encoding="utf-8")
        for number, (key, value, code, word) in enumerate(cases):
            config = fleet.directory / f"case-{number}.toml"
            config.write_text(with_value(key, value)(text), encoding="utf-8")
            actual, lines = await run_to_its_end(config)
            said = "\n".join(lines)
            assert actual == code, f"{key} = {value}: exit code {actual}, {said}"
            assert len(lines) == 1, f"{key} = {value}: {said}"
            assert word in said, f"{key} = {value}: {said}"
            assert "SBADSECRET" not in said
            assert "Traceback" not in said


async def add_bad_tasks(network: DemoNetwork) -> tuple[int, int]:
    """Adds a task whose target panics and one whose entry does not decode; returns their ids."""
    latest = (await network.admin.stats()).latest_ledger
    code = await network._upload("always_panics")
    registry = replace(network.registry, targets=(OTHER_CONTRACT,))
    panics, broken = len(network.specs) + 1, len(network.specs) + 2
    spec = replace(
        network.specs[0],
        task_id=panics,
        target=0,
        function="run",
        key=None,
        resolver=None,
        interval_s=20,
        phase=0.0,
    )
    first_due_s = (await network.admin.ledgers(latest))[-1].close_time + 5
    entries = [(seed._instance(OTHER_CONTRACT, code, {}, latest), latest + seed.TTL_LEDGERS)]
    entries += seed.task_entries(registry, [spec], network.keeper.public_key, first_due_s, latest)
    key = scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(broken)])
    garbage = seed._data(network.registry.contract, key, scval.to_string("no task at all"), latest)
    counter = seed._data(
        network.registry.contract, scval.to_vec([scval.to_symbol("Counter")]), scval.to_uint64(broken), latest
    )
    entries += [(garbage, latest + seed.TTL_LEDGERS), (counter, latest + seed.TTL_LEDGERS)]
    await network.admin.put_entries(entries)
    return panics, broken


@pytest.mark.timeout(240)
async def test_a_panicking_target_and_a_broken_entry_stop_nobody_else(tmp_path: Path) -> None:
    options = options_of(tasks=100, workers=2, due_per_ledger=5)
    skips: dict[int, set[str]] = {}
    reasons: set[str] = set()

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "task_skipped":
            skips.setdefault(event["task"], set()).add(event["reason"])
        elif event["event"] == "task_undecodable":
            skips.setdefault(event["task"], set()).add("undecodable")
        elif event["event"] == "ledger":
            reasons.update(event["skipped"])

    async with (
        network_of(options) as network,
        fleet_of(network, tmp_path / "fleet") as fleet,
        Trial(network, options) as trial,
    ):
        panics, broken = await add_bad_tasks(network)
        async with fleet.run(2, hear) as run:
            await run.ready()
            await run.wait_for(lambda _: panics in skips, "skip the panicking task", 60)
            await trial.pass_until_due()
            await trial.pass_ledgers(20)
            report = await trial.end(run)
    assert skips[panics] == {"target_panics"}
    assert "undecodable" in skips[broken]
    assert {"undecodable"} <= reasons
    assert (report.missed, report.duplicates, report.failed) == (0, 0, 0), report
    assert report.executed > 20, report
