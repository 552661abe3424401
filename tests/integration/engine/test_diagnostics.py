"""Who raised the error that a simulation ends with, as a real host tells it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from stellar_sdk import StrKey, scval

from helpers.contract_calls import give_token, put_instance, seeded, upload, wasm_of
from helpers.faults.scene import with_fields
from sorofast import _core
from sorofast.audit.seed import SeedOptions, contract_entries, task_entries
from sorofast.chain.models import Simulation
from sorofast.chain.rpc import RpcClient
from sorofast.chain.xdr import read_footprint
from sorofast.demo.network import DemoNetwork
from sorofast.registry.words import WordsReader
from sorofast.sandbox.process import SandboxOptions
from sorofast.transactions.diagnostics import diagnose, keeper_fee, resolver_failure

PHRASE = "abandon " * 11 + "about"
BAD = StrKey.encode_contract(hashlib.sha256(b"a target that fails").digest())
NOBODY = StrKey.encode_contract(bytes(32))


def calls(target: str, function: str, *arguments: Any) -> dict[str, Any]:
    return {
        "target": scval.to_address(target),
        "function": scval.to_symbol(function),
        "args": scval.to_vec(list(arguments)),
    }


POOR = {"gas_balance": scval.to_int128(50)}
PANICS_WHEN_ASKED = {"resolver": scval.to_address(BAD)}
TASKS: dict[int, dict[str, Any]] = {
    1: POOR,
    2: calls(BAD, "permit", scval.to_address(BAD)),
    3: calls(BAD, "refuse"),
    4: calls(BAD, "nothing_of_the_kind"),
    5: calls(NOBODY, "run"),
    6: PANICS_WHEN_ASKED,
    7: {"blocked_by": scval.to_vec([scval.to_uint64(8)])},
    8: calls(seeded("target 0"), "increment"),
}


@pytest_asyncio.fixture
async def network() -> AsyncIterator[DemoNetwork]:
    async with DemoNetwork(SandboxOptions(ledger_close="1s"), SeedOptions(tasks=len(TASKS))) as network:
        latest = (await network.admin.stats()).latest_ledger
        owner = network.keeper.public_key
        await network.admin.put_entries(contract_entries(network.registry, owner, len(TASKS), latest))
        entries = task_entries(network.registry, network.specs, owner, 1_000, latest)
        idle = {"resolver": scval.to_void(), "last_run": scval.to_uint64(0)}
        await network.admin.put_entries(
            (with_fields(raw, idle | TASKS[spec.task_id]), live_until)
            for spec, (raw, live_until) in zip(network.specs, entries, strict=True)
        )
        async with network.hurry():
            code = await upload(network, wasm_of("changeable"))
        await put_instance(network, BAD, code)
        yield network


async def simulated(network: DemoNetwork, task_id: int) -> tuple[Simulation, bytes, Any]:
    """What simulating the task says, with the registry's bytes and what it calls its errors."""
    signer = _core.Signer(network.urls.network_passphrase, network.keeper.secret, PHRASE, 1)
    contract = _core.contract_to_bytes(network.registry.contract)
    rpc = RpcClient(network.urls.rpc_url)
    try:
        envelope = signer.simulation_envelope(contract, task_id, 0, 1)
        words = await WordsReader(rpc, network.registry.contract).known()
        return await rpc.simulate(envelope), contract, words
    finally:
        await rpc.close()


FAILURES = [
    (1, "gas_below_fee", "InsufficientBalance", "the registry refused: InsufficientBalance"),
    (3, "target_panics", "target error 7", f"the target {BAD} failed in refuse(): error 7"),
    (4, "function_missing", "no function nothing_of_the_kind", f"the target {BAD} has no function"),
    (5, "function_missing", "no contract", f"there is no contract at the target {NOBODY}"),
    (7, "blocked", "DependencyBlocked", "the registry refused: DependencyBlocked"),
]


async def test_a_failed_simulation_is_told_by_who_raised_the_error(network: DemoNetwork) -> None:
    for task_id, reason, error, says in FAILURES:
        simulation, contract, words = await simulated(network, task_id)
        assert simulation.error is not None
        why = diagnose(simulation.error, simulation.events, contract, words)
        assert why is not None
        assert (why.reason, why.error) == (reason, error)
        assert why.text.startswith(says)

    # A resolver that fails is no failure of the run.
    simulation, contract, _ = await simulated(network, 6)
    assert simulation.error is None
    assert not read_footprint(simulation.transaction_data).writes(contract, 6)
    assert resolver_failure(simulation.events) == "trying to invoke non-existent contract function"

    # What a run takes from the gas is read from its event.
    simulation, contract, _ = await simulated(network, 8)
    assert simulation.error is None
    assert read_footprint(simulation.transaction_data).writes(contract, 8)
    assert keeper_fee(simulation.events, contract, 8) == 100
    assert keeper_fee(simulation.events, contract, 7) is None


def test_an_answer_of_the_server_about_itself_blames_no_call() -> None:
    contract = bytes(32)
    assert diagnose("preflight queue full", (), contract) is None
    without_events = diagnose("HostError: Error(Contract, #3)\n\nEvent log", (), contract)
    assert without_events is not None
    assert without_events.error == "Error(Contract, #3)"


async def test_a_token_that_refuses_the_fee_is_no_fault_of_the_target(network: DemoNetwork) -> None:
    """The registry has no lumens left to pay the keeper with."""
    async with network.hurry():
        await give_token(network, 1)
    simulation, contract, words = await simulated(network, 8)
    assert simulation.error is not None
    why = diagnose(simulation.error, simulation.events, contract, words)
    assert why is not None
    assert why.reason == "token_refused"
    assert why.error.startswith("token error")
