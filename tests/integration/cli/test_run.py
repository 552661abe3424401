"""`run`: refuses at once what cannot work, with the code and the line that belong to it; else runs and drains."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import Address

from helpers.operator import Network, sorofast

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUN_DEADLINE_S = 60.0


@pytest.mark.parametrize(
    ("changes", "code", "kind"),
    [
        ({"contract__id": Address.from_raw_contract(bytes(32)).address}, 3, "WrongContract"),
        ({"network__passphrase": "Test SDF Network ; September 2015"}, 3, "WrongPassphrase"),
        ({"network__rpc_url": "http://127.0.0.1:{closed}"}, 4, "RpcUnreachable"),
        ({"redis__url": "redis://127.0.0.1:{closed}/0"}, 4, "RedisUnreachable"),
        ({"keeper__secret_file": "{folder}/none"}, 3, "SecretError"),
        ({"keeper__channel_seed_file": "{folder}/none"}, 3, "SecretError"),
    ],
    ids=["contract", "passphrase", "rpc", "redis", "secret", "seed"],
)
async def test_a_run_with_unusable_settings_is_refused(
    network: Network,
    channels: None,
    closed_port: int,
    tmp_path: Path,
    changes: dict[str, str],
    code: int,
    kind: str,
) -> None:
    changed = {key: text.format(closed=closed_port, folder=tmp_path) for key, text in changes.items()}
    config = network.config("refused", **({"redis__dir": str(tmp_path)} | changed))
    done = await sorofast("run", "--workers", "1", "-c", config, "-o", "json")
    assert (done.code, done.error["kind"], done.error["exit_code"]) == (code, kind, code), done.err
    assert done.out == ""


async def test_a_registered_task_runs_and_sigterm_drains(
    network: Network, channels: None, tmp_path: Path
) -> None:
    config = network.config("run", redis__dir=str(tmp_path))
    ids = []
    for function in ("increment", "no_such_function"):
        registered = await sorofast(
            "tasks", "register", "--target", network.target, "--function", function, "--interval", "1h",
            "--gas", "100000", "-c", config, "-o", "json",
        )  # fmt: skip
        ids.append(registered.json["id"])
    task_id, failing_id = ids
    log = (tmp_path / "run.log").open("wb")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOROFAST_", "STELLAR_"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sorofast", "run", "--workers", "2", "-c", config, "-o", "json",
        env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip
    log.close()
    try:
        shown: dict[str, Any] = {}
        async with asyncio.timeout(RUN_DEADLINE_S):
            while not shown.get("last_run_s"):
                assert process.returncode is None, (tmp_path / "run.log").read_text(encoding="utf-8")
                shown = (await sorofast("tasks", "show", str(task_id), "-c", config, "-o", "json")).json
        assert shown["state"] == "waiting"
        # What fails in a simulation costs nothing and is in no record, and still the operator is told why.
        told = (await sorofast("tasks", "explain", str(failing_id), "-c", config, "-o", "json")).json
        assert (told["state"], told["runs"]) == ("due", [])
        assert "has no function no_such_function" in told["waits_for"]
        status = (await sorofast("status", "-c", config, "-o", "json")).json
        assert len(status["members"]) == 2
        assert all(shard["owner"] for shard in status["shards"])
        assert status["ledger"]["sequence"] > 0
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), RUN_DEADLINE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
