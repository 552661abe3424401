"""A real sandbox network with our registry deployed on it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from stellar_sdk import Keypair, scval

from helpers.operator import Network, deploy, fund, sorofast
from sorofast.chain.rpc import RpcClient
from sorofast.sandbox.client import AdminClient
from sorofast.sandbox.process import SandboxOptions, SandboxProcess
from sorofast.transactions.oneshot import invoke


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    """One network for all tests of the commands: they add to it, and none needs it empty."""
    folder: Path = tmp_path_factory.mktemp("operator")
    keeper = Keypair.random()
    secret_file = folder / "keeper.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(keeper.secret + "\n", encoding="utf-8")
    async with (
        SandboxProcess(SandboxOptions(ledger_close="400ms")) as sandbox,
        AdminClient(sandbox.urls.admin_url) as admin,
    ):
        await fund(sandbox.urls, keeper.public_key)
        rpc = RpcClient(sandbox.urls.rpc_url)
        try:
            contract = await deploy(rpc, sandbox.urls, keeper, await admin.contract_wasm("task_registry"))
            target = await deploy(rpc, sandbox.urls, keeper, await admin.contract_wasm("counter"))
            admin_argument = scval.to_address(keeper.public_key)
            passphrase = sandbox.urls.network_passphrase
            await invoke(rpc, passphrase, keeper, contract, "init", [admin_argument, scval.to_void()])
        finally:
            await rpc.close()
        yield Network(sandbox.urls, folder, keeper, contract, target)


@pytest_asyncio.fixture(loop_scope="session")
async def admin(network: Network) -> AsyncIterator[AdminClient]:
    """The network's fault panel and raw entries; faults are cleared afterwards."""
    async with AdminClient(network.urls.admin_url) as client:
        yield client
        await client.clear_faults()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def channels(network: Network) -> None:
    """The channels of `network.config()`'s own seed file, made once."""
    done = await sorofast("channels", "create", "64", "-c", network.config("make"), "-q")
    assert done.code == 0, done.err


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on for as long as the test runs: it is bound, and never listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
