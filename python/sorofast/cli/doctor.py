"""`sorofast doctor`: everything a run needs, checked one by one, each with the way to mend it.

A check that fails does not stop those that do not depend on it. The exit code is that of the gravest finding:
unreachable before configuration, since what cannot be asked cannot be judged.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorofast.cli.context import keeper_key, load, rpc_client
from sorofast.cli.options import DEFAULTS, Options
from sorofast.cli.output import one_line, print_json, print_table, xlm
from sorofast.errors import ConfigError, SecretError, SorofastError

if TYPE_CHECKING:
    from sorofast.chain.rpc import RpcClient
    from sorofast.settings import KeeperConfig, RedisConfig, Settings

PROTOCOL_MIN = 27
CLOCK_BEHIND_MAX_S = 5.0
CLOCK_AHEAD_MAX_S = 60.0
BALANCE_LOW_STROOPS = 20_000_000


@dataclass(frozen=True)
class Finding:
    """One check's result. `exit_code` is 0 when it is fine."""

    check: str
    ok: bool
    detail: str
    exit_code: int = 0


class Findings:
    """Collects results; a check that raises one of our errors has failed with that error's code and text."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def add(self, check: str, test: Callable[[], str]) -> bool:
        """Runs one check; `test` returns what it found or raises."""
        try:
            self.all.append(Finding(check, True, test()))
        except SorofastError as error:
            self._failed(check, error)
        return self.all[-1].ok

    async def ask(self, check: str, test: Callable[[], Awaitable[str]]) -> bool:
        """Like `add` for a check that asks a server."""
        try:
            self.all.append(Finding(check, True, await test()))
        except SorofastError as error:
            self._failed(check, error)
        return self.all[-1].ok

    def _failed(self, check: str, error: SorofastError) -> None:
        detail = "; ".join(one_line(line) for line in str(error).splitlines() if line.strip())
        self.all.append(Finding(check, False, detail or type(error).__name__, error.exit_code))

    @property
    def exit_code(self) -> int:
        return max((finding.exit_code for finding in self.all), default=0)


def doctor(*, options: Options = DEFAULTS) -> int:
    """Check everything a run needs, and show how to fix each problem."""
    findings = Findings()
    found: list[Settings] = []

    def read_settings() -> str:
        settings = load(options)
        found.append(settings)
        named = set(settings.origins.values())
        return f"from {', '.join(sorted(named))}" if named else "defaults only"

    findings.add("event loop", _event_loop)
    # Without the core not even an address can be read, so nothing further could be judged.
    if findings.add("core build", _core_build) and findings.add("settings", read_settings):
        asyncio.run(_examine(found[0], findings))
    _print(findings, as_json=options.json)
    return findings.exit_code


def _print(findings: Findings, *, as_json: bool) -> None:
    if as_json:
        checks: list[dict[str, Any]] = [asdict(finding) for finding in findings.all]
        print_json({"ok": findings.exit_code == 0, "exit_code": findings.exit_code, "checks": checks})
        return
    print_table(
        ["check", "", "detail"],
        [(finding.check, "ok" if finding.ok else "FAIL", finding.detail) for finding in findings.all],
    )


async def _examine(settings: Settings, findings: Findings) -> None:
    findings.add("run settings", lambda: _complete(settings))
    keeper = settings.keeper()
    has_secret = findings.add("keeper secret", lambda: _keeper_secret(keeper))
    has_seed = findings.add("channel seed", lambda: _channel_seed(keeper))
    await _examine_chain(settings, findings, has_secret=has_secret, has_seed=has_secret and has_seed)
    await _examine_redis(settings.redis(), findings)


async def _examine_chain(settings: Settings, findings: Findings, *, has_secret: bool, has_seed: bool) -> None:
    if settings.get("network.rpc_url") is None or settings.get("network.passphrase") is None:
        return  # already told under "run settings"
    network = settings.network()
    async with rpc_client(network) as rpc:

        async def health() -> str:
            answer = await rpc.get_health()
            return f"{rpc.name} has ledgers {answer.oldest_ledger} to {answer.latest_ledger}"

        async def passphrase() -> str:
            from sorofast.chain.network import check_passphrase

            await check_passphrase(rpc, network)
            return repr(network.passphrase)

        if not await findings.ask("RPC", health):
            return
        right_network = await findings.ask("passphrase", passphrase)
        await findings.ask("protocol", lambda: _protocol(rpc))
        await findings.ask("clock", lambda: _clock(rpc))
        if not right_network:
            return  # on another network the accounts and the contract prove nothing
        if settings.get("contract.id") is not None:
            await findings.ask("contract", lambda: _contract(rpc, settings))
        if has_secret:
            await findings.ask("keeper account", lambda: _keeper_account(rpc, settings))
        if has_seed:
            await findings.ask("channels", lambda: _channels(rpc, settings))


def _core_build() -> str:
    try:
        from sorofast import _core
    except ImportError as error:
        raise SorofastError(f"the Rust core does not load ({error}); run `make build`") from None
    return f"version {_core.CORE_VERSION}"


def _event_loop() -> str:
    from importlib.metadata import version
    from importlib.util import find_spec

    if find_spec("uvloop") is None:
        return "asyncio; uvloop is not installed, which makes workers slower"
    return f"uvloop {version('uvloop')}"


def _complete(settings: Settings) -> str:
    config = settings.engine_config()
    return (
        f"{config.engine.workers} workers, {config.engine.shards} shards, {config.keeper.channels} channels"
    )


def _keeper_secret(keeper: KeeperConfig) -> str:
    keeper.read_secret()
    return _private_file(keeper.secret_file) if keeper.secret is None else "from the environment"


def _channel_seed(keeper: KeeperConfig) -> str:
    if keeper.channel_seed is None and keeper.channel_seed_file is not None:
        path = keeper.channel_seed_file.expanduser()
        if not path.exists():
            raise SecretError(
                f"{path} does not exist; `sorofast channels create {keeper.channels}` creates it"
            )
    if keeper.read_channel_seed() is None:
        raise SecretError(
            "no channel seed: set keeper.channel_seed_file; `sorofast channels create` creates the file"
        )
    return _private_file(keeper.channel_seed_file) if keeper.channel_seed is None else "from the environment"


def _private_file(path: Path | None) -> str:
    """The file was readable and not open to others, or reading it would have raised; whose it is remains to be told."""
    if path is None:
        return "from the environment"
    owner = path.expanduser().stat().st_uid
    if owner not in {os.getuid(), 0}:
        raise SecretError(f"{path} belongs to another user (uid {owner}); copy it to a file of your own")
    return f"{path}, mode {path.expanduser().stat().st_mode & 0o777:04o}"


async def _protocol(rpc: RpcClient) -> str:
    version = (await rpc.get_network()).get("protocolVersion")
    if not isinstance(version, int) or version < PROTOCOL_MIN:
        raise ConfigError(f"the network runs protocol {version}; sorofast needs {PROTOCOL_MIN} or later")
    return str(version)


async def _clock(rpc: RpcClient) -> str:
    from sorofast.clock import SystemClock

    close_s = (await rpc.get_health()).close_time_s
    behind_s = SystemClock().wall() - close_s
    if behind_s < -CLOCK_BEHIND_MAX_S:
        raise SorofastError(
            f"this machine's clock is {-behind_s:.0f} s behind the last ledger's close time; synchronize it (NTP)"
        )
    if behind_s > CLOCK_AHEAD_MAX_S:
        raise SorofastError(
            f"the last ledger closed {behind_s:.0f} s ago by this machine's clock: the network has stopped, "
            "or the clock is ahead; synchronize it (NTP)"
        )
    return f"the last ledger closed {behind_s:.1f} s ago"


async def _contract(rpc: RpcClient, settings: Settings) -> str:
    from sorofast.registry.identity import check_registry

    contract_id = settings.contract().id
    return f"{contract_id} has given out {await check_registry(rpc, contract_id)} task ids"


async def _keeper_account(rpc: RpcClient, settings: Settings) -> str:
    from sorofast import _core
    from sorofast.engine.preflight import check_keeper

    keeper = keeper_key(settings)
    balance_stroops = await check_keeper(rpc, keeper)
    address = _core.account_from_bytes(keeper)
    if balance_stroops < BALANCE_LOW_STROOPS:
        raise SorofastError(f"keeper {address} holds only {xlm(balance_stroops)} XLM; fund it")
    return f"{address} holds {xlm(balance_stroops)} XLM"


async def _channels(rpc: RpcClient, settings: Settings) -> str:
    from sorofast import _core
    from sorofast.engine.preflight import check_channels

    keeper = settings.keeper()
    signer = _core.Signer(
        settings.network().passphrase, keeper.read_secret(), keeper.read_channel_seed(), keeper.channels
    )
    await check_channels(rpc, signer.channels)
    return f"all {keeper.channels} exist"


async def _examine_redis(config: RedisConfig, findings: Findings) -> None:
    from sorofast.coordination.client import check_server
    from sorofast.coordination.embedded import EmbeddedServer, running_url
    from sorofast.coordination.visit import visit

    async def fit() -> str:
        if config.url == "embedded" and running_url(config) is None:
            # Nobody runs it now, so starting it for a moment is the only way to know that it can be started.
            async with EmbeddedServer(config) as url, visit(replace(config, url=url)) as redis:
                await check_server(redis, config)
            return "the embedded server starts"
        async with visit(config) as redis:
            await check_server(redis, config)
            return "reachable; its version, eviction policy and persistence are fit"

    await findings.ask("Redis", fit)
