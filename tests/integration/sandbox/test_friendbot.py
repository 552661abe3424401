"""Friendbot creates accounts by real transactions, many at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from stellar_sdk import Address, Asset, Keypair, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.network import Network, eventually

STARTING_BALANCE_STROOPS = 100_000_000_000


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_new_account_has_ten_thousand_xlm(ticking: Network, verb: str) -> None:
    account = Keypair.random()
    status, answer = await ticking.friendbot(account.public_key, verb)
    assert status == 200, answer
    assert answer["successful"] is True
    found = await ticking.result("getTransaction", hash=answer["hash"])
    assert found["status"] == "SUCCESS"
    assert found["ledger"] == answer["ledger"]
    assert found["envelopeXdr"] == answer["envelope_xdr"]
    assert found["resultMetaXdr"] == answer["result_meta_xdr"]
    assert (await ticking.rpc.load_account(account.public_key)).sequence == answer["ledger"] << 32


async def test_a_form_is_taken_too(ticking: Network) -> None:
    form = {"addr": Keypair.random().public_key}
    async with ticking.http.post(ticking.ready["friendbot_url"], data=form) as response:
        assert response.status == 200, await response.text()


async def test_a_funded_account_is_refused(ticking: Network) -> None:
    account = Keypair.random()
    assert (await ticking.friendbot(account.public_key))[0] == 200
    status, answer = await ticking.friendbot(account.public_key)
    assert status == 400
    assert answer["status"] == 400
    # stellar-cli looks for these words, the SDKs for the code.
    assert "account already funded to starting balance" in answer["detail"]
    assert "createAccountAlreadyExist" in answer["detail"]


async def test_an_account_with_less_is_paid_the_starting_balance(network: Network, alice: Keypair) -> None:
    poor = Keypair.random()
    source = await network.rpc.load_account(alice.public_key)
    envelope = (
        TransactionBuilder(source, network.passphrase, base_fee=100)
        .append_create_account_op(poor.public_key, "5")
        .set_timeout(300)
        .build()
    )
    envelope.sign(alice)
    await network.apply(envelope)
    assert (await ask_and_close(network, poor.public_key))[0] == 200
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(poor.xdr_account_id()),
    )
    entries = (await network.rpc.get_ledger_entries([key])).entries
    assert entries
    account = stellar_xdr.LedgerEntryData.from_xdr(entries[0].xdr).account
    assert account is not None
    assert account.balance.int64 == 50_000_000 + STARTING_BALANCE_STROOPS


@pytest.mark.parametrize("address", ["", "GABC", "C" + "A" * 55])
async def test_what_is_no_account_is_refused(network: Network, address: str) -> None:
    status, answer = await network.friendbot(address)
    assert status == 400
    assert "G…" in answer["detail"]
    assert answer["title"] == "Bad Request"
    assert answer["extras"]["invalid_field"] == "addr"


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_seed_given_by_mistake_is_not_repeated(network: Network, verb: str) -> None:
    secret = Keypair.random().secret
    status, answer = await network.friendbot(secret, verb)
    assert status == 400
    assert secret not in str(answer)


async def test_without_an_address(network: Network) -> None:
    async with network.http.get(network.ready["friendbot_url"]) as response:
        assert response.status == 400
        assert "addr" in (await response.json())["detail"]


async def native_balance(network: Network, contract: str) -> int:
    """A contract's lumens in stroops, as the native asset's contract has them."""
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=stellar_xdr.LedgerKeyContractData(
            contract=Address(Asset.native().contract_id(network.passphrase)).to_xdr_sc_address(),
            key=scval.to_vec([scval.to_symbol("Balance"), scval.to_address(contract)]),
            durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        ),
    )
    entries = (await network.rpc.get_ledger_entries([key])).entries
    assert entries
    data = stellar_xdr.LedgerEntryData.from_xdr(entries[0].xdr).contract_data
    assert data is not None
    amount: int = scval.to_native(data.val)["amount"]
    return amount


async def test_a_contract_is_paid_by_the_native_assets_contract(
    network: Network, alice: Keypair, counter: str
) -> None:
    status, answer = await ask_and_close(network, counter)
    assert status == 502
    assert "stellar contract asset deploy" in answer["detail"]
    builder = (await network.builder(alice)).append_create_stellar_asset_contract_from_asset_op(
        Asset.native()
    )
    envelope = await network.rpc.prepare_transaction(builder.build())
    envelope.sign(alice)
    await network.apply(envelope)
    status, answer = await ask_and_close(network, counter)
    assert status == 200, answer
    assert await native_balance(network, counter) == STARTING_BALANCE_STROOPS
    assert (await network.result("getTransaction", hash=answer["hash"]))["status"] == "SUCCESS"
    status, answer = await ask_and_close(network, counter)
    assert status == 400
    assert "account already funded to starting balance" in answer["detail"]


async def ask_and_close(network: Network, address: str) -> tuple[int, dict[str, Any]]:
    """Friendbot's answer, with ledgers closed for it."""
    asked = asyncio.ensure_future(network.friendbot(address))

    async def answered() -> bool:
        if await network.pending():
            await network.advance()
        return asked.done()

    await eventually(answered, "friendbot's answer")
    return await asked


async def test_many_at_once_share_transactions(network: Network) -> None:
    accounts = [Keypair.random() for _ in range(120)]
    asked = asyncio.gather(*(network.friendbot(account.public_key) for account in accounts))

    async def answered() -> bool:
        if await network.pending():
            await network.advance()
        return asked.done()

    await eventually(answered, "120 accounts")
    answers = await asked
    assert {status for status, _ in answers} == {200}
    assert len({answer["hash"] for _, answer in answers}) <= 4
    keys = [
        stellar_xdr.LedgerKey(
            stellar_xdr.LedgerEntryType.ACCOUNT,
            account=stellar_xdr.LedgerKeyAccount(account.xdr_account_id()),
        )
        for account in accounts
    ]
    entries = (await network.rpc.get_ledger_entries(keys)).entries
    assert entries is not None
    found = [stellar_xdr.LedgerEntryData.from_xdr(entry.xdr).account for entry in entries]
    assert len(found) == 120
    assert {entry.balance.int64 for entry in found if entry} == {STARTING_BALANCE_STROOPS}


async def test_the_same_account_twice_at_once(network: Network) -> None:
    account = Keypair.random()
    asked = asyncio.gather(*(network.friendbot(account.public_key) for _ in range(2)))

    async def answered() -> bool:
        if await network.pending():
            await network.advance()
        return asked.done()

    await eventually(answered, "both answers")
    assert 200 in {status for status, _ in await asked}
    assert (await network.admin("transactions"))["transactions"][-1]["status"] == "SUCCESS"
