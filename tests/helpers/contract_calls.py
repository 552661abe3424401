"""Calls of contracts that a test makes by itself, as the network's keeper: nothing of the engine's is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stellar_sdk import Asset, StrKey, TransactionBuilder, TransactionEnvelope, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_server_async import SorobanServerAsync

from sorofast.audit.seed import TTL_LEDGERS, _instance
from sorofast.chain.rpc import RpcClient
from sorofast.demo.network import DemoNetwork
from sorofast.transactions.oneshot import submit_and_wait

VALID_S = 60
WASM = Path(__file__).parents[2] / "rust" / "sorofast-sandbox" / "wasm"


async def apply(network: DemoNetwork, builder: TransactionBuilder, what: str) -> None:
    """Simulates, signs and lands it; raises what went wrong."""
    server = SorobanServerAsync(network.urls.rpc_url, AiohttpClient())
    rpc = RpcClient(network.urls.rpc_url)
    try:
        envelope: TransactionEnvelope = await server.prepare_transaction(builder.set_timeout(VALID_S).build())
        envelope.sign(network.keeper)
        await submit_and_wait(rpc, envelope, what=what)
    finally:
        await server.close()
        await rpc.close()


async def builder_of(network: DemoNetwork) -> TransactionBuilder:
    server = SorobanServerAsync(network.urls.rpc_url, AiohttpClient())
    try:
        account = await server.load_account(network.keeper.public_key)
    finally:
        await server.close()
    return TransactionBuilder(account, network.urls.network_passphrase, base_fee=10_000)


async def invoke(network: DemoNetwork, contract: str, function: str, *arguments: stellar_xdr.SCVal) -> None:
    """One call that lands, signed by the keeper alone."""
    builder = await builder_of(network)
    builder.append_invoke_contract_function_op(contract, function, list(arguments))
    await apply(network, builder, f"{function} of {contract}")


async def give_token(network: DemoNetwork, stroops: int = 100_000_000) -> str:
    """Has the seeded registry take its fees in lumens from now on and gives it some; returns the token's address."""
    builder = await builder_of(network)
    builder.append_create_stellar_asset_contract_from_asset_op(Asset.native())
    await apply(network, builder, "the native asset's contract")
    token = Asset.native().contract_id(network.urls.network_passphrase)
    registry, keeper = network.registry, network.keeper.public_key
    await invoke(
        network,
        token,
        "transfer",
        scval.to_address(keeper),
        scval.to_address(registry.contract),
        scval.to_int128(stroops),
    )
    await put_instance(
        network,
        registry.contract,
        registry.registry_code,
        {"AdminAddress": scval.to_address(keeper), "Token": scval.to_address(token)},
    )
    return token


async def put_instance(
    network: DemoNetwork, contract: str, code: bytes, storage: dict[str, stellar_xdr.SCVal] | None = None
) -> None:
    """A contract at that address, as if it had been deployed there."""
    latest = (await network.admin.stats()).latest_ledger
    await network.admin.put_entries(
        [(_instance(contract, code, storage or {}, latest), latest + TTL_LEDGERS)]
    )


def wasm_of(name: str) -> bytes:
    """The committed code of one of the repository's contracts."""
    return (WASM / f"{name}.wasm").read_bytes()


def relabelled(wasm: bytes, label: str = "again") -> bytes:
    """Code that does the same and has another hash: a custom section more."""
    name = label.encode()
    return wasm + bytes([0, len(name) + 1, len(name)]) + name


async def upload(network: DemoNetwork, wasm: bytes) -> bytes:
    """Uploads code by an ordinary transaction; returns its hash."""
    builder = await builder_of(network)
    await apply(network, builder.append_upload_contract_wasm_op(wasm), "an upload")
    return hashlib.sha256(wasm).digest()


def seeded(label: str, seed: int = 0) -> str:
    """The address of one of the seeded contracts."""
    return StrKey.encode_contract(hashlib.sha256(f"sorofast seed {seed} {label}".encode()).digest())
