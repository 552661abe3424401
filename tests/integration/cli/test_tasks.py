"""`tasks register|list|show` against the deployed registry, with an entry among the tasks that does not decode."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.operator import Network, sorofast
from sorofast.sandbox.client import AdminClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def register(network: Network, config: str, *more: str) -> int:
    done = await sorofast(
        "tasks", "register", "--target", network.target, "--gas", "100000", *more, "-c", config, "-o", "json"
    )
    assert done.code == 0, done.err
    task_id: int = done.json["id"]
    return task_id


def undecodable_entry(contract: str, task_id: int, ledger: int) -> bytes:
    """A Task entry that holds a number instead of a task."""
    data = stellar_xdr.ContractDataEntry(
        ext=stellar_xdr.ExtensionPoint(0),
        contract=Address(contract).to_xdr_sc_address(),
        key=scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(task_id)]),
        durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        val=scval.to_uint32(7),
    )
    entry = stellar_xdr.LedgerEntry(
        last_modified_ledger_seq=stellar_xdr.Uint32(ledger),
        data=stellar_xdr.LedgerEntryData(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data),
        ext=stellar_xdr.LedgerEntryExt(0),
    )
    return base64.b64decode(entry.to_xdr())


async def test_a_registered_task_is_shown_and_listed(network: Network, admin: AdminClient) -> None:
    config = network.config("tasks")
    keeper = network.keeper.public_key
    first = await register(network, config, "--function", "increment", "--interval", "1h")
    second = await register(network, config, "--function", "increment", "--interval", "90")
    other = Keypair.random().public_key
    third = await register(
        network, config, "--function", "bump", "--interval", "5m", "--args", "u64:5", "--whitelist", other
    )
    assert (second, third) == (first + 1, first + 2)

    shown = (await sorofast("tasks", "show", str(third), "-c", config, "-o", "json")).json
    assert (shown["id"], shown["creator"], shown["target"]) == (third, keeper, network.target)
    assert (shown["function"], shown["args"]) == ("bump", [{"u64": 5}])
    assert (shown["interval_s"], shown["gas_stroops"], shown["whitelist"]) == (300, 100_000, [other])
    assert shown["state"] == "not_whitelisted"
    assert shown["explanation"]
    assert "note" in shown["fleet"], "no Redis runs, which is said and is no error"

    latest = (await admin.stats()).latest_ledger
    await admin.put_entries([(undecodable_entry(network.contract, second, latest), latest + 100_000)])
    listed = await sorofast("tasks", "list", "--start", str(first), "-c", config, "-o", "json")
    assert listed.code == 0, listed.err
    tasks = {task["id"]: task for task in listed.json}
    assert tasks[first]["state"] == "due"
    assert tasks[first]["interval_s"] == 3_600
    assert tasks[second]["state"] == "undecodable"
    assert tasks[second]["problem"]
    assert tasks[second]["interval_s"] is None
    assert tasks[third]["state"] == "not_whitelisted"

    broken = await sorofast("tasks", "show", str(second), "-c", config, "-o", "json")
    assert broken.code == 0, broken.err
    assert broken.json["state"] == "undecodable"
    assert broken.json["entry_xdr"]

    only = await sorofast("tasks", "list", "--state", "undecodable", "-c", config, "-o", "json")
    assert [task["id"] for task in only.json] == [second]
    one = await sorofast("tasks", "list", "--limit", "1", "--start", str(first), "-c", config)
    assert one.out.splitlines()[1].split()[0] == str(first)
    assert f"--start {first + 1}" in one.err
    for command in (["tasks", "list"], ["tasks", "show", str(third)], ["tasks", "show", str(second)]):
        table = await sorofast(*command, "-c", config)
        assert table.code == 0, table.err
        assert "undecodable" in table.out or "whitelist" in table.out


async def test_register_prints_only_the_id_on_stdout(network: Network) -> None:
    done = await sorofast(
        "tasks", "register", "--target", network.target, "--function", "increment", "--interval", "60",
        "--gas", "1000", "-c", network.config("id"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert int(done.out) >= 1
    assert "transaction" in done.err


async def test_showing_an_unknown_task_is_refused(network: Network) -> None:
    done = await sorofast("tasks", "show", "123456789", "-c", network.config("absent"), "-o", "json")
    assert done.code == 1
    assert "does not exist" in done.error["message"]


async def test_registering_from_an_account_that_does_not_exist_is_refused(
    network: Network, tmp_path: Path
) -> None:
    secret = tmp_path / "creator.secret"
    secret.touch(mode=0o600)
    secret.write_text(Keypair.random().secret, encoding="utf-8")
    arguments = ["--target", network.target, "--function", "increment", "--interval", "60", "--gas", "1"]
    done = await sorofast(
        "tasks", "register", *arguments, "--source-secret-file", str(secret), "-c", network.config("creator")
    )
    assert done.code == 1
    assert "does not exist on this network" in done.err
    assert done.err.count("\n") == 1
