"""What can happen to a keeper's account behind the engine's back, and what the ledger then had of its runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from stellar_sdk import Keypair, Signer, TransactionBuilder
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.soroban_server_async import SorobanServerAsync

from sorofast.chain.rpc import RpcClient
from sorofast.demo.network import DemoNetwork
from sorofast.sandbox.client import AppliedTransaction
from sorofast.transactions.oneshot import submit_and_wait


class KeeperAccount:
    """Changes the keeper's account by ordinary transactions, as its holder could. Each call returns the ledger that
    took it.
    """

    def __init__(self, network: DemoNetwork) -> None:
        self._network = network
        self._other = Keypair.from_raw_ed25519_seed(bytes(range(32)))

    async def merge(self) -> int:
        """Merges the keeper into the first of the network's funded accounts."""
        heir = (await self._network.admin.accounts()).accounts[0].public_key
        builder = await self._builder()
        return await self._apply(builder.append_account_merge_op(heir), self._network.keeper)

    async def make_again(self) -> int:
        """Friendbot creates and funds the keeper anew; a ledger in which it is there."""
        await self._network._fund_keeper()
        return (await self._network.admin.stats()).latest_ledger

    async def take_signing_power(self) -> int:
        """Leaves the account to another key."""
        builder = await self._builder()
        signer = Signer.ed25519_public_key(self._other.public_key, 1)
        return await self._apply(
            builder.append_set_options_op(master_weight=0, signer=signer), self._network.keeper
        )

    async def give_signing_power_back(self) -> int:
        builder = await self._builder()
        return await self._apply(builder.append_set_options_op(master_weight=1), self._other)

    async def _builder(self) -> TransactionBuilder:
        server = SorobanServerAsync(self._network.urls.rpc_url, AiohttpClient())
        try:
            account = await server.load_account(self._network.keeper.public_key)
        finally:
            await server.close()
        passphrase = self._network.urls.network_passphrase
        return TransactionBuilder(account, passphrase, base_fee=1_000).set_timeout(60)

    async def _apply(self, builder: TransactionBuilder, signer: Keypair) -> int:
        envelope = builder.build()
        envelope.sign(signer)
        rpc = RpcClient(self._network.urls.rpc_url)
        try:
            applied = await submit_and_wait(rpc, envelope, what="the change of the keeper's account")
        finally:
            await rpc.close()
        assert applied.ledger is not None
        return applied.ledger


@dataclass(frozen=True)
class Runs:
    """The keeper's runs that were applied after a ledger: how many by ledger, and which tasks ran."""

    succeeded: Counter[int]
    failed: Counter[int]

    def within(self, ledgers: range) -> int:
        """How many succeeded in these ledgers."""
        return sum(self.succeeded[ledger] for ledger in ledgers)


async def runs_since(network: DemoNetwork, ledger: int) -> Runs:
    """What the ledger has of the keeper's runs since that one, itself not included."""
    runs = Runs(Counter(), Counter())
    keeper = network.keeper.public_key
    async for page in network.admin.transactions(ledger + 1):
        for one in page:
            if one.function == "execute" and one.operation_source == keeper:
                _counter(runs, one)[one.ledger] += 1
    return runs


def _counter(runs: Runs, one: AppliedTransaction) -> Counter[int]:
    return runs.succeeded if one.status == "SUCCESS" else runs.failed
