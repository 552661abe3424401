"""The auditor against a real ledger on which everything is done by hand, so that what it should find is
known.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_server_async import SorobanServerAsync

from helpers.demo import network_of, options_of
from sorofast.audit.evidence import Evidence, task_key
from sorofast.audit.report import read
from sorofast.chain.rpc import RpcClient
from sorofast.demo.network import DemoNetwork
from sorofast.errors import SorofastError, UnreachableError
from sorofast.transactions.oneshot import invoke

INTERVAL_S = 100
Call = Callable[..., Awaitable[None]]


@pytest.fixture
async def network() -> AsyncIterator[DemoNetwork]:
    """Ledgers close when a transaction waits, and at no other time."""
    options = options_of(tasks=20, intervals_s=(INTERVAL_S, INTERVAL_S), ledger_close="0s")
    async with network_of(options) as network, network.hurry():
        await network.seed_tasks(0)
        yield network


@pytest.fixture
async def evidence(network: DemoNetwork) -> AsyncIterator[Evidence]:
    async with network.evidence() as evidence:
        await evidence.begin()
        yield evidence


@pytest.fixture
async def call(network: DemoNetwork) -> AsyncIterator[Call]:
    """Calls a contract as the keeper."""
    rpc = RpcClient(network.urls.rpc_url)

    async def call(contract: str, function: str, *args: stellar_xdr.SCVal) -> None:
        await invoke(rpc, network.urls.network_passphrase, network.keeper, contract, function, list(args))

    yield call
    await rpc.close()


def execute(network: DemoNetwork, task_id: int) -> tuple[str, str, stellar_xdr.SCVal, stellar_xdr.SCVal]:
    keeper = scval.to_address(network.keeper.public_key)
    return network.registry.contract, "execute", keeper, scval.to_uint64(task_id)


async def missed(evidence: Evidence, network: DemoNetwork) -> set[int]:
    """The tasks registered here whose windows count as missed."""
    until = await latest(network)
    windows = read(await evidence.history(until)).windows
    old = [window for window in windows if until >= window.eligible + 10]
    late = [window for window in old if window.ran is None or window.ran > window.eligible + 10]
    report = await evidence.report(until)
    assert report.missed == len(late), report
    return {window.task_id for window in late if window.task_id > 20}


async def latest(network: DemoNetwork) -> int:
    return (await network.admin.stats()).latest_ledger


async def test_runs_duplicates_and_early_ones_are_told_apart(
    network: DemoNetwork, evidence: Evidence, call: Call
) -> None:
    await network.admin.advance(seconds=INTERVAL_S)  # now all tasks are due
    await call(*execute(network, 1))
    await call(*execute(network, 1))
    await network.admin.advance(seconds=0.9 * INTERVAL_S)
    await call(*execute(network, 1))
    report = await evidence.report(await latest(network))
    assert (report.executed, report.duplicates, report.early, report.no_effect) == (1, 1, 1, 2), report
    assert (report.failed, report.rivals) == (0, 0)
    assert report.due == 20
    assert report.open == 19
    assert report.fees_stroops > 0
    assert report.ledgers == await latest(network) - (await evidence.history(0)).ledgers[0].sequence


async def test_only_windows_that_could_have_run_are_missed(
    network: DemoNetwork, evidence: Evidence, call: Call
) -> None:
    with_resolver = [spec for spec in network.specs if spec.resolver is not None]
    off = with_resolver[0].resolver
    switched_off = {spec.task_id for spec in with_resolver if spec.resolver == off}
    paused, cancelled = [spec.task_id for spec in network.specs if spec.resolver is None][:2]
    await call(network.registry.resolvers[off or 0], "set", scval.to_bool(False))
    await call(network.registry.contract, "pause_task", scval.to_uint64(paused))
    await call(network.registry.contract, "cancel_task", scval.to_uint64(cancelled))
    await network.admin.advance(seconds=INTERVAL_S)
    await call(*execute(network, with_resolver[0].task_id))  # succeeds, and its resolver says no
    await network.admin.advance(ledgers=8)
    young = await evidence.report(await latest(network))
    able = 20 - len(switched_off) - 2
    assert (young.due, young.open, young.missed) == (able, able, 0), young
    assert (young.no_effect, young.duplicates, young.early) == (1, 0, 0)
    await network.admin.advance(ledgers=1)
    old = await evidence.report(await latest(network))
    assert (old.due, old.open, old.missed) == (able, 0, able), old


async def test_tasks_registered_on_the_way_are_audited_from_there(
    network: DemoNetwork, evidence: Evidence, call: Call
) -> None:
    async with SorobanServerAsync(network.urls.rpc_url, AiohttpClient()) as server:
        answer = await server.get_ledger_entries([task_key(network.registry.contract, 1)])
    assert answer.entries
    data = stellar_xdr.LedgerEntryData.from_xdr(answer.entries[0].xdr).contract_data
    assert data is not None
    await call(network.registry.contract, "register", data.val)
    await network.admin.advance(seconds=INTERVAL_S)
    await call(*execute(network, 21))
    report = await evidence.report(await latest(network))
    assert (report.tasks, report.due, report.executed) == (21, 21, 1), report


async def test_a_blocked_task_is_missed_once_what_it_waits_for_has_run_and_it_has_not(
    network: DemoNetwork, evidence: Evidence, call: Call
) -> None:
    """Task 22 has never run, 23 waits for it, and nobody ever runs 23."""
    registry = network.registry.contract
    async with SorobanServerAsync(network.urls.rpc_url, AiohttpClient()) as server:
        answer = await server.get_ledger_entries([task_key(registry, 1)])
    assert answer.entries
    data = stellar_xdr.LedgerEntryData.from_xdr(answer.entries[0].xdr).contract_data
    assert data is not None
    assert data.val.map is not None
    fresh = scval.to_struct(
        {
            entry.key.sym.sc_symbol.decode(): entry.val
            for entry in data.val.map.sc_map
            if entry.key.sym is not None
        }
        | {"last_run": scval.to_uint64(0)}
    )
    for _ in range(3):  # 21 is there to show an edge that is taken away again
        await call(registry, "register", fresh)
    await call(*execute(network, 21))
    await call(registry, "add_dependency", scval.to_uint64(23), scval.to_uint64(22))
    await call(registry, "add_dependency", scval.to_uint64(23), scval.to_uint64(21))
    since = (await evidence.history(0)).ledgers[0].sequence
    await network.admin.advance(ledgers=20)
    blocked = await evidence.history(await latest(network))
    assert [(change.task_id, change.depends_on, change.added) for change in blocked.dependency_changes] == [
        (23, 22, True),
        (23, 21, True),
    ]
    assert blocked.ledgers[0].sequence == since
    # While 22 has not run, that one alone is missed.
    assert (await missed(evidence, network)) == {22}
    await call(*execute(network, 22))
    ran_in = (await evidence.history(0)).applied[-1].ledger
    await network.admin.advance(ledgers=ran_in + 10 - await latest(network))
    assert (await missed(evidence, network)) == {22}, "23 has had nine ledgers"
    await network.admin.advance(ledgers=1)
    assert (await missed(evidence, network)) == {22, 23}


async def test_a_network_that_has_gone_is_an_error_and_not_a_report(
    network: DemoNetwork, evidence: Evidence
) -> None:
    os.kill(network.urls.pid, signal.SIGKILL)
    with pytest.raises(UnreachableError):
        await evidence.report(10)
    with pytest.raises(SorofastError):
        await network.admin.advance()
