"""What the core builds from simulations, as a network takes it: calls, payments, lifetimes and archived entries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from stellar_sdk import Address, Asset, Keypair, TransactionEnvelope, scval, xdr
from stellar_sdk.soroban_rpc import GetTransactionResponse, GetTransactionStatus

from helpers import entries as make
from helpers import transactions as sdk
from helpers.network import Network, native, running
from sorofast import _core
from sorofast.errors import TemplateError

KEY, FAR = 5, (2**32 - 1, 2**63)
CHANNEL = Keypair.from_mnemonic_phrase(sdk.MNEMONIC, index=0)


class Rig:
    """A network, the keeper and one channel on it, and a counter."""

    def __init__(self, network: Network, counter: bytes) -> None:
        self.network = network
        self.counter = counter
        self.signer = _core.Signer(network.passphrase, sdk.KEEPER_SECRET, sdk.MNEMONIC, 1)

    async def sequence(self) -> int:
        return (await self.network.account(CHANNEL)).sequence + 1

    async def simulate(self, operation: _core.Operation, values: list[int], **options: Any) -> dict[str, Any]:
        envelope = self.signer.simulation_envelope_of(operation, values, 0, await self.sequence(), **options)
        answer: dict[str, Any] = await self.network.result("simulateTransaction", transaction=envelope)
        assert "error" not in answer, answer
        return answer

    async def land(self, built: tuple[bytes, str, int]) -> GetTransactionResponse:
        found_hash, text, fee_stroops = built
        envelope = TransactionEnvelope.from_xdr(text, self.network.passphrase)
        assert (envelope.hash(), envelope.transaction.fee) == (found_hash, fee_stroops)
        found = await self.network.apply(envelope)
        assert found.status is GetTransactionStatus.SUCCESS, found
        return found

    async def learn(self, operation: _core.Operation, values: list[int], **options: Any) -> None:
        answer = await self.simulate(operation, values)
        (result,) = answer["results"]
        self.signer.learn_call(
            KEY, operation, values, answer["transactionData"], result["auth"],
            int(answer["minResourceFee"]), **options,
        )  # fmt: skip

    async def run(self, *values: int) -> GetTransactionResponse:
        (built,) = self.signer.build([(KEY, values, 0, await self.sequence(), *FAR)], 100)
        return await self.land(built)

    async def once(
        self, operation: _core.Operation, data: str | None, **options: Any
    ) -> GetTransactionResponse:
        """One operation outside any template, simulated where it needs resources."""
        if data is not None:
            answer = await self.simulate(operation, [], transaction_data=data, **options)
            data, options["min_resource_fee_stroops"] = (
                answer["transactionData"],
                int(answer["minResourceFee"]),
            )
        sequence = await self.sequence()
        return await self.land(
            self.signer.build_operation(
                operation, [], 0, sequence, *FAR, 100, transaction_data=data, **options
            )
        )

    async def balance(self, who: Keypair) -> int:
        account_key = xdr.LedgerKeyAccount(who.xdr_account_id())
        key = xdr.LedgerKey(xdr.LedgerEntryType.ACCOUNT, account=account_key).to_xdr()
        (entry,) = (await self.network.result("getLedgerEntries", keys=[key]))["entries"]
        account = xdr.LedgerEntryData.from_xdr(entry["xdr"]).account
        assert account is not None
        return account.balance.int64

    async def life(self, key: str) -> tuple[int, int]:
        """Last ledger of an entry's life, and the latest ledger."""
        answer = await self.network.result("getLedgerEntries", keys=[key])
        (entry,) = answer["entries"]
        return entry["liveUntilLedgerSeq"], answer["latestLedger"]

    async def expire(self, key: str) -> None:
        answer = await self.network.result("getLedgerEntries", keys=[key])
        (entry,) = answer["entries"]
        data = xdr.LedgerEntryData.from_xdr(entry["xdr"])
        row = xdr.LedgerEntry(
            xdr.Uint32(entry["lastModifiedLedgerSeq"]), data, xdr.LedgerEntryExt(0)
        ).to_xdr()
        await self.network.admin("entries", {"entries": [{"xdr": row, "live_until": answer["latestLedger"]}]})
        await self.network.advance()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running("--ledger-close", "0") as network:
        await network.fund(sdk.KEEPER, CHANNEL)
        counter = await network.deploy(sdk.KEEPER, "counter")
        yield Rig(network, _core.contract_to_bytes(counter))


def footprint(read_only: list[str], read_write: list[str]) -> str:
    """Resources that name entries and nothing else, as a simulation of a lifetime operation is asked with."""
    keys = [[xdr.LedgerKey.from_xdr(key) for key in keys] for keys in (read_only, read_write)]
    zero = xdr.Uint32(0)
    resources = xdr.SorobanResources(xdr.LedgerFootprint(*keys), zero, zero, zero)
    return xdr.SorobanTransactionData(xdr.SorobanTransactionDataExt(0), resources, xdr.Int64(0)).to_xdr()


async def test_one_simulation_serves_calls_with_other_numbers(rig: Rig) -> None:
    bump = _core.Operation.invoke(rig.counter, "bump", ["key"])
    await rig.learn(bump, [7])
    for key, count in ((7, 1), (8, 1), (7, 2), (2**64 - 1, 1), (8, 2)):
        assert native(await rig.run(key)) == count


