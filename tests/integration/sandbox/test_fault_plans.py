"""Fault plans: what becomes of answers, of ledgers, and of replicas; and that a seed repeats it all."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from stellar_sdk import Asset, Keypair, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.soroban_rpc import GetTransactionStatus

from helpers.network import Network, find_binary, running

CALL = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
STILL = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)


async def plan(network: Network, **parts: Any) -> Any:
    return await network.admin("faults", parts)


async def ask(network: Network, replica: int, method: str, **params: Any) -> Any:
    """One call to a replica, counted from 1; the result."""
    url = network.ready["replicas"][replica - 1]["rpc_url"]
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with network.http.post(url, json=call) as response:
        assert response.status == 200
        return (await response.json())["result"]


async def payment(network: Network, source: Keypair) -> str:
    builder = (await network.builder(source)).append_payment_op(source.public_key, Asset.native(), "1")
    envelope = builder.build()
    envelope.sign(source)
    xdr: str = envelope.to_xdr()
    return xdr


def account_key(account: Keypair) -> str:
    key = stellar_xdr.LedgerKeyAccount(account.xdr_account_id())
    return stellar_xdr.LedgerKey(stellar_xdr.LedgerEntryType.ACCOUNT, account=key).to_xdr()


async def test_latencies_are_drawn(network: Network) -> None:
    latency = {"distribution": "uniform", "min_ms": 60, "max_ms": 90}
    await plan(network, rules=[{"kind": "latency", "latency": latency, "method": "getHealth"}])
    started = time.monotonic()
    for _ in range(3):
        await network.result("getHealth")
    assert time.monotonic() - started >= 0.18
    strikes = (await network.admin("faults/strikes"))["strikes"]
    times = [strike["latency_ms"] for strike in strikes]
    assert all(60 <= latency_ms < 90 for latency_ms in times)
    assert len(set(times)) == 3


async def test_too_many_requests_say_when_to_come_back(network: Network) -> None:
    await plan(network, rules=[{"kind": "http_status", "status": 429, "retry_after_s": 7, "count": 1}])
    async with network.http.post(network.ready["rpc_url"], json=CALL) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "7"
    assert (await network.post(CALL))[0] == 200


@pytest.mark.parametrize(
    ("rule", "is_carried_out"),
    [
        ({"kind": "drop_request"}, False),
        ({"kind": "drop_reply"}, True),
        ({"kind": "timeout", "hold_ms": 50}, False),
        ({"kind": "timeout", "hold_ms": 50, "carried_out": True}, True),
        ({"kind": "truncated_body"}, True),
        ({"kind": "truncated_body", "keep_bytes": 0}, True),
    ],
)
async def test_answers_that_never_arrive(
    network: Network, alice: Keypair, rule: dict[str, Any], is_carried_out: bool
) -> None:
    envelope = await payment(network, alice)
    await plan(network, rules=[{**rule, "method": "sendTransaction", "count": 1}])
    with pytest.raises(LOST):
        await network.call("sendTransaction", transaction=envelope)
    assert await network.pending() == int(is_carried_out)


async def test_a_held_call_outlives_a_clients_patience(network: Network) -> None:
    await plan(network, rules=[{"kind": "timeout", "hold_ms": 60_000}])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await network.post(CALL)


async def test_a_truncated_body_was_announced_whole(network: Network) -> None:
    await plan(network, rules=[{"kind": "truncated_body", "keep_bytes": 20, "count": 1}])
    async with network.http.post(network.ready["rpc_url"], json=CALL) as response:
        assert response.status == 200
        announced = response.content_length
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with network.http.post(network.ready["rpc_url"], json=CALL) as response:
        assert len(await response.read()) == announced


async def test_an_oversized_body(network: Network) -> None:
    size = 3_000_000
    await plan(network, rules=[{"kind": "oversized_body", "bytes": size, "count": 1}])
    async with network.http.post(network.ready["rpc_url"], json=CALL) as response:
        body = await response.read()
    assert len(body) == size
    assert json.loads(body)["result"]["status"] == "healthy"


async def test_malformed_json(network: Network) -> None:
    await plan(network, rules=[{"kind": "malformed_json", "count": 1}])
    async with network.http.post(network.ready["rpc_url"], json=CALL) as response:
        assert response.content_type == "application/json"
        with pytest.raises(json.JSONDecodeError):
            json.loads(await response.text())


RULES = [
    {"kind": "rpc_error", "probability": 0.3, "method": "getHealth"},
    {"kind": "latency", "probability": 0.5, "latency": {"distribution": "exponential", "mean_ms": 2}},
    {"kind": "malformed_json", "probability": 0.2, "after_calls": 5},
    {"kind": "http_status", "status": 429, "probability": 0.1, "endpoint": "replica-1"},
]


async def strikes_of(*flags: str, seed: int | None) -> list[dict[str, Any]]:
    async with running(*STILL, "--replicas", "1", *flags) as network:
        await plan(network, rules=RULES, **({} if seed is None else {"seed": seed}))
        replica = network.ready["replicas"][0]["rpc_url"].removesuffix("/rpc")
        for number in range(60):
            method = ("getHealth", "getNetwork", "getFeeStats")[number % 3]
            for url in (network.url, replica):
                call = {"jsonrpc": "2.0", "id": 1, "method": method}
                async with network.http.post(url + "/rpc", json=call) as response:
                    await response.read()
        told = await network.admin("faults/strikes")
        assert told["total"] == len(told["strikes"]) == sum(told["struck"]["rules"])
        assert all(struck > 0 for struck in told["struck"]["rules"])
        strikes: list[dict[str, Any]] = told["strikes"]
        return strikes


async def test_the_same_seed_and_requests_give_the_same_strikes() -> None:
    first = await strikes_of(seed=5)
    assert first == await strikes_of("--seed", "99", seed=5)
    assert first != await strikes_of(seed=6)
    # Without a seed of its own a plan follows the sandbox's.
    assert await strikes_of("--seed", "5", seed=None) == first


async def test_replicas_lag_flap_and_lie() -> None:
    async with running(*STILL, "--replicas", "4") as network:
        names = [replica["name"] for replica in network.ready["replicas"]]
        assert names == ["replica-1", "replica-2", "replica-3", "replica-4"]
        alice = Keypair.random()
        await network.fund(alice)
        latest = (await network.result("getHealth"))["latestLedger"]
        key = account_key(alice)
        truth = (await network.result("getLedgerEntries", keys=[key]))["entries"]
        assert (await ask(network, 1, "getLedgerEntries", keys=[key]))["entries"] == truth
        await plan(
            network,
            replicas=[
                {"lag_ledgers": 3},
                {"flap_ledgers": 1},
                {"other_data": 1, "how": "missing"},
                {"other_data": 1, "how": "altered"},
            ],
        )
        await network.advance(2)
        assert (await ask(network, 1, "getHealth"))["latestLedger"] == latest - 1
        assert (await ask(network, 1, "getLedgerEntries", keys=[key]))["entries"] == []
        assert (await ask(network, 2, "getHealth"))["latestLedger"] == latest + 2
        await network.advance()
        with pytest.raises(LOST):
            await ask(network, 2, "getHealth")
        await network.advance()
        assert (await ask(network, 2, "getHealth"))["latestLedger"] == latest + 4
        assert (await ask(network, 1, "getLedgerEntries", keys=[key]))["entries"] == truth
        assert (await ask(network, 3, "getLedgerEntries", keys=[key]))["entries"] == []
        lie = (await ask(network, 4, "getLedgerEntries", keys=[key]))["entries"][0]
        assert lie["key"] == key
        assert lie["xdr"] != truth[0]["xdr"]
        honest, other = await network.result("getLatestLedger"), await ask(network, 4, "getLatestLedger")
        assert honest["sequence"] == other["sequence"]
        assert honest["id"] != other["id"]
        struck = (await network.admin("faults"))["struck"]["replicas"]
        assert struck == [0, 1, 1, 2]
        # Only the RPC is there.
        url = network.ready["replicas"][0]["rpc_url"].removesuffix("/rpc")
        async with network.http.get(url + "/admin/stats") as response:
            assert response.status == 404
        status, answer = await network.admin_status("faults", {"replicas": [{}] * 5})
        assert (status, "--replicas 5" in answer["error"]) == (400, True)


async def test_a_stale_answer_claims_to_be_new(network: Network, alice: Keypair) -> None:
    key = account_key(alice)
    rule = {"kind": "other_data", "how": "stale", "stale_ledgers": 2, "method": "getLedgerEntries"}
    before = await network.result("getLedgerEntries", keys=[key])
    envelope = await payment(network, alice)
    await network.result("sendTransaction", transaction=envelope)
    await network.advance(2)
    await plan(network, rules=[rule])
    stale = await network.result("getLedgerEntries", keys=[key])
    assert stale["latestLedger"] == before["latestLedger"] + 2
    assert stale["entries"] == before["entries"]
    await network.admin("faults", verb="DELETE")
    assert (await network.result("getLedgerEntries", keys=[key]))["entries"] != before["entries"]


async def test_a_replica_that_lags_judges_by_what_it_knows() -> None:
    async with running(*STILL, "--replicas", "1") as network:
        alice = Keypair.random()
        await network.fund(alice)
        await network.advance(3)
        await plan(network, replicas=[{"lag_ledgers": 2}])
        first = await payment(network, alice)
        await network.result("sendTransaction", transaction=first)
        await network.advance()
        second = await payment(network, alice)
        # It has not seen the first one applied: the second one's sequence is too high, and the first still new.
        answer = await ask(network, 1, "sendTransaction", transaction=second)
        assert answer["status"] == "ERROR"
        result = stellar_xdr.TransactionResult.from_xdr(answer["errorResultXdr"]).result
        assert result.code is stellar_xdr.TransactionResultCode.txBAD_SEQ
        assert (await ask(network, 1, "sendTransaction", transaction=first))["status"] == "PENDING"
        assert await network.pending() == 0
        await network.advance(2)
        assert (await ask(network, 1, "sendTransaction", transaction=second))["status"] == "PENDING"
        assert await network.pending() == 1


async def test_a_ledger_without_its_transactions(network: Network, alice: Keypair) -> None:
    await plan(network, ledger=[{"kind": "empty"}])
    envelope = await payment(network, alice)
    sent = await network.result("sendTransaction", transaction=envelope)
    await network.advance()
    found = await network.result("getTransaction", hash=sent["hash"])
    assert found["status"] == "NOT_FOUND"
    assert await network.pending() == 1
    await network.advance()
    found = await network.result("getTransaction", hash=sent["hash"])
    assert found["status"] == "SUCCESS"
    assert (await network.admin("faults"))["struck"]["ledger"] == [1]


async def test_a_stall_holds_up_the_ledger(ticking: Network) -> None:
    await plan(ticking, ledger=[{"kind": "stall", "seconds": 2.5}])
    latest = (await ticking.admin("stats"))["latest_ledger"]
    # At most one more was under way.
    await asyncio.sleep(1.5)
    assert (await ticking.admin("stats"))["latest_ledger"] <= latest + 1
    async with asyncio.timeout(10):
        while (await ticking.admin("stats"))["latest_ledger"] < latest + 3:
            await asyncio.sleep(0.05)
    assert (await ticking.admin("faults"))["struck"]["ledger"] == [1]


async def test_a_burst_in_a_running_network(ticking: Network) -> None:
    await plan(ticking, ledger=[{"kind": "burst", "ledgers": 20}])
    latest = (await ticking.admin("stats"))["latest_ledger"]
    # Twenty ledgers would take ten seconds.
    async with asyncio.timeout(5):
        while (await ticking.admin("stats"))["latest_ledger"] < latest + 20:
            await asyncio.sleep(0.05)
    ledgers = (await ticking.admin("ledgers"))["ledgers"]
    times = [ledger["close_time_ms"] for ledger in ledgers]
    assert times == sorted(set(times))


async def test_a_protocol_upgrade_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "upgrade.toml"
    file.write_text('[[ledger]]\nkind = "upgrade_header"\nat_ledger = 3\n')
    async with running(*STILL, "--faults", str(file)) as network:
        versions = []
        for _ in range(4):
            latest = await network.result("getLatestLedger")
            for method in ("getNetwork", "getVersionInfo"):
                assert latest["protocolVersion"] == (await network.result(method))["protocolVersion"]
            header = stellar_xdr.LedgerHeader if latest["protocolVersion"] == 29 else None
            if header is not None:
                # Before the upgrade the public SDK still reads the header.
                decoded = header.from_xdr(latest["headerXdr"])
                assert decoded.ledger_seq.uint32 == latest["sequence"]
                assert decoded.scp_value.ext.lc_value_signature is not None
            versions.append(latest["protocolVersion"])
            await network.advance()
        assert versions == [29, 29, 30, 30]


async def test_a_plan_that_makes_no_sense_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    for text, words in [
        ('[[rules]]\nkind = "slow"\n', "line 2"),
        ('[[rules]]\nkind = "latency"\n', "rules[0]: latency needs"),
        ('[[rules]]\nkind = "drop_reply"\nendpoint = "replica-1"\n', "--replicas"),
    ]:
        file.write_text(text)
        process = await asyncio.create_subprocess_exec(
            find_binary(), "start", "--port", "0", "--faults", str(file), stderr=asyncio.subprocess.PIPE
        )
        _, stderr = await process.communicate()
        assert process.returncode == 1
        message = stderr.decode()
        assert message.startswith("sorofast-sandbox: --faults")
        assert words in message
        assert message.count("\n") == 1


async def test_background_traffic_raises_the_price(network: Network) -> None:
    alice = Keypair.random()
    await network.fund(alice)
    counter = await network.deploy(alice, "counter")
    traffic = {"accounts": 60, "fill": 1.6, "bid_stroops": [2_000, 50_000], "instructions": 40_000_000}
    await plan(network, seed=3, traffic=traffic)
    # Accounts, the contract's code, the contract, and a first crowd.
    await network.advance(5)
    builder = await network.builder(alice, base_fee=100_000)
    builder.append_invoke_contract_function_op(counter, "bump", [scval.to_uint64(1)])
    envelope = await network.rpc.prepare_transaction(builder.build())
    envelope.sign(alice)
    found = await network.apply(envelope)
    assert found.status is GetTransactionStatus.SUCCESS, "the highest bid has its place in a full ledger"
    told = (await network.admin("faults"))["struck"]["traffic"]
    assert told["accounts"] == 60
    assert told["applied"] > 20
    assert told["failed"] == 0
    assert await network.pending() > 0, "more is offered than a ledger holds"
    await network.advance(2)
    fees = (await network.result("getFeeStats"))["sorobanInclusionFee"]
    assert int(fees["mode"]) >= 2_000
    audit = await network.admin("audit")
    assert audit["coins_counted"] == audit["coins_recorded"]


async def test_traffic_repeats_itself() -> None:
    async def story() -> list[str]:
        async with running(*STILL, "--seed", "11") as network:
            await plan(network, traffic={"accounts": 20, "per_ledger": 10, "kind": "payments"})
            await network.advance(6, 5.0)
            told = (await network.admin("faults"))["struck"]["traffic"]
            assert told["applied"] >= 20
            return [ledger["hash"] for ledger in (await network.admin("ledgers"))["ledgers"]]

    assert await story() == await story()


async def test_a_rival_executes_due_tasks() -> None:
    flags = ("--seed-tasks", "7", "--seed-task-interval", "5s-10s")
    async with running(*STILL, *flags) as network:
        registries = [
            registry for registry in network.ready["registries"] if registry.get("executable", True)
        ]
        assert registries
        await plan(network, rival={"registry": registries[0]["contract"], "accounts": 2, "bid_stroops": 200})
        await network.advance(12, 60.0)
        told = (await network.admin("faults"))["struck"]["rival"]
        assert told["accounts"] == 2
        assert told["applied"] > 0
        transactions = (await network.admin("transactions"))["transactions"]
        executed = [tx for tx in transactions if tx["function"] == "execute"]
        assert {tx["contract"] for tx in executed} == {registries[0]["contract"]}
