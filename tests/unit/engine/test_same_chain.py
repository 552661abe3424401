"""A server of another chain, or of the same one long ago, is not believed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sorofast.chain.models import Health
from sorofast.chain.rpc import RpcClient
from sorofast.engine.same_chain import ASK_NETWORK_EVERY_S, SameChain
from sorofast.errors import LAG_LEDGERS_MAX, RpcError, RpcOutOfStep
from sorofast.testing.clock import StubClock

OURS = "Ours ; 2026"
LEDGER, CLOSE_S = 1_200, 1_700_000_000


class Node:
    """What a server says of itself and of one old ledger."""

    name = "http://node"

    def __init__(self) -> None:
        self.passphrase = OURS
        self.closed_s: int | None = CLOSE_S
        self.pace_s = 0
        self.asked: list[str] = []

    async def get_network(self) -> dict[str, Any]:
        self.asked.append("getNetwork")
        return {"passphrase": self.passphrase}

    async def close_times_ms(self, first_ledger: int, count: int) -> list[tuple[int, int]]:
        self.asked.append("getLedgers")
        if self.closed_s is None:
            raise RpcError(-32600, "start ledger must be between the oldest and the latest", "getLedgers")
        closed_s = self.closed_s + self.pace_s * (first_ledger - LEDGER)
        return [(first_ledger, closed_s * 1000 + 999)]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def chain(node: Node, clock: StubClock) -> SameChain:
    made = SameChain(cast("RpcClient", node), OURS, clock)
    made.remember([(LEDGER, CLOSE_S)])
    return made


def health(latest: int, oldest: int = 1) -> Health:
    return Health(latest, CLOSE_S + 5 * (latest - LEDGER), oldest, 120)


async def test_the_same_chain_is_looked_at_once_and_again_only_after_a_doubt(
    chain: SameChain, node: Node
) -> None:
    for ledger in range(LEDGER + 1, LEDGER + 20):
        await chain.check(health(ledger))
        chain.taken(health(ledger))
    assert node.asked == ["getNetwork", "getLedgers"]
    chain.doubt()
    node.closed_s = CLOSE_S + 5 * 19
    await chain.check(health(LEDGER + 20))
    assert node.asked == ["getNetwork", "getLedgers"] * 2


async def test_a_server_that_is_a_little_behind_is_waited_for(chain: SameChain, node: Node) -> None:
    await chain.check(health(LEDGER - LAG_LEDGERS_MAX))
    assert node.asked == []


async def test_a_server_that_went_back_is_refused_and_asked_for_its_network_now_and_then(
    chain: SameChain, node: Node, clock: StubClock
) -> None:
    for _ in range(int(4 * ASK_NETWORK_EVERY_S)):
        with pytest.raises(RpcOutOfStep, match="went back from ledger 1200 to 340"):
            await chain.check(health(340))
        clock.advance(0.25)
    assert node.asked == ["getNetwork"]
    node.passphrase = "Another"
    clock.advance(ASK_NETWORK_EVERY_S)
    with pytest.raises(RpcOutOfStep, match="serves another network now, 'Another'"):
        await chain.check(health(340))


@pytest.mark.parametrize(("passphrase", "closed_s"), [("Another", CLOSE_S), (OURS, CLOSE_S + 86_400)])
async def test_another_network_that_is_further_than_ours_is_refused_until_it_is_ours_again(
    chain: SameChain, node: Node, passphrase: str, closed_s: int
) -> None:
    node.passphrase, node.closed_s = passphrase, closed_s
    for _ in range(3):
        with pytest.raises(RpcOutOfStep, match="another"):
            await chain.check(health(LEDGER + 3))
    node.passphrase, node.closed_s = OURS, CLOSE_S
    await chain.check(health(LEDGER + 4))


@pytest.mark.parametrize("oldest", [1, LEDGER + 1], ids=["refused", "forgotten"])
async def test_a_server_that_cannot_tell_of_the_old_ledger_is_believed(
    chain: SameChain, node: Node, oldest: int
) -> None:
    node.closed_s = None
    await chain.check(health(LEDGER + 3, oldest))
    assert node.asked[0] == "getNetwork"


@pytest.mark.parametrize("wrong_by_s", [1, -6, 50], ids=["a second", "the ledger before", "much"])
async def test_a_close_time_that_was_misheard_keeps_no_server_out(
    chain: SameChain, node: Node, wrong_by_s: int
) -> None:
    """It was of the last ledger before the server was away, so that it is what all others would be held against."""
    lie = health(LEDGER + 1)
    chain.taken(Health(lie.latest_ledger, lie.close_time_s + wrong_by_s, 1, 120))
    node.pace_s = 5
    await chain.check(health(LEDGER + 3))
    assert node.asked.count("getLedgers") <= 2
    chain.doubt()
    node.closed_s = CLOSE_S + 86_400
    with pytest.raises(RpcOutOfStep, match="another ledger 1201 than the fleet has seen"):
        await chain.check(health(LEDGER + 4))


async def test_a_fleet_that_has_seen_no_ledger_takes_the_first(node: Node, clock: StubClock) -> None:
    await SameChain(cast("RpcClient", node), OURS, clock).check(health(7))
    assert node.asked == []
