"""The channels' accounts as the ledger has them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.transactions.oneshot import AccountState, read_accounts

__all__ = ["ChannelView", "read_channels"]


class ChannelView(msgspec.Struct, frozen=True):
    """One channel. `sequence` is text, since many JSON readers round beyond 2^53."""

    index: int
    address: str
    exists: bool
    balance_stroops: int | None
    sequence: str | None

    @classmethod
    def of(cls, index: int, address: str, state: AccountState | None) -> ChannelView:
        return cls(
            index=index,
            address=address,
            exists=state is not None,
            balance_stroops=None if state is None else state.balance_stroops,
            sequence=None if state is None else str(state.sequence),
        )


async def read_channels(rpc: RpcClient, addresses: Sequence[str]) -> list[ChannelView]:
    """The accounts at these G… addresses, in their order."""
    keys = [_core.account_to_bytes(address) for address in addresses]
    states = await read_accounts(rpc, b"".join(keys))
    return [
        ChannelView.of(index, address, states.get(key))
        for index, (address, key) in enumerate(zip(addresses, keys, strict=True))
    ]
