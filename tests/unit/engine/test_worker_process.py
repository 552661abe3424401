"""How a worker's process ends."""

from __future__ import annotations

import json
import subprocess
import sys

from helpers.entries import CONTRACT
from sorofast.engine.worker_process import INTERNAL_ERROR
from sorofast.settings import ContractConfig, EngineConfig, KeeperConfig, LogConfig, NetworkConfig

SEED = "S" + "A" * 55
BROKEN = f"""
import sys
from sorofast.engine import worker_process

async def connect(config, member, **others):
    raise KeyError("what nobody expected of {SEED}")

worker_process.connect = connect
sys.exit(worker_process.main())
"""


def test_what_nobody_expected_is_one_event_without_secrets_and_told_to_the_supervisor() -> None:
    config = EngineConfig(
        network=NetworkConfig(rpc_url="http://127.0.0.1:9", passphrase="nowhere"),
        contract=ContractConfig(id=CONTRACT.address),
        keeper=KeeperConfig(),
        log=LogConfig(format="json"),
    )
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        input=config.to_json() + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == INTERNAL_ERROR
    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"]) == ("internal_error", "error")
    assert "KeyError" in event["exception"]
    assert SEED not in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["type"], told["exit_code"]) == ("stopping", INTERNAL_ERROR)
    assert told["reason"].startswith("internal error, KeyError")
