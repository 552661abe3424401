"""Two processes with the same seed, start and inputs write the same chain of headers."""

from __future__ import annotations

from stellar_sdk import Keypair, scval

from helpers.network import Network, running

ALICE = Keypair.from_raw_ed25519_seed(b"a" * 32)
BOB = Keypair.from_raw_ed25519_seed(b"b" * 32)
FLAGS = ("--ledger-close", "0", "--clock", "manual", "--start-time", "1800000000")


async def hashes(network: Network) -> list[str]:
    ledgers = (await network.admin("ledgers"))["ledgers"]
    return [ledger["hash"] for ledger in ledgers]


async def story(*flags: str) -> list[str]:
    """Accounts, a contract, calls and moves of the clock; the hashes of all headers."""
    async with running(*FLAGS, *flags) as network:
        assert network.ready["start_time"] == 1_800_000_000
        await network.fund(ALICE)
        await network.fund(BOB)
        counter = await network.deploy(ALICE, "counter", salt=bytes(32))
        for number in range(3):
            await network.invoke(BOB, counter, "bump", scval.to_uint64(number))
            await network.advance(2, 5.0)
        assert (await network.result("getLatestLedger"))["id"] == (await hashes(network))[-1]
        return await hashes(network)


async def test_two_processes_write_the_same_headers() -> None:
    first = await story("--seed", "42")
    assert len(first) > 10
    assert first == await story("--seed", "42")


async def test_a_seed_is_drawn_and_told() -> None:
    async with running(*FLAGS) as one, running(*FLAGS) as other:
        seeds = [network.ready["seed"] for network in (one, other)]
    assert all(isinstance(seed, int) for seed in seeds)
    assert seeds[0] != seeds[1]
