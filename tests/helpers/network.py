"""A running sandbox as a user of the public Python SDK meets it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from stellar_sdk import (
    Account,
    Address,
    Keypair,
    SorobanServerAsync,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.operation import InvokeHostFunction
from stellar_sdk.soroban_rpc import GetTransactionResponse, GetTransactionStatus, SendTransactionStatus

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "sorofast-sandbox"
DEADLINE_S = 30.0


def find_binary() -> Path:
    """The binary of this tree's release build, else the one beside the interpreter, else the one on PATH."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    for candidate in (target / "release" / NAME, Path(sys.executable).parent / NAME):
        if candidate.is_file():
            return candidate
    found = shutil.which(NAME)
    if found is None:
        raise FileNotFoundError(f"{NAME} is not built: run `make setup`")
    return Path(found)


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Ask again until it holds; AssertionError at the deadline."""
    try:
        async with asyncio.timeout(deadline_s):
            while not await holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {deadline_s} s") from None


@dataclass
class Network:
    """One sandbox process with the clients to talk to it."""

    ready: dict[str, Any]
    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    rpc: SorobanServerAsync
    _sequences: dict[str, int] = field(default_factory=dict)

    @property
    def passphrase(self) -> str:
        passphrase: str = self.ready["network_passphrase"]
        return passphrase

    @property
    def url(self) -> str:
        """The server without a path."""
        rpc_url: str = self.ready["rpc_url"]
        return rpc_url.removesuffix("/rpc")

    # JSON-RPC without an SDK in between.

    async def post(self, body: Any, path: str = "/rpc", **headers: str) -> tuple[int, Any]:
        """Posts a body (bytes as they are, anything else as JSON); HTTP status and the parsed answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        async with self.http.post(self.url + path, data=data, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One call; the whole response object."""
        status, answer = await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        assert status == 200, answer
        assert answer["id"] == 1
        assert isinstance(answer, dict)
        return answer

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.call(method, **params)
        assert "result" not in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    # The admin interface.

    async def admin(self, call: str, body: Any = None, verb: str | None = None) -> Any:
        """GET without a body, POST with one; AssertionError unless it is answered with 200."""
        status, answer = await self.admin_status(call, body, verb)
        assert status == 200, answer
        return answer

    async def admin_status(self, call: str, body: Any = None, verb: str | None = None) -> tuple[int, Any]:
        verb = verb or ("GET" if body is None else "POST")
        url = f"{self.ready['admin_url']}/{call}"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = io.BytesIO(json.dumps(body).encode()) if body is not None else None
        async with self.http.request(verb, url, data=data, headers=headers) as response:
            return response.status, await response.json()

    async def advance(self, ledgers: int = 1, seconds: float = 0.0) -> dict[str, int]:
        answer: dict[str, int] = await self.admin("advance", {"ledgers": ledgers, "seconds": seconds})
        return answer

    async def pending(self) -> int:
        count: int = (await self.admin("stats"))["pending"]
        return count

    # Accounts and transactions; these close ledgers themselves and want `--ledger-close 0`.

    async def friendbot(self, address: str, verb: str = "GET") -> tuple[int, dict[str, Any]]:
        url = self.ready["friendbot_url"]
        async with self.http.request(verb, url, params={"addr": address}) as response:
            return response.status, await response.json()

    async def fund(self, *accounts: Keypair) -> None:
        """Creates accounts by friendbot."""
        asked = asyncio.gather(*(self.friendbot(account.public_key) for account in accounts))

        async def answered() -> bool:
            if not asked.done() and await self.pending():
                await self.advance()
            return asked.done()

        await eventually(answered, "friendbot")
        for status, answer in await asked:
            assert status == 200, answer

    async def account(self, keypair: Keypair) -> Account:
        return await self.rpc.load_account(keypair.public_key)

    async def builder(self, source: Keypair, base_fee: int = 100) -> TransactionBuilder:
        """A transaction of that account with its next sequence and without time bounds."""
        return TransactionBuilder(await self.account(source), self.passphrase, base_fee).add_time_bounds(0, 0)

    async def invocation(
        self,
        source: Keypair,
        contract: str,
        function: str,
        *args: stellar_xdr.SCVal,
        operation_source: Keypair | None = None,
    ) -> TransactionEnvelope:
        """A prepared call of a contract, not yet signed."""
        builder = await self.builder(source)
        builder.append_invoke_contract_function_op(
            contract, function, args, source=operation_source.public_key if operation_source else None
        )
        return await self.rpc.prepare_transaction(builder.build())

    async def apply(self, envelope: TransactionEnvelope) -> GetTransactionResponse:
        """Sends, closes a ledger, and looks the transaction up."""
        sent = await self.rpc.send_transaction(envelope)
        assert sent.status is SendTransactionStatus.PENDING, sent
        await self.advance()
        found = await self.rpc.get_transaction(sent.hash)
        assert found.status is not GetTransactionStatus.NOT_FOUND
        return found

    async def invoke(
        self, source: Keypair, contract: str, function: str, *args: stellar_xdr.SCVal
    ) -> GetTransactionResponse:
        envelope = await self.invocation(source, contract, function, *args)
        envelope.sign(source)
        return await self.apply(envelope)

    async def deploy(self, source: Keypair, name: str, salt: bytes | None = None) -> str:
        """Uploads one of the embedded contracts and creates an instance of it; its address, which follows from
        the salt (at random unless given).
        """
        async with self.http.get(f"{self.ready['admin_url']}/contracts/{name}.wasm") as response:
            wasm = await response.read()
        builder = (await self.builder(source)).append_upload_contract_wasm_op(wasm)
        wasm_hash = return_value(await self._prepare_and_apply(builder, source)).bytes
        assert wasm_hash is not None
        builder = (await self.builder(source)).append_create_contract_op(
            wasm_hash.sc_bytes, source.public_key, salt=salt
        )
        created = return_value(await self._prepare_and_apply(builder, source)).address
        assert created is not None
        return Address.from_xdr_sc_address(created).address

    async def _prepare_and_apply(
        self, builder: TransactionBuilder, source: Keypair
    ) -> GetTransactionResponse:
        envelope = await self.rpc.prepare_transaction(builder.build())
        envelope.sign(source)
        found = await self.apply(envelope)
        assert found.status is GetTransactionStatus.SUCCESS, found
        return found

    async def stop(self) -> int:
        """SIGTERM to this process alone; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rpc.close()
        await self.http.close()
        if self.process.returncode is None:
            await self.stop()


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[Network]:
    """A sandbox on a free port, stopped in the end; it may also be stopped before."""
    process = await asyncio.create_subprocess_exec(
        find_binary(), "start", "--port", "0", "-o", "json", "--exit-with-stdin", *flags,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        line = await process.stdout.readline()
    assert line, f"{NAME} {' '.join(flags)} ended with {await process.wait()}"
    ready = json.loads(line)
    # Without a limit on connections: some tests hold a hundred calls open at once.
    http = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=DEADLINE_S), connector=aiohttp.TCPConnector(limit=0)
    )
    async with Network(ready, process, http, SorobanServerAsync(ready["rpc_url"])) as network:
        yield network


