"""Lifetimes from outside: entries are extended, expire, leave the live state and come back; months pass at once."""

from __future__ import annotations

import asyncio

from stellar_sdk import Keypair, SorobanDataBuilder, TransactionEnvelope, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus

from helpers.network import Network, running

MIN_PERSISTENT_TTL = 2_073_600
MAX_ENTRY_TTL = 3_110_400
FIRST_SCAN = 16_385
"""The first ledger whose scan meets what the first few ledgers wrote."""
RESOURCE_FEE = 100_000_000
MONTH_LEDGERS, MONTH_S = 518_400, 30 * 86_400


async def live_until(network: Network, key: stellar_xdr.LedgerKey) -> int:
    (entry,) = (await network.rpc.get_ledger_entries([key])).entries
    assert entry.live_until_ledger is not None
    return entry.live_until_ledger


async def expire(network: Network, key: stellar_xdr.LedgerKey) -> None:
    """Lets the entry end with the latest ledger."""
    found = await network.rpc.get_ledger_entries([key])
    (read,) = found.entries
    entry = stellar_xdr.LedgerEntry(
        stellar_xdr.Uint32(read.last_modified_ledger),
        stellar_xdr.LedgerEntryData.from_xdr(read.xdr),
        stellar_xdr.LedgerEntryExt(0),
    )
    row = {"xdr": entry.to_xdr(), "live_until": found.latest_ledger}
    assert await network.admin("entries", {"entries": [row]}) == {"count": 1}


async def lifetime_tx(
    network: Network, source: Keypair, key: stellar_xdr.LedgerKey, extend_to: int | None
) -> TransactionEnvelope:
    """ExtendFootprintTTL of one entry, or RestoreFootprint without a length, with generous resources."""
    data = SorobanDataBuilder().set_resources(0, 10_000, 10_000).set_resource_fee(RESOURCE_FEE)
    builder = await network.builder(source)
    if extend_to is None:
        builder.append_restore_footprint_op()
        data.set_read_write([key])
    else:
        builder.append_extend_footprint_ttl_op(extend_to)
        data.set_read_only([key])
    envelope = builder.set_soroban_data(data.build()).build()
    envelope.sign(source)
    return envelope


async def written(network: Network, source: Keypair, contract: str) -> stellar_xdr.LedgerKey:
    """The key of an entry that a call has just written."""
    envelope = await network.invocation(source, contract, "bump", scval.to_uint64(1))
    data = envelope.transaction.soroban_data
    assert data is not None
    (key,) = data.resources.footprint.read_write
    envelope.sign(source)
    assert (await network.apply(envelope)).status is GetTransactionStatus.SUCCESS
    return key


async def test_an_extension_through_the_sdk(network: Network, alice: Keypair, counter: str) -> None:
    key = await written(network, alice, counter)
    found = await network.apply(await lifetime_tx(network, alice, key, MAX_ENTRY_TTL - 1))
    assert found.status is GetTransactionStatus.SUCCESS
    assert found.ledger is not None
    assert await live_until(network, key) == found.ledger + MAX_ENTRY_TTL - 1


async def test_what_expired_comes_back_by_the_operation_and_by_a_call(
    network: Network, alice: Keypair, counter: str
) -> None:
    key = await written(network, alice, counter)
    await expire(network, key)
    await network.advance()
    assert await live_until(network, key) == 0
    found = await network.apply(await lifetime_tx(network, alice, key, None))
    assert found.status is GetTransactionStatus.SUCCESS
    assert found.ledger is not None
    assert await live_until(network, key) == found.ledger + MIN_PERSISTENT_TTL - 1
    await expire(network, key)
    await network.advance()
    found = await network.invoke(alice, counter, "bump", scval.to_uint64(1))
    assert found.status is GetTransactionStatus.SUCCESS
    assert await live_until(network, key) > 0


async def test_what_left_the_live_state_is_still_told_and_comes_back(
    network: Network, alice: Keypair, counter: str
) -> None:
    key = await written(network, alice, counter)
    await expire(network, key)
    assert (await network.admin("stats"))["state"]["archived_entries"] == 0
    latest = (await network.admin("stats"))["latest_ledger"]
    assert (await network.advance(FIRST_SCAN - latest))["latest_ledger"] == FIRST_SCAN
    assert (await network.admin("stats"))["state"]["archived_entries"] == 1
    assert await live_until(network, key) == 0
    found = await network.apply(await lifetime_tx(network, alice, key, None))
    assert found.status is GetTransactionStatus.SUCCESS
    assert (await network.admin("stats"))["state"]["archived_entries"] == 0
    assert await live_until(network, key) > FIRST_SCAN


async def test_a_month_passes_while_readers_read() -> None:
    """Of more ledgers than are kept, only those are made that are; the clock stands still but for the advance."""
    async with running("--ledger-close", "0", "--clock", "manual") as network:
        alice = Keypair.random()
        await network.fund(alice)
        before = await network.result("getHealth")
        month = {"ledgers": MONTH_LEDGERS, "seconds": MONTH_S, "spread": True}
        advancing = asyncio.create_task(network.admin("advance", month))
        seen: list[int] = []
        while not advancing.done():
            answer = await network.result("getLatestLedger")
            seen.append(answer["sequence"])
            assert (await network.account(alice)).sequence > 0
        advanced = await advancing
        after = await network.result("getHealth")
    assert seen == sorted(seen)
    assert advanced["ledgers_closed"] == MONTH_LEDGERS
    assert advanced["latest_ledger"] == before["latestLedger"] + MONTH_LEDGERS
    passed_s = int(after["latestLedgerCloseTime"]) - int(before["latestLedgerCloseTime"])
    assert passed_s == MONTH_S
    assert after["latestLedger"] - after["oldestLedger"] + 1 == after["ledgerRetentionWindow"]
    kept_s = int(after["latestLedgerCloseTime"]) - int(after["oldestLedgerCloseTime"])
    assert kept_s == 5 * (after["ledgerRetentionWindow"] - 1)


async def test_an_advance_that_goes_too_far_is_refused(network: Network) -> None:
    for body in ({"ledgers": 10_000_001}, {"seconds": 1e12}, {"ledgers": 3, "seconds": -1, "spread": True}):
        status, answer = await network.admin_status("advance", body)
        assert status == 400
        assert answer["error"]
    assert (await network.admin("stats"))["latest_ledger"] == 1
