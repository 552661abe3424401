"""What an operator is told of tasks that do not run for free, and of tasks that nothing is known of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr

from helpers.coordination import envelope, owned
from helpers.operator import Network, deploy, sorofast
from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.coordination.shard import ShardStore
from sorofast.executions.records import Settle
from sorofast.sandbox.client import AdminClient
from sorofast.settings import RedisConfig
from sorofast.transactions.oneshot import invoke

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHARDS, NOBODY_S = 16, 123_456_789


async def register(network: Network, config: str, target: str, function: str, *more: str) -> int:
    done = await sorofast(
        *("tasks", "register", "--target", target, "--function", function, "--interval", "1h"),
        *("--gas", "100000", *more, "-c", config, "-o", "json"),
    )
    assert done.code == 0, done.err
    task_id: int = done.json["id"]
    return task_id


async def test_due_tasks_that_fail_for_nothing_are_listed_with_what_the_fleet_counts_them_under(
    network: Network, admin: AdminClient
) -> None:
    config = network.config("failing")
    rpc = RpcClient(network.urls.rpc_url)
    try:
        panics = await deploy(rpc, network.urls, network.keeper, await admin.contract_wasm("always_panics"))
        resolver = await deploy(
            rpc, network.urls, network.keeper, await admin.contract_wasm("switch_resolver")
        )
    finally:
        await rpc.close()
    runs = await register(network, config, network.target, "increment")
    fails = await register(network, config, panics, "run")
    missing = await register(network, config, network.target, "nothing_of_the_kind")
    refused = await register(network, config, network.target, "increment", "--resolver", resolver)
    starved = await sorofast(
        *("tasks", "register", "--target", network.target, "--function", "increment", "--interval", "1h"),
        *("--gas", "0", "-c", config),
    )
    assert starved.code == 0, starved.err
    everything = ("tasks", "list", "--start", str(runs), "-c", config)

    listed = await sorofast(*everything, "--failing", "-o", "json")
    assert listed.code == 0, listed.err
    found = {task["id"]: task for task in listed.json}
    assert {task_id: task["state"] for task_id, task in found.items()} == {
        fails: "target_panics",
        missing: "function_missing",
        refused: "resolver_says_no",
    }
    assert panics in found[fails]["error"]
    assert "does not say yes" in found[refused]["error"]

    table = await sorofast(*everything, "--failing")
    assert "1 more task cannot run for what stands in the entry (out_of_gas 1)" in table.err
    table = await sorofast(*everything, "--state", "target_panics")
    assert [line.split()[0] for line in table.out.splitlines()] == ["id", str(fails)]
    first = await sorofast(*everything, "--failing", "--limit", "1")
    assert [line.split()[0] for line in first.out.splitlines()] == ["id", str(fails)]
    assert f"--start {missing}" in first.err
    due = (await sorofast(*everything, "--state", "due", "-o", "json")).json
    assert {task["id"] for task in due} == {runs, fails, missing, refused}
    assert all("error" not in task for task in due)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--state", "in_flight"], "tasks explain"),
        (["--state", "nonsense"], "unknown state"),
        (["--state", "inactive", "--failing"], "leave out --failing"),
    ],
)
async def test_a_state_that_no_list_can_know_is_refused(
    network: Network, arguments: list[str], word: str
) -> None:
    done = await sorofast("tasks", "list", *arguments, "-c", network.config("states"))
    assert (done.code, word in done.err) == (2, True), done.err
    assert "target_panics" in done.err or "inactive" in done.err


async def test_a_task_is_blocked_until_what_it_waits_for_has_run(network: Network) -> None:
    config = network.config("blocked")
    first = await register(network, config, network.target, "increment")
    second = await register(network, config, network.target, "increment")

    async def call(function: str, *arguments: stellar_xdr.SCVal) -> None:
        rpc = RpcClient(network.urls.rpc_url)
        try:
            passphrase = network.urls.network_passphrase
            await invoke(rpc, passphrase, network.keeper, network.contract, function, list(arguments))
        finally:
            await rpc.close()

    async def state() -> str:
        done = await sorofast("tasks", "list", "--start", str(second), "-c", config, "-o", "json")
        states: dict[int, str] = {task["id"]: task["state"] for task in done.json}
        return states[second]

    await call("add_dependency", scval.to_uint64(second), scval.to_uint64(first))
    assert await state() == "blocked"
    await call("execute", scval.to_address(network.keeper.public_key), scval.to_uint64(first))
    assert await state() == "due"


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a Redis with a fleet in it that has run one task."""
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        redis = await open_redis(RedisConfig(url=url))
        await Fleet(redis, "sorofast").check_meta(
            FleetMeta(FLEET_SCHEMA, SHARDS, "network", "contract", 64, "fingerprint")
        )
        store = ShardStore(redis, "sorofast", SHARDS)
        shard = _core.shard_of(NOBODY_S, SHARDS)
        term, version = await owned(store, shard=shard)
        record = envelope()
        reply = await store.commit(term, version, [], [record])
        settle = Settle(record=record, outcome="executed", confirmed=record.sequence)
        await store.commit(term, reply.version, [settle], [])
        yield url
        await redis.aclose()


async def test_a_history_of_a_task_that_does_not_exist_says_so(network: Network, fleet: str) -> None:
    config = network.config("history", redis__url=fleet)
    done = await sorofast("tasks", "history", str(NOBODY_S), "-c", config, "-o", "json")
    assert done.code == 1
    assert "does not exist" in done.error["message"]
    assert "no run of it is remembered" in done.error["message"]


async def test_a_history_without_a_run_says_how_far_back_it_reaches(network: Network, fleet: str) -> None:
    config = network.config("history", redis__url=fleet)
    task_id = await register(network, config, network.target, "increment")
    done = await sorofast("tasks", "history", str(task_id), "-c", config)
    assert (done.code, done.out) == (0, "")
    assert f"no run of task {task_id} is remembered" in done.err
    # Where the chain cannot be asked, what the fleet remembers is all there is.
    away = network.config("away", redis__url=fleet, network__rpc_url="http://127.0.0.1:9/rpc")
    done = await sorofast("tasks", "history", str(NOBODY_S), "-c", away)
    assert (done.code, done.out) == (0, "")
    assert "goes back to 20" in done.err


async def test_no_dead_letters_are_said_to_be_none(network: Network, fleet: str) -> None:
    config = network.config("none", redis__url=fleet)
    done = await sorofast("dead", "list", "-c", config)
    assert (done.code, done.out, done.err) == (0, "", "there are no dead letters\n")
    done = await sorofast("dead", "retry", "--all", "-c", config)
    assert (done.code, done.out, done.err) == (0, "", "there are no dead letters\n")
