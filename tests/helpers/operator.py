"""The `sorofast` command run as an operator runs it, and what an operator's network has on it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from stellar_sdk import Keypair, TransactionBuilder, scval

from sorofast.chain.rpc import RpcClient
from sorofast.sandbox.process import Ready
from sorofast.transactions.oneshot import apply_host_function

COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error it ended with, of a command run with -o json: the last line on stderr."""
        error: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return error


async def sorofast(*arguments: str, **environment: str) -> Done:
    """Runs the command in a process of its own, without settings from outside."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOROFAST_", "STELLAR_"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sorofast",
        *arguments,
        env=inherited | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Done(process.returncode or 0, out.decode(), err.decode())


@dataclass(frozen=True)
class Network:
    """Where the network is, what is deployed on it, and how an operator of it is set up."""

    urls: Ready
    folder: Path
    keeper: Keypair
    contract: str
    target: str

    def config(self, name: str = "sorofast", **changes: str | int) -> str:
        """Writes a settings file, with values changed by dotted key (`network__passphrase`), and returns its path."""
        values: dict[str, str | int] = {
            "network.rpc_url": self.urls.rpc_url,
            "network.passphrase": self.urls.network_passphrase,
            "network.timeout_s": 5,
            "contract.id": self.contract,
            "keeper.secret_file": str(self.folder / "keeper.secret"),
            "keeper.channel_seed_file": str(self.folder / "channels.seed"),
            "keeper.channels": 64,
            "redis.dir": str(self.folder / "redis"),
        }
        values |= {key.replace("__", "."): value for key, value in changes.items()}
        path = self.folder / f"{name}.toml"
        path.write_text(
            "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()), encoding="utf-8"
        )
        return str(path)


async def fund(urls: Ready, address: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(urls.friendbot_url, params={"addr": address}) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def deploy(rpc: RpcClient, urls: Ready, source: Keypair, wasm: bytes) -> str:
    """Uploads a contract's code, creates the contract, and returns its C… address."""

    def upload(builder: TransactionBuilder) -> None:
        builder.append_upload_contract_wasm_op(wasm)

    uploaded = await apply_host_function(rpc, urls.network_passphrase, source, upload, what="upload")
    code = scval.from_bytes(uploaded.value)

    def create(builder: TransactionBuilder) -> None:
        builder.append_create_contract_op(wasm_id=code, address=source.public_key)

    created = await apply_host_function(rpc, urls.network_passphrase, source, create, what="create")
    return scval.from_address(created.value).address
