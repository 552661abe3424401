"""Raw entries, the list of what was applied, counters, and the embedded contracts."""

from __future__ import annotations

import hashlib
import io

import pytest
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus

from helpers.network import REPOSITORY, Network, native


def account_entry(keypair: Keypair, balance: int, sequence: int) -> stellar_xdr.LedgerEntry:
    return entry(
        stellar_xdr.LedgerEntryData(
            stellar_xdr.LedgerEntryType.ACCOUNT,
            account=stellar_xdr.AccountEntry(
                account_id=keypair.xdr_account_id(),
                balance=stellar_xdr.Int64(balance),
                seq_num=stellar_xdr.SequenceNumber(stellar_xdr.Int64(sequence)),
                num_sub_entries=stellar_xdr.Uint32(0),
                inflation_dest=None,
                flags=stellar_xdr.Uint32(0),
                home_domain=stellar_xdr.String32(b""),
                thresholds=stellar_xdr.Thresholds(b"\x01\x00\x00\x00"),
                signers=[],
                ext=stellar_xdr.AccountEntryExt(0),
            ),
        )
    )


def data_entry(contract: str, key: stellar_xdr.SCVal, value: stellar_xdr.SCVal) -> stellar_xdr.LedgerEntry:
    return entry(
        stellar_xdr.LedgerEntryData(
            stellar_xdr.LedgerEntryType.CONTRACT_DATA,
            contract_data=stellar_xdr.ContractDataEntry(
                ext=stellar_xdr.ExtensionPoint(0),
                contract=Address(contract).to_xdr_sc_address(),
                key=key,
                durability=stellar_xdr.ContractDataDurability.PERSISTENT,
                val=value,
            ),
        )
    )


def entry(data: stellar_xdr.LedgerEntryData) -> stellar_xdr.LedgerEntry:
    return stellar_xdr.LedgerEntry(stellar_xdr.Uint32(1), data, stellar_xdr.LedgerEntryExt(0))


async def put(network: Network, *entries: tuple[stellar_xdr.LedgerEntry, int | None]) -> None:
    rows = [{"xdr": entry.to_xdr(), "live_until": live_until} for entry, live_until in entries]
    assert await network.admin("entries", {"entries": rows}) == {"count": len(rows)}


async def test_entries_are_part_of_the_state_at_once(network: Network, alice: Keypair, counter: str) -> None:
    bob = Keypair.random()
    key = scval.to_vec([scval.to_symbol("Key"), scval.to_uint64(5)])
    await put(
        network,
        (account_entry(bob, balance=500_000_000, sequence=77), None),
        (data_entry(counter, key, scval.to_uint64(41)), 2_000_000),
    )
    assert (await network.rpc.load_account(bob.public_key)).sequence == 77
    found = await network.invoke(bob, counter, "bump", scval.to_uint64(5))
    assert found.status is GetTransactionStatus.SUCCESS
    assert native(found) == 42


async def test_many_entries_at_once(network: Network, alice: Keypair, counter: str) -> None:
    rows = [
        (data_entry(counter, scval.to_uint64(number), scval.to_string("x" * 300)), 2_000_000)
        for number in range(10_000)
    ]
    await put(network, *rows)
    found = await network.rpc.get_ledger_entries(
        [
            stellar_xdr.LedgerKey(
                stellar_xdr.LedgerEntryType.CONTRACT_DATA,
                contract_data=stellar_xdr.LedgerKeyContractData(
                    Address(counter).to_xdr_sc_address(),
                    scval.to_uint64(number),
                    stellar_xdr.ContractDataDurability.PERSISTENT,
                ),
            )
            for number in (0, 9_999)
        ]
    )
    assert found.entries is not None
    assert [entry.live_until_ledger for entry in found.entries] == [2_000_000, 2_000_000]


async def test_entries_that_are_refused_change_nothing(network: Network) -> None:
    bob = Keypair.random()
    right = {"xdr": account_entry(bob, 1, 1).to_xdr(), "live_until": None}
    contract = Address.from_raw_contract(bytes(32)).address
    data = data_entry(contract, scval.to_void(), scval.to_void()).to_xdr()
    for wrong in (
        {"xdr": "!"},
        {"xdr": "AAAA"},
        {"xdr": data, "live_until": 2**32 - 1},
        {"xdr": right["xdr"], "live_until": 7},
        {"xdr": right["xdr"], "ttl": 7},
        {},
    ):
        status, answer = await network.admin_status("entries", {"entries": [right, wrong]})
        assert status == 400, wrong
        assert answer["error"]
    key = stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.ACCOUNT,
        account=stellar_xdr.LedgerKeyAccount(bob.xdr_account_id()),
    )
    assert (await network.rpc.get_ledger_entries([key])).entries == []


