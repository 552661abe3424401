"""What can happen to a keeper's account behind the engine's back, and what the network then saw of the keeper."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from stellar_sdk import Keypair, Signer, TransactionBuilder
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_server_async import SorobanServerAsync

from sorofast.chain.rpc import RpcClient
from sorofast.demo.network import DemoNetwork
from sorofast.sandbox.client import AppliedTransaction
from sorofast.transactions.oneshot import submit_and_wait

_POLL_S = 0.04


class KeeperAccount:
    """Changes the keeper's account by ordinary transactions, as its holder could; each call waits for its ledger."""

    def __init__(self, network: DemoNetwork) -> None:
        self._network = network
        self._other = Keypair.from_raw_ed25519_seed(bytes(range(32)))

    async def merge(self) -> None:
        """Merges the keeper into the first of the network's funded accounts."""
        heir = (await self._network.admin.accounts()).accounts[0].public_key
        builder = await self._builder()
        await self._apply(builder.append_account_merge_op(heir), self._network.keeper)

    async def make_again(self) -> None:
        """Friendbot creates and funds the keeper anew."""
        await self._network._fund_keeper()

    async def take_signing_power(self) -> None:
        """Leaves the account to another key."""
        builder = await self._builder()
        signer = Signer.ed25519_public_key(self._other.public_key, 1)
        await self._apply(builder.append_set_options_op(master_weight=0, signer=signer), self._network.keeper)

    async def give_signing_power_back(self) -> None:
        builder = await self._builder()
        await self._apply(builder.append_set_options_op(master_weight=1), self._other)

    async def _builder(self) -> TransactionBuilder:
        server = SorobanServerAsync(self._network.urls.rpc_url, AiohttpClient())
        try:
            account = await server.load_account(self._network.keeper.public_key)
        finally:
            await server.close()
        passphrase = self._network.urls.network_passphrase
        return TransactionBuilder(account, passphrase, base_fee=1_000).set_timeout(60)

    async def _apply(self, builder: TransactionBuilder, signer: Keypair) -> None:
        envelope = builder.build()
        envelope.sign(signer)
        rpc = RpcClient(self._network.urls.rpc_url)
        try:
            await submit_and_wait(rpc, envelope, what="the change of the keeper's account")
        finally:
            await rpc.close()


@dataclass
class Seen:
    """What the network saw, by ledger: how many calls of a method came while it was the latest."""

    network: DemoNetwork
    method: str
    calls: Counter[int] = field(default_factory=Counter)

    async def runs(self, since: int) -> list[AppliedTransaction]:
        """The keeper's runs that were applied after ledger `since`."""
        return [
            one
            async for page in self.network.admin.transactions(since + 1)
            for one in page
            if one.function == "execute" and one.operation_source == self.network.keeper.public_key
        ]

    async def by_status(self, since: int) -> dict[str, Counter[int]]:
        """How many runs succeeded ("SUCCESS") and failed ("FAILED"), each by ledger."""
        counts: dict[str, Counter[int]] = {"SUCCESS": Counter(), "FAILED": Counter()}
        for one in await self.runs(since):
            counts[one.status][one.ledger] += 1
        return counts

    async def _watch(self) -> None:
        before = (await self.network.admin.stats()).rpc_calls.get(self.method, 0)
        while True:
            stats = await self.network.admin.stats()
            now = stats.rpc_calls.get(self.method, 0)
            self.calls[stats.latest_ledger] += now - before
            before = now
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def seen_of(network: DemoNetwork, method: str = "sendTransaction") -> AsyncIterator[Seen]:
    """Counts the calls of `method` by ledger within the block."""
    seen = Seen(network, method)
    watching = asyncio.create_task(seen._watch())
    try:
        yield seen
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
