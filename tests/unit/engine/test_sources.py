"""What is told of sources that cannot read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest_asyncio
import structlog

from sorofast.chain.rpc import RpcClient
from sorofast.clock import SystemClock
from sorofast.coordination.suspects import Suspects
from sorofast.engine.loops import Background
from sorofast.engine.relay import Relay
from sorofast.engine.report import Failing, Report, Working
from sorofast.engine.sources import Sources
from sorofast.errors import RpcError


class Source:
    """Reads the chain, and gets an answer unless it is `broken`."""

    def __init__(self, name: str, *, broken: bool = False) -> None:
        self.name = name
        self.broken = broken

    async def look(self, ledger: int) -> None:
        if self.broken:
            raise RpcError(-32603, "no", "getLedgerEntries")


class Shard:
    def __init__(self, rpc: RpcClient) -> None:
        self.told: list[Report] = []
        self.one, self.other = Source("one", broken=True), Source("other")
        log = structlog.get_logger()
        context = SimpleNamespace(
            rpc=rpc,
            outages=Relay(self.told.append, "m", SystemClock(), log),
            background=Background(),
            ledgers=SimpleNamespace(target_s=5.0, latest=(100, 2_000)),
            suspects=Suspects(),
            tally=SimpleNamespace(errors=0),
            log=log,
        )
        self.sources = Sources(cast("Any", context), 0, cast("Any", [self.one, self.other]))


@pytest_asyncio.fixture
async def rpc() -> Any:
    # Nobody asks it anything here.
    made = RpcClient("http://127.0.0.1:9")
    yield made
    await made.close()


async def test_a_source_that_cannot_read_is_not_taken_to_read_again_because_another_one_can(
    rpc: RpcClient,
) -> None:
    shard = Shard(rpc)
    for ledger in range(100, 104):
        await shard.sources.look(ledger)
    assert [type(one) for one in shard.told] == [Failing]
    shard.one.broken = False
    await shard.sources.look(104)
    assert shard.told[1:] == [Working(member="m", kind="look_failed", back="looks_again")]


async def test_what_a_shard_could_not_read_is_let_go_of_with_it(rpc: RpcClient) -> None:
    shard = Shard(rpc)
    await shard.sources.look(100)
    shard.sources.close()
    assert shard.told[1:] == [Working(member="m", kind="look_failed", seen=False)]
