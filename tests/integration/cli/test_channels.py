"""`channels create` makes what is missing, and says what there is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from stellar_sdk import Keypair

from helpers.operator import Network, sorofast
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import FLEET_SCHEMA, Fleet, FleetMeta
from sorofast.sandbox.client import AdminClient, FaultRule
from sorofast.settings import RedisConfig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_creating_channels_again_creates_only_the_missing_ones(
    network: Network, tmp_path: Path
) -> None:
    seed = tmp_path / "channels.seed"
    config = network.config("channels", keeper__channel_seed_file=str(seed), keeper__channels=130)

    done = await sorofast("channels", "create", "64", "-c", config, "-o", "json")
    assert done.code == 0, done.err
    assert (done.json["created"], done.json["existed"], done.json["seed_file_made"]) == (64, 0, True)
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    phrase = seed.read_text(encoding="utf-8").strip()
    assert phrase not in done.out + done.err
    assert done.json["addresses"][63] == Keypair.from_mnemonic_phrase(phrase, index=63).public_key

    again = await sorofast("channels", "create", "64", "-c", config, "-o", "json")
    assert again.code == 0, again.err
    assert (again.json["created"], again.json["existed"], again.json["seed_file_made"]) == (0, 64, False)
    assert seed.read_text(encoding="utf-8").strip() == phrase

    listed = await sorofast("channels", "list", "-c", config, "-o", "json")
    assert listed.code == 0, listed.err
    assert [channel["exists"] for channel in listed.json] == [True] * 64 + [False] * 66

    # More than a hundred are missing after this, so they take two transactions.
    more = await sorofast(
        "channels", "create", "170", "--starting-balance", "2.5", "-c", config, "-o", "json", "-q"
    )
    assert more.code == 0, more.err
    assert (more.json["created"], more.json["existed"]) == (106, 64)
    listed = await sorofast("channels", "list", "-c", config, "-o", "json")
    assert [channel["balance_stroops"] for channel in listed.json] == [50_000_000] * 64 + [25_000_000] * 66
    assert all(int(channel["sequence"]) > 2**32 for channel in listed.json)
    table = await sorofast("channels", "list", "-c", config)
    assert done.json["addresses"][0] in table.out
    assert len(table.out.splitlines()) == 131


async def test_a_reply_lost_after_acceptance_creates_nothing_twice(
    network: Network, admin: AdminClient, tmp_path: Path
) -> None:
    config = network.config("lost", keeper__channel_seed_file=str(tmp_path / "channels.seed"))
    await admin.set_faults([FaultRule(method="sendTransaction", kind="drop_reply", count=1)])
    done = await sorofast("channels", "create", "64", "-c", config, "-o", "json")
    assert done.code == 0, done.err
    assert done.json["created"] == 64


async def test_creating_channels_without_enough_money_says_how_much_is_needed(
    network: Network, tmp_path: Path
) -> None:
    poor = Keypair.random()
    secret = tmp_path / "poor.secret"
    secret.touch(mode=0o600)
    secret.write_text(poor.secret, encoding="utf-8")
    config = network.config(
        "poor", keeper__secret_file=str(secret), keeper__channel_seed_file=str(tmp_path / "channels.seed")
    )
    done = await sorofast("channels", "create", "64", "-c", config, "-o", "json")
    assert done.code == 1
    assert poor.public_key in done.error["message"]
    assert "does not exist" in done.error["message"]

    rich = network.config("much", keeper__channel_seed_file=str(tmp_path / "channels.seed"))
    done = await sorofast(
        "channels", "create", "64", "--starting-balance", "1000000", "-c", rich, "-o", "json"
    )
    assert done.code == 1
    assert "needs" in done.error["message"]


async def test_no_channel_seed_is_created_for_the_wrong_network(network: Network, tmp_path: Path) -> None:
    seed = tmp_path / "channels.seed"
    config = network.config(
        "other", keeper__channel_seed_file=str(seed), network__passphrase="Some Other Network ; 2026"
    )
    done = await sorofast("channels", "create", "64", "-c", config, "-o", "json")
    assert (done.code, done.error["kind"]) == (3, "WrongPassphrase")
    assert not seed.exists()


async def test_a_seed_that_is_gone_is_not_replaced_by_another_one_while_a_fleet_has_its_channels(
    network: Network, tmp_path: Path
) -> None:
    seed = tmp_path / "channels.seed"
    async with EmbeddedServer(RedisConfig(dir=tmp_path)) as url:
        config = network.config("gone", keeper__channel_seed_file=str(seed), redis__url=url)
        redis = await open_redis(RedisConfig(url=url))
        meta = FleetMeta(FLEET_SCHEMA, 16, "network", "contract", 64, "fingerprint")
        await Fleet(redis, "sorofast").check_meta(meta)
        await redis.aclose()
        done = await sorofast("channels", "create", "64", "-c", config)
    assert (done.code, done.out, seed.exists()) == (2, "", False)
    assert "put your copy of that file back" in done.err
