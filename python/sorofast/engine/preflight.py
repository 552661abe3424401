"""Refuses what cannot work before anything starts, naming the fix. `sorofast doctor` asks the same, one by one."""

from __future__ import annotations

from sorofast import _core
from sorofast.chain.network import check_passphrase
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.client import check_server, open_redis
from sorofast.coordination.fleet import Fleet
from sorofast.engine.fleet_meta import fleet_meta
from sorofast.errors import ConfigError
from sorofast.settings import EngineConfig

__all__ = ["check", "check_channels", "check_keeper"]


async def check(config: EngineConfig) -> None:
    """Raises the first thing that is wrong: secrets, network, contract, accounts, Redis, or another fleet in it."""
    # Reading a contract's specification takes the public SDK, which workers need not load.
    from sorofast.registry.identity import check_registry

    signer = _core.Signer(
        config.network.passphrase,
        config.keeper.read_secret(),
        config.keeper.read_channel_seed(),
        config.keeper.channels,
    )
    rpc = RpcClient(config.network.rpc_url, timeout_s=config.network.timeout_s)
    try:
        await check_passphrase(rpc, config.network)
        await check_registry(rpc, config.contract.id)
        await check_keeper(rpc, signer.keeper)
        await check_channels(rpc, signer.channels)
    finally:
        await rpc.close()
    redis = await open_redis(config.redis)
    try:
        await check_server(redis, config.redis)
        await Fleet(redis, config.redis.prefix).check_meta(fleet_meta(config, signer))
    finally:
        await redis.aclose()


async def check_keeper(rpc: RpcClient, keeper: bytes) -> int:
    """The keeper (a public key of 32 bytes) has an account; returns its balance in stroops. ConfigError otherwise."""
    from sorofast.transactions.oneshot import read_accounts

    state = (await read_accounts(rpc, keeper)).get(keeper)
    if state is None:
        raise ConfigError(
            f"keeper {_core.account_from_bytes(keeper)} has no account on this network; fund it, or use another secret"
        )
    return state.balance_stroops


async def check_channels(rpc: RpcClient, channels: bytes) -> None:
    """Every channel (public keys of 32 bytes in a row) has an account; ConfigError with how many have none."""
    from sorofast.transactions.oneshot import read_accounts

    found = await read_accounts(rpc, channels)
    total = len(channels) // 32
    missing = total - len(found)
    if missing:
        raise ConfigError(
            f"{missing} of {total} channels {'has' if missing == 1 else 'have'} no account; "
            f"run `sorofast channels create {total}`"
        )
