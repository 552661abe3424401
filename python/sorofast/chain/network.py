"""Whether an RPC server serves the network that the settings name."""

from __future__ import annotations

from sorofast.chain.rpc import RpcClient
from sorofast.errors import WrongPassphrase
from sorofast.settings import NetworkConfig

__all__ = ["check_passphrase"]


async def check_passphrase(rpc: RpcClient, network: NetworkConfig) -> None:
    """Raises WrongPassphrase unless the RPC serves the network that the settings name.

    Signatures made for another network are refused by this one, but only after they were shown to a stranger.
    """
    served = str((await rpc.get_network()).get("passphrase"))
    if served != network.passphrase:
        raise WrongPassphrase(
            f"network.passphrase is {network.passphrase!r}, but {rpc.name} serves {served!r}; correct one of them"
        )