async def test_the_list_of_what_was_applied(network: Network, alice: Keypair, counter: str) -> None:
    bob = Keypair.random()
    await network.fund(bob)
    start = (await network.advance())["latest_ledger"]

    envelope = await network.invocation(alice, counter, "bump", scval.to_uint64(4), operation_source=bob)
    envelope.transaction.preconditions = None
    envelope.sign(alice)
    envelope.sign(bob)
    found = await network.apply(envelope)
    broke = (await network.builder(bob)).append_create_account_op(alice.public_key, "5")
    failing = broke.set_ledger_bounds(0, start + 100).build()
    failing.sign(bob)
    failed = await network.apply(failing)

    answer = await network.admin(f"transactions?from_ledger={start}")
    assert answer["next_from_ledger"] is None
    assert answer["latest_ledger"] == start + 2
    first, second = answer["transactions"]
    (ledger,) = (await network.admin(f"ledgers?from_ledger={start + 1}&limit=1"))["ledgers"]
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr or "")
    assert first == {
        "ledger": start + 1,
        "order": 1,
        "close_time": ledger["close_time"],
        "close_time_ms": ledger["close_time_ms"],
        "hash": envelope.hash_hex(),
        "inner_hash": None,
        "source": alice.public_key,
        "fee_source": alice.public_key,
        "operation_source": bob.public_key,
        "operation": "invoke_contract",
        "contract": counter,
        "function": "bump",
        "args": [scval.to_uint64(4).to_xdr()],
        "status": "SUCCESS",
        "result_code": "txSUCCESS",
        "operation_result": "INVOKE_HOST_FUNCTION_SUCCESS",
        "fee_charged": result.fee_charged.int64,
        "max_ledger": None,
    }
    assert failed.status is GetTransactionStatus.FAILED
    assert second["operation"] == "create_account"
    assert second["operation_source"] == second["source"] == bob.public_key
    assert (second["contract"], second["function"], second["args"]) == (None, None, [])
    assert (second["status"], second["result_code"]) == ("FAILED", "txFAILED")
    assert second["operation_result"] == "CREATE_ACCOUNT_ALREADY_EXIST"
    assert second["max_ledger"] == start + 100


async def test_pages_hold_whole_ledgers(network: Network, alice: Keypair) -> None:
    others = [Keypair.random() for _ in range(3)]
    await network.fund(*others)
    start = (await network.advance())["latest_ledger"] + 1
    for _ in range(2):
        for keypair in (alice, *others):
            envelope = (await network.builder(keypair)).append_create_account_op(
                Keypair.random().public_key, "5"
            )
            built = envelope.build()
            built.sign(keypair)
            assert (await network.rpc.send_transaction(built)).status.value == "PENDING"
        await network.advance()

    page = await network.admin(f"transactions?from_ledger={start}&limit=5")
    assert [row["ledger"] for row in page["transactions"]] == [start] * 4
    assert [row["order"] for row in page["transactions"]] == [1, 2, 3, 4]
    assert page["next_from_ledger"] == start + 1
    last = await network.admin(f"transactions?from_ledger={start + 1}&limit=5")
    assert [row["ledger"] for row in last["transactions"]] == [start + 1] * 4
    assert last["next_from_ledger"] is None
    beyond = await network.admin(f"transactions?from_ledger={start + 50}")
    assert (beyond["transactions"], beyond["next_from_ledger"]) == ([], None)


@pytest.mark.parametrize("call", ["transactions", "ledgers"])
@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "from_ledger=-1", "from=1"])
async def test_pages_that_make_no_sense(network: Network, call: str, query: str) -> None:
    status, answer = await network.admin_status(f"{call}?{query}")
    assert status == 400
    assert answer["error"]


async def test_counters(network: Network) -> None:
    before = await network.admin("stats")
    assert before["rpc_calls"] == {}
    assert before["pending"] == 0
    await network.result("getHealth")
    await network.result("getHealth")
    await network.error("getTransaction", hash="")
    await network.error("getNothing")
    after = await network.admin("stats")
    assert after["rpc_calls"] == {"getHealth": 2, "getTransaction": 1}


async def test_embedded_contracts(network: Network) -> None:
    folder = REPOSITORY / "rust" / "sorofast-sandbox" / "wasm"
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        async with network.http.get(f"{network.ready['admin_url']}/contracts/{name}") as response:
            assert response.status == 200
            assert response.content_type == "application/wasm"
            assert hashlib.sha256(await response.read()).hexdigest() == digest
    status, answer = await network.admin_status("contracts/nothing.wasm")
    assert status == 404
    assert "counter" in answer["error"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * (64 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_admin_bodies_that_are_refused(
    network: Network, body: bytes, content_type: str, status: int
) -> None:
    url = f"{network.ready['admin_url']}/entries"
    async with network.http.post(
        url, data=io.BytesIO(body), headers={"Content-Type": content_type}
    ) as response:
        assert response.status == status
        assert (await response.json())["error"]


async def test_calls_there_are_not(network: Network) -> None:
    status, answer = await network.admin_status("nothing")
    assert status == 404
    assert answer["error"]
    async with network.http.get(f"{network.ready['admin_url']}/advance") as response:
        assert response.status == 405
