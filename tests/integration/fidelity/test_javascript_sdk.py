"""The public JavaScript SDK from npm against the sandbox, its tests run by node's own runner."""

from __future__ import annotations

from pathlib import Path

from helpers.javascript import run_suite
from helpers.network import REPOSITORY, Network

CONTRACTS = REPOSITORY / "rust" / "sorofast-sandbox" / "wasm"


async def test_the_javascript_sdk(live: Network, packages: Path, tmp_path: Path) -> None:
    environment = {
        "SANDBOX_RPC_URL": live.ready["rpc_url"],
        "SANDBOX_ADMIN_URL": live.ready["admin_url"],
        "SANDBOX_CONTRACTS": str(CONTRACTS),
    }
    await run_suite("sandbox.test.mjs", packages, tmp_path, environment)
