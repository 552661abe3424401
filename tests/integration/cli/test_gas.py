"""Gas that is really paid: a registry with a token, deposits by command, and refusals blamed on who refused."""

from __future__ import annotations

import contextlib

import pytest
import pytest_asyncio
from stellar_sdk import Account, Asset, Keypair, StrKey, TransactionBuilder, TransactionEnvelope, scval, xdr

from helpers.operator import Network, deploy, fund, sorofast
from sorofast.chain.rpc import RpcClient
from sorofast.sandbox.client import AdminClient
from sorofast.transactions.oneshot import (
    Called,
    TransactionFailed,
    apply_host_function,
    invoke,
    max_time_s,
    read_accounts,
    submit_and_wait,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOO_MUCH_STROOPS = 10**15


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def paid_registry(network: Network) -> str:
    """A registry that takes its fees in lumens, of an admin of its own."""
    admin, passphrase = Keypair.random(), network.urls.network_passphrase
    await fund(network.urls, admin.public_key)
    rpc = RpcClient(network.urls.rpc_url)

    def create(builder: TransactionBuilder) -> None:
        builder.append_create_stellar_asset_contract_from_asset_op(Asset.native())

    try:
        # Other tests of the session's network may have made it.
        with contextlib.suppress(TransactionFailed):
            await apply_host_function(rpc, passphrase, admin, create, what="the token")
        async with AdminClient(network.urls.admin_url) as client:
            wasm = await client.contract_wasm("task_registry")
        contract = await deploy(rpc, network.urls, admin, wasm)
        token = scval.to_address(token_of(network))
        await invoke(rpc, passphrase, admin, contract, "init", [scval.to_address(admin.public_key), token])
    finally:
        await rpc.close()
    return contract


def token_of(network: Network) -> str:
    return Asset.native().contract_id(network.urls.network_passphrase)


def arguments(network: Network, gas_stroops: int) -> list[str]:
    target = ["--target", network.target, "--function", "increment"]
    return ["tasks", "register", *target, "--interval", "60", "--gas", str(gas_stroops)]


async def test_a_token_that_refuses_is_named_and_not_the_registry(
    network: Network, paid_registry: str
) -> None:
    """Its error 10 is too little money; the registry has an error 10 too, which means something else."""
    config = network.config("too-much", contract__id=paid_registry)
    done = await sorofast(*arguments(network, TOO_MUCH_STROOPS), "-c", config, "-o", "json")
    assert done.code == 1
    said = done.error["message"]
    assert said.startswith(f"register would fail: the token {token_of(network)} refused: error 10: ")
    assert "registry" not in said
    assert "CircularDependency" not in said
    assert f"{network.keeper.public_key} pays --gas in that token" in said


async def test_what_the_registry_refuses_has_the_registry_s_own_name(network: Network) -> None:
    config = network.config("refused-by-name")
    done = await sorofast(
        *arguments(network, 1), "--args", "bytes:" + "00" * 60_000, "-c", config, "-o", "json"
    )
    assert done.code == 1
    assert done.error["message"] == "register would fail: the registry refused: ArgsTooLarge"


async def test_a_deposit_adds_to_a_task_s_gas_whoever_pays_it(network: Network, paid_registry: str) -> None:
    config = network.config("deposit", contract__id=paid_registry)
    done = await sorofast(*arguments(network, 1_000), "-c", config, "-q")
    assert done.code == 0, done.err
    task = done.out.strip()
    done = await sorofast("tasks", "deposit", task, "500", "-c", config)
    assert (done.code, done.out) == (0, "1500\n"), done.err
    assert "deposited in ledger" in done.err

    other = Keypair.random()
    await fund(network.urls, other.public_key)
    secret = network.folder / "other.secret"
    secret.touch(mode=0o600)
    secret.write_text(other.secret, encoding="utf-8")
    by_other = ["--source-secret-file", str(secret), "-c", config, "-o", "json"]
    done = await sorofast("tasks", "deposit", task, "7", *by_other)
    assert done.code == 0, done.err
    assert (done.json["id"], done.json["gas_stroops"]) == (int(task), 1_507)
    shown = await sorofast("tasks", "show", task, "-c", config, "-o", "json")
    assert shown.json["gas_stroops"] == 1_507


async def test_a_deposit_that_cannot_be_is_refused_with_what_to_do(
    network: Network, paid_registry: str
) -> None:
    config = network.config("no-deposit", contract__id=paid_registry)
    done = await sorofast("tasks", "deposit", "123456", "5", "-c", config)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the registry refused: TaskNotFound; task 123456 does not exist" in done.err
    done = await sorofast(*arguments(network, 1_000), "-c", config, "-q")
    done = await sorofast("tasks", "deposit", done.out.strip(), str(TOO_MUCH_STROOPS), "-c", config)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"the token {token_of(network)} refused: error 10" in done.err

    config = network.config("no-token")
    done = await sorofast(*arguments(network, 1_000), "-c", config, "-q")
    done = await sorofast("tasks", "deposit", done.out.strip(), "5", "-c", config)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "it has no token" in done.err


async def outdated_deposit(
    rpc: RpcClient, network: Network, payer: Keypair, contract: str, task_id: int
) -> TransactionEnvelope:
    """A deposit of nearly all that the payer had when it was simulated, which the payer has given away since."""
    passphrase, key = network.urls.network_passphrase, payer.raw_public_key()
    account = Account(payer.public_key, (await read_accounts(rpc, key))[key].sequence)
    until_s = await max_time_s(rpc)
    payment = (
        TransactionBuilder(account, passphrase, base_fee=1_000)
        .append_payment_op(network.keeper.public_key, Asset.native(), "9000")
        .add_time_bounds(0, until_s)
        .build()
    )
    amount = [scval.to_uint64(task_id), scval.to_address(payer.public_key), scval.to_int128(80_000_000_000)]
    deposit = (
        TransactionBuilder(account, passphrase, base_fee=1_000)
        .append_invoke_contract_function_op(contract, "deposit_gas", amount)
        .add_time_bounds(0, until_s)
        .build()
    )
    simulation = await rpc.simulate(deposit.to_xdr())
    assert simulation.error is None
    (operation,) = deposit.transaction.operations
    operation.auth = [xdr.SorobanAuthorizationEntry.from_xdr(entry) for entry in simulation.auth]
    deposit.transaction.soroban_data = xdr.SorobanTransactionData.from_xdr(simulation.transaction_data)
    deposit.transaction.fee = 1_000 + simulation.min_resource_fee_stroops
    for envelope in (payment, deposit):
        envelope.sign(payer)
    await submit_and_wait(rpc, payment)
    return deposit


async def test_a_refusal_that_only_the_ledger_tells_names_who_refused(
    network: Network, paid_registry: str
) -> None:
    """Between simulation and ledger the payer's money goes: the diagnostics of the failed transaction tell."""
    payer = Keypair.random()
    await fund(network.urls, payer.public_key)
    config = network.config("late", contract__id=paid_registry)
    done = await sorofast(*arguments(network, 1_000), "-c", config, "-q")
    rpc = RpcClient(network.urls.rpc_url)
    registry = Called.registry(rpc, paid_registry)
    try:
        envelope = await outdated_deposit(rpc, network, payer, paid_registry, int(done.out))
        with pytest.raises(TransactionFailed, match=f"the token {token_of(network)} refused") as caught:
            await submit_and_wait(rpc, envelope, what="deposit_gas", called=registry)
    finally:
        await rpc.close()
    assert caught.value.code == "txFAILED"
    assert (caught.value.error or "").startswith("token ")


async def test_a_contract_that_is_not_there_is_told_as_that(network: Network) -> None:
    nowhere = StrKey.encode_contract(bytes(32))
    rpc = RpcClient(network.urls.rpc_url)
    try:
        with pytest.raises(TransactionFailed, match=f"there is no contract at {nowhere}"):
            await invoke(rpc, network.urls.network_passphrase, network.keeper, nowhere, "init", [])
        with pytest.raises(TransactionFailed, match=f"the contract {network.target} has no function fly"):
            await invoke(rpc, network.urls.network_passphrase, network.keeper, network.target, "fly", [])
    finally:
        await rpc.close()
