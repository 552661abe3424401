"""`tasks show` of a task that is due says what its run would come to, and commands tell a registry from a stranger."""

from __future__ import annotations

import pytest
import pytest_asyncio
from stellar_sdk import Keypair, scval

from helpers.operator import Done, Network, deploy, fund, sorofast
from sorofast.chain.rpc import RpcClient
from sorofast.sandbox.client import AdminClient, FaultRule
from sorofast.transactions.oneshot import invoke

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def contracts(network: Network) -> dict[str, str]:
    """A target that fails and a resolver, deployed by an account of their own."""
    source = Keypair.random()
    await fund(network.urls, source.public_key)
    rpc = RpcClient(network.urls.rpc_url)
    try:
        async with AdminClient(network.urls.admin_url) as admin:
            return {
                name: await deploy(rpc, network.urls, source, await admin.contract_wasm(name))
                for name in ("always_panics", "switch_resolver")
            }
    finally:
        await rpc.close()


async def registered(network: Network, config: str, target: str, function: str, *more: str) -> str:
    done = await sorofast(
        "tasks", "register", "--target", target, "--function", function, "--interval", "60",
        "--gas", "100000", *more, "-c", config, "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.out.strip()


async def shown(task: str, config: str) -> Done:
    done = await sorofast("tasks", "show", task, "-c", config, "-o", "json")
    assert done.code == 0, done.err
    assert done.json["state"] == "due"
    return done


async def test_show_simulates_a_due_task_that_succeeds(network: Network) -> None:
    config = network.config("runs")
    task = await registered(network, config, network.target, "increment")
    done = await shown(task, config)
    assert done.json["simulation"] == {"outcome": "runs", "error": None}
    assert "succeeds in a simulation" in done.json["explanation"]


async def test_show_reports_a_target_that_traps(network: Network, contracts: dict[str, str]) -> None:
    config = network.config("traps")
    task = await registered(network, config, contracts["always_panics"], "run")
    done = await shown(task, config)
    assert done.json["simulation"]["outcome"] == "fails"
    target = contracts["always_panics"]
    assert done.json["simulation"]["error"] == (
        f"the target {target} failed in run() (it panicked): "
        "wasm_vm invalid_action: VM call trapped: UnreachableCodeReached"
    )
    table = await sorofast("tasks", "show", task, "-c", config)
    assert "its run fails in a simulation: the target" in table.out


async def test_an_error_of_the_target_is_not_called_by_the_registrys_name_for_its_number(
    network: Network, contracts: dict[str, str]
) -> None:
    """5 is TaskPaused where the registry says it."""
    config = network.config("fails")
    target = contracts["always_panics"]
    task = await registered(network, config, target, "fail", "--args", "u32:5")
    said = (await shown(task, config)).json["simulation"]["error"]
    assert said == f"the target {target} failed in fail(): error 5"


async def test_show_reports_a_resolver_that_declines_and_then_accepts(
    network: Network, contracts: dict[str, str]
) -> None:
    config = network.config("resolver")
    resolver = contracts["switch_resolver"]
    task = await registered(network, config, network.target, "increment", "--resolver", resolver)
    done = await shown(task, config)
    assert done.json["simulation"] == {"outcome": "nothing", "error": None}
    assert "resolver" in done.json["explanation"]
    rpc = RpcClient(network.urls.rpc_url)
    try:
        passphrase = network.urls.network_passphrase
        await invoke(rpc, passphrase, network.keeper, resolver, "set", [scval.to_bool(True)])
    finally:
        await rpc.close()
    assert (await shown(task, config)).json["simulation"]["outcome"] == "runs"


async def test_without_a_keeper_show_simulates_as_the_creator(network: Network) -> None:
    task = await registered(network, network.config("creator"), network.target, "increment")
    done = await sorofast(
        "tasks", "show", task, "-o", "json", "--rpc-url", network.urls.rpc_url,
        "--network-passphrase", network.urls.network_passphrase, "--contract-id", network.contract,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["simulation"]["outcome"] == "runs"


async def test_an_unanswered_simulation_does_not_hide_the_rest_of_the_task(
    network: Network, admin: AdminClient
) -> None:
    config = network.config("unanswered")
    task = await registered(network, config, network.target, "increment")
    await admin.set_faults(
        [FaultRule(method="simulateTransaction", kind="rpc_error", code=-32603, message="busy")]
    )
    done = await shown(task, config)
    assert done.json["simulation"]["outcome"] == "unknown"
    assert "could not be simulated" in done.json["explanation"]
    assert done.json["function"] == "increment"


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "1"],
        ["register", "--target", "", "--function", "f", "--interval", "60", "--gas", "1"],
    ],
    ids=lambda command: command[0],
)
async def test_a_contract_that_is_not_a_registry_is_refused(network: Network, command: list[str]) -> None:
    config = network.config("stranger", contract__id=network.target)
    arguments = [argument or network.target for argument in command]
    done = await sorofast("tasks", *arguments, "-c", config, "-o", "json")
    assert (done.code, done.error["kind"], done.out) == (3, "WrongContract", "")
    assert f"{network.target} is not a task registry" in done.error["message"]
