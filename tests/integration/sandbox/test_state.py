"""The state as a whole: accounts, lumens, seeded registries, and starting over."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from stellar_sdk import Address, Asset, Keypair, TransactionEnvelope, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.network import Network, result_codes, running
from helpers.operator import sorofast

MANUAL = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")
XLM = 10_000_000
GENERATIONS = ["G0", "G1", "G2", "G3", "G4", "G5", "G6"]


async def payment(network: Network, source: Keypair, destination: str, lumens: str) -> TransactionEnvelope:
    builder = await network.builder(source)
    envelope = builder.append_payment_op(destination, Asset.native(), lumens).build()
    envelope.sign(source)
    return envelope


async def account_keys(network: Network) -> list[Keypair]:
    accounts = (await network.admin("accounts"))["accounts"]
    return [Keypair.from_secret(account["secret_key"]) for account in accounts]


async def test_accounts_are_funded_and_their_keys_follow_from_the_network() -> None:
    async with running(*MANUAL, "--accounts", "3") as network:
        told = await network.admin("accounts")
        network_id = hashlib.sha256(network.passphrase.encode()).digest()
        assert [account["index"] for account in told["accounts"]] == [0, 1, 2]
        for account in told["accounts"]:
            seed = b"sorofast-sandbox account %d " % account["index"] + network_id
            keypair = Keypair.from_raw_ed25519_seed(hashlib.sha256(seed).digest())
            assert account["secret_key"] == keypair.secret
            assert account["public_key"] == keypair.public_key
            assert account["balance_stroops"] == 10_000 * XLM
        assert told["root"]["secret_key"] == Keypair.from_raw_ed25519_seed(network_id).secret
        assert "index" not in told["root"]
        first, second, _ = await account_keys(network)
        found = await network.apply(await payment(network, first, second.public_key, "5"))
        assert result_codes(found.result_xdr)[0] == "txSUCCESS"
        balances = [account["balance_stroops"] for account in (await network.admin("accounts"))["accounts"]]
        assert balances == [9_995 * XLM - 100, 10_005 * XLM, 10_000 * XLM]
        audit = await network.admin("audit")
        assert audit == {"coins_counted": 10**18, "coins_recorded": 10**18, "fee_pool": 100}


async def test_ten_accounts_unless_told_otherwise_and_none_if_none_is_wanted() -> None:
    async with running(*MANUAL) as network:
        assert len(await account_keys(network)) == 10
        assert network.ready["registries"] == []
    async with running(*MANUAL, "--accounts", "0", "--seed-tasks", "7") as network:
        assert await account_keys(network) == []
        assert len(network.ready["registries"]) == 7


async def test_a_reset_leads_back_to_the_start() -> None:
    async with running(*MANUAL) as network:
        start = (await network.admin("ledgers"))["ledgers"]
        user = Keypair.random()
        await network.fund(user)
        await network.advance(3, 60.0)
        sent = await network.rpc.send_transaction(await payment(network, user, user.public_key, "1"))
        assert await network.pending() == 1
        assert await network.admin("reset", {}) == {"latest_ledger": 1, "close_time": 1_800_000_000}
        assert (await network.admin("ledgers"))["ledgers"] == start
        assert await network.pending() == 0
        assert (await network.result("getTransaction", hash=sent.hash))["status"] == "NOT_FOUND"
        assert (await network.result("getHealth"))["latestLedger"] == 1
        await network.fund(user)


async def test_friendbot_survives_a_reset_while_it_waits() -> None:
    async with running(*MANUAL) as network:
        await network.advance(50)
        user = Keypair.random()
        asked = asyncio.ensure_future(network.friendbot(user.public_key))
        while not await network.pending():
            await asyncio.sleep(0.01)
        await network.admin("reset", {})
        while not asked.done():
            await network.advance()
            await asyncio.sleep(0.01)
        status, _ = asked.result()
        assert status == 200
        assert (await network.account(user)).sequence > 0
        assert (await network.result("getLatestLedger"))["sequence"] < 50


async def test_ledgers_go_on_by_the_clock_after_a_reset() -> None:
    async with running("--ledger-close", "300ms", "--consensus-delay", "50ms") as network:
        await network.advance(40)
        await network.admin("reset", {})
        while (await network.result("getLatestLedger"))["sequence"] < 3:
            await asyncio.sleep(0.02)
        assert (await network.result("getLatestLedger"))["sequence"] < 40
        assert (await network.result("getHealth"))["status"] == "healthy"


async def test_a_reset_takes_no_parameters() -> None:
    async with running(*MANUAL) as network:
        status, answer = await network.admin_status("reset", {"seed": 3})
        assert status == 400
        assert "seed" in answer["error"]


async def test_seeded_registries_are_told_and_can_be_listed() -> None:
    async with running(*MANUAL, "--seed-tasks", "350", "--seed-task-interval", "30s-60s") as network:
        registries = network.ready["registries"]
        assert [registry["generation"] for registry in registries] == GENERATIONS
        assert [registry["tasks"] for registry in registries] == [50] * 7
        assert [registry["executable"] for registry in registries] == [False] * 3 + [True] + [False] * 3
        assert [registry["layout"] for registry in registries] == ["task"] * 5 + ["split"] * 2
        told = await network.admin("registries")
        assert told["registries"] == registries
        assert len(told["targets"]) == 8
        assert {resolver["on"] for resolver in told["resolvers"]} == {True, False}
        await network.advance(1, 61.0)
        for registry in registries[::3]:
            done = await sorofast(
                "tasks", "list", "--rpc-url", network.ready["rpc_url"], "--network-passphrase",
                network.passphrase, "--contract-id", registry["contract"], "-o", "json", "-q",
            )  # fmt: skip
            assert done.code == 0, done.err
            tasks = {task["id"]: task for task in done.json}
            assert sorted(tasks) == list(range(1, 51)), registry
            assert all(task["problem"] is None for task in done.json)
            assert all(30 <= task["interval_s"] <= 60 for task in done.json)
            assert tasks[1]["state"] == "due"
            assert tasks[12]["state"] == "out_of_gas"
            if registry["generation"] >= "G2":
                assert tasks[4]["state"] == "inactive"
            # A delegate's pause reaches the whole task alone, not the part of it that counts.
            if registry["layout"] == "split":
                assert not (await stored_task(network, registry["contract"], 14))["is_active"]
                assert (await stored_task(network, registry["contract"], 14, "TaskMeta"))["is_active"]


async def stored_task(network: Network, registry: str, task_id: int, name: str = "Task") -> dict[str, Any]:
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            Address(registry).to_xdr_sc_address(),
            scval.to_vec([scval.to_symbol(name), scval.to_uint64(task_id)]),
            stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )
    (entry,) = (await network.rpc.get_ledger_entries([key])).entries or []
    data = stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).contract_data
    assert data is not None
    fields = scval.to_native(data.val)
    assert isinstance(fields, dict)
    return fields


async def test_a_seeded_task_is_executed() -> None:
    async with running(*MANUAL, "--seed-tasks", "30", "--seed-task-generations", "g3") as network:
        (registry,) = network.ready["registries"]
        contract = registry["contract"]
        keeper = (await account_keys(network))[0]
        moment = await network.advance(1, 121.0)
        before = await stored_task(network, contract, 3)
        arguments = (scval.to_address(keeper.public_key), scval.to_uint64(3))
        found = await network.invoke(keeper, contract, "execute", *arguments)
        assert result_codes(found.result_xdr)[0] == "txSUCCESS"
        after = await stored_task(network, contract, 3)
        assert before["last_run"] < moment["close_time"] == after["last_run"]
        assert before["gas_balance"] - after["gas_balance"] == 100


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed-tasks", "0"],
        ["--seed-tasks", "5", "--seed-task-interval", "9s-3s"],
        ["--seed-tasks", "5", "--seed-task-generations", "G9"],
        ["--accounts", "1000000"],
    ],
)
async def test_flags_of_the_state_that_make_no_sense(flags: list[str]) -> None:
    with pytest.raises(AssertionError, match="ended with 2"):
        async with running(*MANUAL, *flags):
            pass
