"""`doctor` and `status`: what is wrong, in one line each, with the exit code that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import Address, Keypair

from helpers.operator import Network, sorofast

pytestmark = pytest.mark.asyncio(loop_scope="session")


def failed(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in report["checks"] if not check["ok"]}


async def test_doctor_passes_when_everything_is_right(network: Network, tmp_path: Path) -> None:
    config = network.config(
        "well", keeper__channel_seed_file=str(tmp_path / "channels.seed"), redis__dir=str(tmp_path)
    )
    created = await sorofast("channels", "create", "64", "-c", config, "-q")
    assert created.code == 0, created.err
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert (done.code, failed(done.json)) == (0, {})
    assert {check["check"] for check in done.json["checks"]} >= {
        "core build", "event loop", "settings", "run settings", "keeper secret", "channel seed", "RPC", "passphrase",
        "protocol", "clock", "contract", "keeper account", "channels", "Redis",
    }  # fmt: skip
    table = await sorofast("doctor", "-c", config)
    assert table.code == 0
    assert "FAIL" not in table.out
    assert network.keeper.secret not in done.out + table.out


async def test_doctor_finds_a_wrong_contract(network: Network) -> None:
    config = network.config("contract", contract__id=Address.from_raw_contract(bytes(32)).address)
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 3
    assert "does not exist" in failed(done.json)["contract"]["detail"]
    for command in (["tasks", "list"], ["tasks", "show", "1"]):
        done = await sorofast(*command, "-c", config, "-o", "json")
        assert (done.code, done.error["kind"]) == (3, "WrongContract")
    done = await sorofast(
        "doctor", "-c", network.config("counter", contract__id=network.target), "-o", "json"
    )
    assert done.code == 3
    assert "not a task registry" in failed(done.json)["contract"]["detail"]


async def test_doctor_finds_an_unreachable_rpc(network: Network, closed_port: int) -> None:
    config = network.config("rpc", network__rpc_url=f"http://127.0.0.1:{closed_port}")
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 4
    assert str(closed_port) in failed(done.json)["RPC"]["detail"]
    for command in (["tasks", "list"], ["channels", "create", "64"]):
        done = await sorofast(*command, "-c", config)
        assert done.code == 4
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [("SNOTASEED", 0o600, "secret seed"), (None, 0o600, "cannot be read"), ("", 0o644, "chmod 600")],
    ids=["malformed", "missing", "open"],
)
async def test_doctor_finds_a_bad_secret(
    network: Network, tmp_path: Path, text: str | None, mode: int, said: str
) -> None:
    secret = tmp_path / "bad.secret"
    if text is not None:
        secret.touch(mode=0o600)
        secret.write_text(text or Keypair.random().secret, encoding="utf-8")
        secret.chmod(mode)
    config = network.config("secret", keeper__secret_file=str(secret))
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 3
    assert said in failed(done.json)["keeper secret"]["detail"]
    listed = await sorofast("channels", "list", "-c", config)
    assert listed.code == 3
    if text:
        assert text not in done.out + done.err + listed.err


async def test_doctor_finds_a_seed_phrase_with_a_wrong_checksum(network: Network, tmp_path: Path) -> None:
    seed = tmp_path / "channels.seed"
    seed.touch(mode=0o600)
    seed.write_text(" ".join(["abandon"] * 24), encoding="utf-8")
    config = network.config("checksum", keeper__channel_seed_file=str(seed))
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 3
    assert "channels" in failed(done.json)
    assert "abandon" not in done.out + done.err


async def test_doctor_finds_the_passphrase_of_another_network(network: Network) -> None:
    config = network.config("passphrase", network__passphrase="Test SDF Network ; September 2015")
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 3
    assert network.urls.network_passphrase in failed(done.json)["passphrase"]["detail"]
    done = await sorofast("tasks", "list", "-c", config, "-o", "json")
    assert (done.code, done.error["kind"]) == (3, "WrongPassphrase")


async def test_doctor_finds_an_unreachable_redis(network: Network, closed_port: int) -> None:
    config = network.config("redis", redis__url=f"redis://127.0.0.1:{closed_port}/0")
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 4
    assert str(closed_port) in failed(done.json)["Redis"]["detail"]
    done = await sorofast("status", "-c", config, "-o", "json")
    assert (done.code, done.error["kind"]) == (4, "RedisUnreachable")


async def test_doctor_names_the_command_that_creates_missing_channels(
    network: Network, tmp_path: Path
) -> None:
    config = network.config("missing", keeper__channel_seed_file=str(tmp_path / "channels.seed"))
    done = await sorofast("doctor", "-c", config, "-o", "json")
    assert done.code == 3
    assert "sorofast channels create 64" in failed(done.json)["channel seed"]["detail"]