async def test_a_call_of_the_channels_own_needs_its_signature_alone(rig: Rig) -> None:
    bump = _core.Operation.invoke(rig.counter, "bump", ["key"])
    answer = await rig.simulate(bump, [7], source="channel")
    (result,) = answer["results"]
    rig.signer.learn_call(
        KEY, bump, [7], answer["transactionData"], result["auth"], int(answer["minResourceFee"]), source="channel"
    )  # fmt: skip
    found = await rig.run(9)
    envelope = TransactionEnvelope.from_xdr(found.envelope_xdr or "", rig.network.passphrase)
    assert len(envelope.signatures) == 1


async def deploy_native_token(network: Network, by: Keypair) -> str:
    builder = await network.builder(by)
    builder.append_create_stellar_asset_contract_from_asset_op(Asset.native())
    deployment = await network.rpc.prepare_transaction(builder.build())
    deployment.sign(by)
    assert (await network.apply(deployment)).status is GetTransactionStatus.SUCCESS
    return Asset.native().contract_id(network.passphrase)


async def test_the_keepers_consent_is_given_and_nobody_elses(rig: Rig) -> None:
    stranger = Keypair.random()
    await rig.network.fund(stranger)
    token = _core.contract_to_bytes(await deploy_native_token(rig.network, stranger))

    def transfer(source: Keypair) -> _core.Operation:
        to = scval.to_address(CHANNEL.public_key)
        args = [scval.to_address(source.public_key), to, scval.to_int128(1_000_000)]
        return _core.Operation.invoke(token, "transfer", [arg.to_xdr_bytes() for arg in args])

    await rig.learn(transfer(sdk.KEEPER), [])
    await rig.run()
    await rig.run()
    with pytest.raises(TemplateError, match=f"needs the consent of {stranger.public_key}"):
        await rig.learn(transfer(stranger), [])


async def test_a_task_that_takes_the_keepers_money_is_not_run(rig: Rig) -> None:
    """A stranger's task whose target is the token, and whose arguments pay the stranger out of the keeper's account:
    the simulation records what the keeper would have to allow, and the network would take it.
    """
    network, thief = rig.network, Keypair.random()
    await network.fund(thief)
    token = await deploy_native_token(network, thief)
    registry = await network.deploy(sdk.KEEPER, "task_registry")
    admin = scval.to_address(sdk.KEEPER.public_key)
    assert (await network.invoke(sdk.KEEPER, registry, "init", admin, scval.to_void())).status
    theft = [admin, scval.to_address(thief.public_key), scval.to_int128(1_000_0000000)]
    task = make.Task(
        last_run=0, gas_balance=1_000, target=Address(token), function="transfer",
        args=theft, creator=Address(thief.public_key),
    )  # fmt: skip
    found = await network.invoke(thief, registry, "register", task.to_value())
    assert found.status is GetTransactionStatus.SUCCESS, found
    execute = _core.Operation.invoke(
        _core.contract_to_bytes(registry), "execute", [admin.to_xdr_bytes(), "task"]
    )
    for options in ({}, {"must_write": "task"}):
        with pytest.raises(TemplateError, match=f"consent to more than itself: `transfer` of {token}"):
            await rig.learn(execute, [native(found)], **options)
    # That it is no false alarm: with the consent that was simulated the money is gone.
    before = await rig.balance(sdk.KEEPER)
    await rig.learn(execute, [native(found)], consent="simulated")
    await rig.run(native(found))
    assert await rig.balance(sdk.KEEPER) == before - 1_000_0000000


async def test_payments_go_both_ways_between_keeper_and_channel(rig: Rig) -> None:
    keeper = await rig.balance(sdk.KEEPER)
    sweep = _core.Operation.payment(sdk.KEEPER.raw_public_key(), 12_345)
    await rig.once(sweep, None, source="channel")
    assert await rig.balance(sdk.KEEPER) == keeper + 12_345
    channel = await rig.balance(CHANNEL)
    await rig.once(_core.Operation.payment(CHANNEL.raw_public_key(), 345), None)
    assert await rig.balance(sdk.KEEPER) == keeper + 12_000
    # The channel pays the inclusion fee of both.
    assert await rig.balance(CHANNEL) == channel + 345 - 100


async def test_lives_are_extended_and_entries_restored(rig: Rig) -> None:
    await rig.learn(_core.Operation.invoke(rig.counter, "bump", ["key"]), [7])
    await rig.run(7)
    facts = rig.signer.template_facts(KEY, [7])
    assert facts is not None
    (key,) = facts.read_write
    found = await rig.once(_core.Operation.extend(3_000_000), footprint([key], []))
    assert (await rig.life(key))[0] == (found.ledger or 0) + 3_000_000
    await rig.expire(key)
    assert (await rig.life(key))[0] == 0
    await rig.once(_core.Operation.restore(), footprint([], [key]), source="channel")
    until, latest = await rig.life(key)
    assert until > latest
    assert native(await rig.run(7)) == 2


async def test_a_run_that_restores_an_entry_lands_and_says_that_it_is_good_for_one(rig: Rig) -> None:
    bump = _core.Operation.invoke(rig.counter, "bump", ["key"])
    await rig.learn(bump, [7])
    await rig.run(7)
    facts = rig.signer.template_facts(KEY, [7])
    assert facts is not None
    assert facts.reusable
    await rig.expire(facts.read_write[0])
    await rig.learn(bump, [7])
    facts = rig.signer.template_facts(KEY, [7])
    assert facts is not None
    assert (facts.archived, facts.reusable) == ([0], False)
    assert native(await rig.run(7)) == 2
