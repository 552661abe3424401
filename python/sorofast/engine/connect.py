"""The one place where a worker's real clock, sockets, servers and signer are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from sorofast import _core
from sorofast.chain.ledger import LedgerClock
from sorofast.chain.rpc import RpcClient
from sorofast.clock import SystemClock
from sorofast.coordination.client import open_redis
from sorofast.coordination.control import FleetControl
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.in_hand import InHand
from sorofast.coordination.restores import RestoreStore
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.suspects import Suspects, SuspectStore
from sorofast.coordination.templates import TemplateStore
from sorofast.coordination.timing import TimingStore
from sorofast.engine.context import SourceLoader, WorkerContext
from sorofast.engine.fleet_meta import fleet_meta
from sorofast.engine.load_restores import load_restores
from sorofast.engine.load_tasks import load_tasks
from sorofast.engine.loops import Background
from sorofast.engine.pause import FleetPause
from sorofast.engine.relay import Relay
from sorofast.engine.report import Report
from sorofast.engine.restores import FleetRestores
from sorofast.engine.skips import Skips
from sorofast.engine.templates import FleetTemplates
from sorofast.errors import DecodeError, RpcError
from sorofast.observability.unreadable import UnreadableKeys
from sorofast.registry.words import WordsReader
from sorofast.settings import EngineConfig
from sorofast.transactions.fees import fee_policy

__all__ = ["SOURCES", "connect"]

TARGET_DEFAULT_S = 5.0

SOURCES: tuple[SourceLoader, ...] = (load_tasks, load_restores)
"""What makes executions fall due, in every shard."""


async def connect(
    config: EngineConfig,
    member: str,
    sources: Sequence[SourceLoader] = SOURCES,
    in_hand: InHand | None = None,
    tell: Callable[[Report], None] = lambda _: None,
) -> WorkerContext:
    """Everything a worker named `member` works with; `close` it in the end. It notes `in_hand` what it handles, and
    what troubles it is told to `tell`.

    Raises RedisUnreachable, FleetMismatch, what the network may raise, and ConfigError for unusable secrets.
    """
    log = structlog.get_logger().bind(member=member)
    signer = _core.Signer(
        config.network.passphrase,
        config.keeper.read_secret(),
        config.keeper.read_channel_seed(),
        config.keeper.channels,
    )
    clock = SystemClock()
    unreadable = UnreadableKeys(log, clock)
    redis = await open_redis(config.redis)
    rpc = RpcClient(config.network.rpc_url, timeout_s=config.network.timeout_s)
    try:
        fleet = Fleet(redis, config.redis.prefix, clock, unreadable)
        generation = await fleet.check_meta(fleet_meta(config, signer))
        target_s = await _target_close_s(rpc, log)
    except BaseException:
        await rpc.close()
        await redis.aclose()
        raise
    outages, background = Relay(tell, member, clock, log), Background()
    ledgers = LedgerClock(
        target_s,
        clock_guard_s=config.engine.guard_s,
        eager=config.engine.timing == "eager",
    )
    contract = _core.contract_to_bytes(config.contract.id)
    prefix = config.redis.prefix
    control = FleetControl(redis, prefix, unreadable)
    return WorkerContext(
        config=config,
        member=member,
        generation=generation,
        clock=clock,
        rpc=rpc,
        signer=signer,
        contract=contract,
        fleet=fleet,
        store=ShardStore(redis, prefix, config.engine.shards, schema=fleet.schema, unreadable=unreadable),
        ledgers=ledgers,
        timing=TimingStore(redis, prefix, unreadable),
        pause=FleetPause(control, member, ledgers, outages, signer.keeper, fee_policy(config.fees)),
        outages=outages,
        skips=Skips(outages, clock, log),
        log=log,
        close_redis=redis.aclose,
        sources=tuple(sources),
        templates=FleetTemplates(TemplateStore(redis, prefix, unreadable), signer, contract, log),
        restores=FleetRestores(
            RestoreStore(redis, prefix, unreadable), rpc, ledgers, log, outages, background
        ),
        registry_words=WordsReader(rpc, config.contract.id),
        suspects=Suspects(SuspectStore(redis, prefix, unreadable=unreadable), in_hand),
        background=background,
    )


async def _target_close_s(rpc: RpcClient, log: FilteringBoundLogger) -> float:
    """The network's own target between closes. An answer nobody can read is no reason to die over it."""
    try:
        target_s = await rpc.target_close_s()
    except (RpcError, DecodeError) as error:
        log.warning("close_target_unknown", reason=str(error), taken_s=TARGET_DEFAULT_S)
        return TARGET_DEFAULT_S
    return TARGET_DEFAULT_S if target_s is None else target_s
