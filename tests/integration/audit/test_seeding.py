"""What is seeded is what the contracts themselves would have stored."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Address, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_rpc import GetTransactionStatus
from stellar_sdk.soroban_server_async import SorobanServerAsync

from helpers.demo import network_of, options_of
from sorofast.audit import seed
from sorofast.audit.evidence import task_key
from sorofast.chain.rpc import RpcClient
from sorofast.demo.network import DemoNetwork
from sorofast.transactions.oneshot import invoke


@pytest.fixture
async def network() -> AsyncIterator[DemoNetwork]:
    async with network_of(options_of(tasks=40)) as network, network.hurry():
        await network.seed_tasks(3600)
        yield network


@pytest.fixture
async def server(network: DemoNetwork) -> AsyncIterator[SorobanServerAsync]:
    async with SorobanServerAsync(network.urls.rpc_url, AiohttpClient()) as server:
        yield server


async def deploy(network: DemoNetwork, server: SorobanServerAsync, code: bytes) -> str:
    """Create a contract by a transaction, as any user would; returns its address."""
    account = await server.load_account(network.keeper.public_key)
    envelope = await server.prepare_transaction(
        TransactionBuilder(account, network.urls.network_passphrase, base_fee=1_000)
        .append_create_contract_op(code, network.keeper.public_key)
        .set_timeout(60)
        .build()
    )
    envelope.sign(network.keeper)
    sent = await server.send_transaction(envelope)
    applied = await server.poll_transaction(sent.hash, max_attempts=50, sleep_strategy=lambda _: 1)
    assert applied.status is GetTransactionStatus.SUCCESS, applied
    meta = stellar_xdr.TransactionMeta.from_xdr(applied.result_meta_xdr or "")
    assert meta.v4 is not None
    assert meta.v4.soroban_meta is not None
    assert meta.v4.soroban_meta.return_value is not None
    return scval.from_address(meta.v4.soroban_meta.return_value).address


async def call(network: DemoNetwork, contract: str, function: str, *args: stellar_xdr.SCVal) -> None:
    rpc = RpcClient(network.urls.rpc_url)
    try:
        await invoke(rpc, network.urls.network_passphrase, network.keeper, contract, function, list(args))
    finally:
        await rpc.close()


def instance_key(contract: str) -> stellar_xdr.LedgerKey:
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            Address(contract).to_xdr_sc_address(),
            stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE),
            stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )


async def value_of(server: SorobanServerAsync, key: stellar_xdr.LedgerKey) -> stellar_xdr.SCVal:
    answer = await server.get_ledger_entries([key])
    assert answer.entries, key
    data = stellar_xdr.LedgerEntryData.from_xdr(answer.entries[0].xdr).contract_data
    assert data is not None
    return data.val


async def test_seeded_instances_are_those_of_deployed_contracts(
    network: DemoNetwork, server: SorobanServerAsync
) -> None:
    registry = network.registry
    deployed = await deploy(network, server, registry.registry_code)
    await call(network, deployed, "init", scval.to_address(network.keeper.public_key), scval.to_void())
    assert await value_of(server, instance_key(deployed)) == await value_of(
        server, instance_key(registry.contract)
    )

    counter = await deploy(network, server, registry.target_code)
    assert await value_of(server, instance_key(counter)) == await value_of(
        server, instance_key(registry.targets[0])
    )

    resolver = await deploy(network, server, registry.resolver_code)
    await call(network, resolver, "set", scval.to_bool(True))
    assert await value_of(server, instance_key(resolver)) == await value_of(
        server, instance_key(registry.resolvers[0])
    )


async def test_seeded_tasks_are_those_the_registry_stores(
    network: DemoNetwork, server: SorobanServerAsync
) -> None:
    deployed = await deploy(network, server, network.registry.registry_code)
    await call(network, deployed, "init", scval.to_address(network.keeper.public_key), scval.to_void())
    kinds = {(spec.function, spec.resolver is None): spec for spec in network.specs}
    assert len(kinds) >= 3
    for registered, spec in enumerate(kinds.values(), start=1):
        seeded = await value_of(server, task_key(network.registry.contract, spec.task_id))
        await call(network, deployed, "register", seeded)
        assert await value_of(server, task_key(deployed, registered)) == seeded


async def test_seeded_tasks_are_all_there_and_the_count_of_ids_with_them(network: DemoNetwork) -> None:
    async with network.evidence() as evidence:
        assert await evidence.begin() == 40


async def test_ten_thousand_tasks_are_put_in_seconds(network: DemoNetwork) -> None:
    options = seed.SeedOptions(10_000, due_per_ledger=20)
    specs = seed.plan_tasks(options)
    plan = seed.Registry.plan(
        options, registry_code=bytes(32), target_code=bytes(32), resolver_code=bytes(32)
    )
    entries = list(seed.task_entries(plan, specs, network.keeper.public_key, 1_800_000_000, 3))
    assert await network.admin.put_entries(entries) == 10_000
    server = SorobanServerAsync(network.urls.rpc_url, AiohttpClient())
    async with server:
        answer = await server.get_ledger_entries([task_key(plan.contract, 10_000)])
    assert answer.entries
    whole = stellar_xdr.LedgerEntry.from_xdr_bytes(entries[-1][0])
    assert answer.entries[0].xdr == base64.b64encode(whole.data.to_xdr_bytes()).decode()
