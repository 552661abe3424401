"""What commands share: the settings as the options and layers give them, and a client for the configured RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sorofast.cli.options import GlobalOptions
from sorofast.settings import NetworkConfig, Settings, load_settings

if TYPE_CHECKING:
    from sorofast.chain.rpc import RpcClient

__all__ = ["checked_rpc", "keeper_key", "load", "require_for_chain", "rpc_client"]


# How the settings that options give are written on a command line.
_WRITTEN = {
    "network.rpc_url": "--rpc-url",
    "network.passphrase": "--network-passphrase",
    "contract.id": "--contract-id",
    "redis.url": "--redis-url",
    "log.format": "--log-format",
    "engine.workers": "--workers",
    "engine.timing": "--timing",
    "engine.drain_timeout_s": "--drain-timeout",
}


def load(options: GlobalOptions, extra: dict[str, object] | None = None) -> Settings:
    """The settings in effect; `extra` holds a command's own options by dotted key, None where one was not given."""
    overrides: dict[str, object] = {
        "network.rpc_url": options.rpc_url,
        "network.passphrase": options.network_passphrase,
        "contract.id": options.contract_id,
        "redis.url": options.redis_url,
        "log.format": options.log_format,
        "log.level": "debug" if options.verbose else "warning" if options.quiet else None,
    }
    return load_settings(options.config, overrides | (extra or {}), options=_WRITTEN)


def require_for_chain(
    settings: Settings, *, contract: bool = False, secret: bool = False, seed: bool = False
) -> None:
    """One ConfigError for all that a command needs to ask the network, and to sign, and that is not set."""
    wanted = ["network.passphrase", "network.rpc_url"]
    if contract:
        wanted.append("contract.id")
    if secret and settings.get("keeper.secret") is None:
        wanted.append("keeper.secret_file")
    if seed and settings.get("keeper.channel_seed") is None:
        wanted.append("keeper.channel_seed_file")
    settings.require(*wanted)


def keeper_key(settings: Settings) -> bytes:
    """The keeper's public key, by which whitelists are judged; zeros when no keeper is configured."""
    keeper = settings.keeper()
    if keeper.secret is None and keeper.secret_file is None:
        return bytes(32)
    from sorofast import _core

    # The key does not depend on the network, which a command that only reads need not know.
    return _core.Signer(settings.get("network.passphrase") or "", keeper.read_secret(), None, 0).keeper


@asynccontextmanager
async def rpc_client(network: NetworkConfig) -> AsyncIterator[RpcClient]:
    """A client that is closed at the end, whatever happens."""
    from sorofast.chain.rpc import RpcClient

    rpc = RpcClient(network.rpc_url, timeout_s=network.timeout_s)
    try:
        yield rpc
    finally:
        await rpc.close()


@asynccontextmanager
async def checked_rpc(network: NetworkConfig) -> AsyncIterator[RpcClient]:
    """A client for a server that has said to serve the configured network. WrongPassphrase otherwise."""
    from sorofast.chain.network import check_passphrase

    async with rpc_client(network) as rpc:
        await check_passphrase(rpc, network)
        yield rpc
