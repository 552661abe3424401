"""Refuses what cannot work before anything starts, naming the fix."""

from __future__ import annotations

from sorofast import _core
from sorofast.chain.rpc import KEYS_PER_CALL_MAX, RpcClient
from sorofast.coordination.client import check_server, open_redis
from sorofast.coordination.fleet import Fleet
from sorofast.engine.fleet_meta import fleet_meta
from sorofast.errors import ConfigError, WrongPassphrase
from sorofast.settings import EngineConfig

__all__ = ["check", "check_channels", "check_contract", "check_network"]


async def check(config: EngineConfig) -> None:
    """Raises the first thing that is wrong: secrets, network, contract, accounts, Redis, or another fleet
    in it.
    """
    signer = _core.Signer(
        config.network.passphrase,
        config.keeper.read_secret(),
        config.keeper.read_channel_seed(),
        config.keeper.channels,
    )
    rpc = RpcClient(config.network.rpc_url, timeout_s=config.network.timeout_s)
    try:
        await check_network(rpc, config)
        await check_contract(rpc, config)
        await check_channels(rpc, config, signer)
    finally:
        await rpc.close()
    redis = await open_redis(config.redis)
    try:
        await check_server(redis, config.redis)
        await Fleet(redis, config.redis.prefix).check_meta(fleet_meta(config, signer))
    finally:
        await redis.aclose()


async def check_network(rpc: RpcClient, config: EngineConfig) -> None:
    """The RPC answers, and for the network that is configured."""
    actual = str((await rpc.get_network()).get("passphrase", ""))
    if actual != config.network.passphrase:
        raise WrongPassphrase(
            f"network.passphrase is {config.network.passphrase!r}, but {rpc.name} serves {actual!r}"
        )


async def check_contract(rpc: RpcClient, config: EngineConfig) -> None:
    """The contract id decodes, and names a task registry on this network."""
    # Reading a contract's specification takes the public SDK, which workers need not load.
    from sorofast.registry.identity import check_registry

    await check_registry(rpc, config.contract.id)


async def check_channels(rpc: RpcClient, config: EngineConfig, signer: _core.Signer) -> None:
    """The keeper and every channel exist on the ledger."""
    contract = _core.contract_to_bytes(config.contract.id)
    wanted = [signer.keeper, *(signer.channels[i : i + 32] for i in range(0, len(signer.channels), 32))]
    found: set[bytes] = set()
    for start in range(0, len(wanted), KEYS_PER_CALL_MAX):
        batch = await rpc.entries(
            contract, signer.keeper, b"", b"".join(wanted[start : start + KEYS_PER_CALL_MAX])
        )
        found.update(account[0] for account in batch.accounts)
    if signer.keeper not in found:
        raise ConfigError(
            f"the keeper {_core.account_from_bytes(signer.keeper)} has no account on this network; fund it first"
        )
    missing = sum(1 for key in wanted[1:] if key not in found)
    if missing:
        raise ConfigError(
            f"{missing} of {len(wanted) - 1} channels have no account; run 'sorofast channels create {len(wanted) - 1}'"
        )
