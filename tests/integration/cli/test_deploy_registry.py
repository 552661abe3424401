"""scripts/deploy_registry.py, by which an operator without a registry gets one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from stellar_sdk import StrKey

from helpers.operator import COMMAND_TIMEOUT_S, Network, sorofast
from sorofast.sandbox.client import AdminClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "deploy_registry.py"


async def deploy(network: Network, wasm: Path, secret: Path, *more: str) -> tuple[int, str, str]:
    """Runs the script to its end: exit code, stdout, stderr."""
    arguments = ["--rpc-url", network.urls.rpc_url, "--secret-file", str(secret), "--wasm", str(wasm), *more]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(COMMAND_TIMEOUT_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode().strip(), err.decode()


async def test_a_deployed_registry_accepts_tasks(
    network: Network, admin: AdminClient, tmp_path: Path
) -> None:
    secret = network.folder / "keeper.secret"
    for name in ("task_registry", "counter"):
        (tmp_path / name).write_bytes(await admin.contract_wasm(name))
    code, registry, err = await deploy(network, tmp_path / "task_registry", secret)
    assert code == 0, err
    code, target, err = await deploy(network, tmp_path / "counter", secret, "--no-init")
    assert code == 0, err
    config = network.config("deployed", contract__id=registry)
    done = await sorofast(
        "tasks", "register", "--target", target, "--function", "increment", "--interval", "60",
        "--gas", "1000", "-c", config,
    )  # fmt: skip
    assert (done.code, done.out) == (0, "1\n"), done.err


async def test_gas_can_be_deposited_in_a_registry_with_a_token(
    network: Network, admin: AdminClient, tmp_path: Path
) -> None:
    """The contract of the native asset is made by the first deployment that wants it, and there for the second."""
    secret = network.folder / "keeper.secret"
    wasm = tmp_path / "task_registry"
    wasm.write_bytes(await admin.contract_wasm("task_registry"))
    for _ in range(2):
        code, registry, err = await deploy(network, wasm, secret, "--token", "native")
        assert code == 0, err
    config = network.config("native", contract__id=registry)
    done = await sorofast(
        "tasks", "register", "--target", network.target, "--function", "increment", "--interval", "60",
        "--gas", "1000", "-c", config, "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = await sorofast("tasks", "deposit", done.out.strip(), "1", "-c", config)
    assert (done.code, done.out) == (0, "1001\n"), done.err


async def test_a_deployment_with_bad_input_is_refused_in_one_line(
    network: Network, admin: AdminClient, tmp_path: Path
) -> None:
    wasm = tmp_path / "counter"
    wasm.write_bytes(await admin.contract_wasm("counter"))
    secret = tmp_path / "open.secret"
    secret.write_text(network.keeper.secret, encoding="utf-8")
    secret.chmod(0o644)
    code, out, err = await deploy(network, wasm, secret)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "chmod 600" in err
    assert network.keeper.secret not in err

    secret.chmod(0o600)
    secret.write_text("SNOTASEED", encoding="utf-8")
    code, out, err = await deploy(network, wasm, secret)
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "SNOTASEED" not in err
    code, out, err = await deploy(network, wasm, network.folder / "keeper.secret")
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "has no function init" in err, "the counter has none"
    code, out, err = await deploy(network, tmp_path / "missing", network.folder / "keeper.secret")
    assert (code, out, err.count("\n")) == (1, "", 1), err
    keeper = network.folder / "keeper.secret"
    code, out, err = await deploy(network, wasm, keeper, "--no-init", "--token", "native")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    nowhere = StrKey.encode_contract(bytes(32))
    code, out, err = await deploy(network, wasm, keeper, "--token", nowhere)
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert f"there is no contract at {nowhere}" in err
    wasm.write_bytes(b"no wasm")
    code, out, err = await deploy(network, wasm, keeper)
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "the upload would fail: the network refused" in err
