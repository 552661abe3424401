"""The two faces of the public Python SDK as one: what a test awaits of the one, the other answers at once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stellar_sdk import (
    FeeBumpTransactionEnvelope,
    Keypair,
    SorobanServer,
    SorobanServerAsync,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.contract import ContractClient, ContractClientAsync
from stellar_sdk.soroban_rpc import GetTransactionResponse, SendTransactionStatus

from helpers.network import Network, running

T = TypeVar("T")
# A ledger every 40 ms, and lookups that are answered 120 ms late: the SDKs look at once and then again after a
# second, so that the ledgers are over by the first look.
CLOSE = "40ms"
LOOKUP_LATENCY_MS = 120


@asynccontextmanager
async def closing_fast(*flags: str) -> AsyncIterator[Network]:
    """A sandbox in which what an SDK sends is applied by the first time it looks."""
    async with running("--ledger-close", CLOSE, "--consensus-delay", "0", *flags) as network:
        rule = {"method": "getTransaction", "kind": "latency", "latency_ms": LOOKUP_LATENCY_MS}
        await network.admin("faults", {"rules": [rule]})
        yield network


async def settle(answer: Awaitable[T] | T) -> T:
    """What the asynchronous SDK will answer or the other has answered."""
    return await answer if inspect.isawaitable(answer) else answer


@dataclass(frozen=True)
class Sdk:
    """One of the two, against one sandbox. The sandbox is another process, so the blocking one holds up nothing."""

    server: Any
    client_type: Any
    network: Network
    clients: list[Any] = field(default_factory=list)

    def client(self, contract: str) -> Any:
        """The SDK's client of a contract; closed with the rest."""
        client = self.client_type(contract, self.network.ready["rpc_url"], self.network.passphrase)
        self.clients.append(client)
        return client

    async def funded(self) -> Keypair:
        keypair = Keypair.random()
        status, answer = await self.network.friendbot(keypair.public_key)
        assert status == 200, answer
        return keypair

    async def builder(self, source: Keypair, base_fee: int = 100) -> TransactionBuilder:
        account = await settle(self.server.load_account(source.public_key))
        return TransactionBuilder(account, self.network.passphrase, base_fee).set_timeout(300)

    async def run(self, envelope: TransactionEnvelope | FeeBumpTransactionEnvelope) -> GetTransactionResponse:
        """Sends what is signed, and waits until it is applied."""
        sent = await settle(self.server.send_transaction(envelope))
        assert sent.status is SendTransactionStatus.PENDING, sent
        return await settle(self.server.poll_transaction(sent.hash))

    async def prepare_and_run(self, builder: TransactionBuilder, *signers: Keypair) -> GetTransactionResponse:
        envelope = await settle(self.server.prepare_transaction(builder.build()))
        for signer in signers:
            envelope.sign(signer)
        return await self.run(envelope)

    async def deploy(self, source: Keypair, name: str) -> str:
        """Uploads an embedded contract and creates an instance, by the SDK's own client."""
        async with self.network.http.get(
            f"{self.network.ready['admin_url']}/contracts/{name}.wasm"
        ) as response:
            wasm = await response.read()
        wasm_hash = await settle(
            self.client_type.upload_contract_wasm(wasm, source.public_key, source, self.server)
        )
        contract: str = await settle(
            self.client_type.create_contract(wasm_hash, source.public_key, source, self.server)
        )
        return contract

    async def close(self) -> None:
        for client in self.clients:
            await settle(client.server.close())
        await settle(self.server.close())


def asynchronous(network: Network) -> Sdk:
    return Sdk(SorobanServerAsync(network.ready["rpc_url"]), ContractClientAsync, network)


def blocking(network: Network) -> Sdk:
    return Sdk(SorobanServer(network.ready["rpc_url"]), ContractClient, network)


FACES: dict[str, Callable[[Network], Sdk]] = {"async": asynchronous, "sync": blocking}


def task_config(creator: str, target: str, function: str, **fields: stellar_xdr.SCVal) -> stellar_xdr.SCVal:
    """A `TaskConfig` of the task registry, as its spec has it."""
    values = {
        "args": scval.to_vec([]),
        "blocked_by": scval.to_vec([]),
        "creator": scval.to_address(creator),
        "function": scval.to_symbol(function),
        "gas_balance": scval.to_int128(0),
        "interval": scval.to_uint64(60),
        "is_active": scval.to_bool(True),
        "last_run": scval.to_uint64(0),
        "resolver": scval.to_void(),
        "target": scval.to_address(target),
        "whitelist": scval.to_vec([]),
        "yield_strategy": scval.to_void(),
        **fields,
    }
    return scval.to_map({scval.to_symbol(name): values[name] for name in sorted(values)})