def return_value(found: GetTransactionResponse) -> stellar_xdr.SCVal:
    """What the contract returned, from the transaction's meta."""
    assert found.result_meta_xdr is not None
    meta = stellar_xdr.TransactionMeta.from_xdr(found.result_meta_xdr)
    assert meta.v4 is not None
    assert meta.v4.soroban_meta is not None
    assert meta.v4.soroban_meta.return_value is not None
    return meta.v4.soroban_meta.return_value


def native(found: GetTransactionResponse) -> Any:
    """The returned value in Python's types."""
    return scval.to_native(return_value(found))


def result_codes(result_xdr: str | None) -> tuple[str, str | None]:
    """Names of the transaction's code and of its first operation's (the outer one unless it is opINNER)."""
    assert result_xdr is not None
    result = stellar_xdr.TransactionResult.from_xdr(result_xdr).result
    if not result.results:
        return result.code.name, None
    operation = result.results[0]
    if operation.tr is None:
        return result.code.name, operation.code.name
    if operation.tr.invoke_host_function_result is not None:
        return result.code.name, operation.tr.invoke_host_function_result.code.name
    if operation.tr.create_account_result is not None:
        return result.code.name, operation.tr.create_account_result.code.name
    assert operation.tr.payment_result is not None
    return result.code.name, operation.tr.payment_result.code.name


def host_function_op(envelope: TransactionEnvelope) -> InvokeHostFunction:
    operation = envelope.transaction.operations[0]
    assert isinstance(operation, InvokeHostFunction)
    return operation
