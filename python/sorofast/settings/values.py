"""Settings as an operator gave them: checked values by dotted key, each with its origin.

A command asks for the part it needs (`network()`, `redis()`, … or the whole `engine_config()`), which is where a
missing setting is refused. There is no default network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sorofast.errors import ConfigError
from sorofast.settings.config import (
    ContractConfig,
    EngineConfig,
    FeeConfig,
    KeeperConfig,
    LogConfig,
    NetworkConfig,
    RedisConfig,
    RetryConfig,
    RunConfig,
)
from sorofast.settings.secrets import SECRET_KEYS

__all__ = ["Settings", "env_name"]

HIDDEN = "**********"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Validated values by section and key, with the origin of each that is not a default."""

    values: Mapping[str, Mapping[str, Any]] = field(repr=False)
    origins: Mapping[str, str]
    """Dotted key → where its value came from, in words."""

    def network(self) -> NetworkConfig:
        return self._section("network", NetworkConfig, ("passphrase", "rpc_url"))

    def contract(self) -> ContractConfig:
        return self._section("contract", ContractConfig, ("id",))

    def keeper(self) -> KeeperConfig:
        return self._section("keeper", KeeperConfig, ())

    def redis(self) -> RedisConfig:
        return self._section("redis", RedisConfig, ())

    def log(self) -> LogConfig:
        return self._section("log", LogConfig, ())

    def require(self, *keys: str) -> None:
        """Raise one ConfigError that names every dotted key in `keys` that has no value."""
        missing = [key for key in keys if self.get(key) is None]
        if missing:
            raise ConfigError("\n".join(f"{key}: is not set; {_how_to_set(key)}" for key in missing))

    def get(self, key: str) -> Any:
        """The value of a dotted key, None when it has none."""
        section, _, name = key.partition(".")
        return self.values.get(section, {}).get(name)

    def engine_config(self) -> EngineConfig:
        """The whole configuration for `sorofast run`. ConfigError names all that is missing."""
        wanted = ["network.passphrase", "network.rpc_url", "contract.id"]
        if self.get("keeper.secret") is None:
            wanted.append("keeper.secret_file")
        if self.get("keeper.channel_seed") is None:
            wanted.append("keeper.channel_seed_file")
        self.require(*wanted)
        return EngineConfig(
            network=self.network(),
            contract=self.contract(),
            keeper=self.keeper(),
            engine=self._section("engine", RunConfig, ()),
            fees=self._section("fees", FeeConfig, ()),
            retry=self._section("retry", RetryConfig, ()),
            redis=self.redis(),
            log=self.log(),
        )

    def redacted(self) -> dict[str, dict[str, object]]:
        """Plain values for showing: secrets as stars, credentials taken out of URLs, paths as text."""
        return {
            section: {name: _shown(f"{section}.{name}", value) for name, value in values.items()}
            for section, values in self.values.items()
        }

    def _section(self, name: str, make: Callable[..., _T], required: Sequence[str]) -> _T:
        self.require(*(f"{name}.{key}" for key in required))
        return make(**self.values.get(name, {}))


def env_name(key: str) -> str:
    """The environment variable of a dotted key: engine.workers → SOROFAST_ENGINE__WORKERS."""
    return "SOROFAST_" + key.upper().replace(".", "__")


def _how_to_set(key: str) -> str:
    section, _, name = key.partition(".")
    other = {"keeper.secret_file": "keeper.secret", "keeper.channel_seed_file": "keeper.channel_seed"}.get(
        key, key
    )
    return f"put `{name} = …` under [{section}] in sorofast.toml, or set {env_name(other)}"


_URL_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_URL_QUERY = re.compile(r"\?.*$")


def _shown(key: str, value: object) -> object:
    if value is None:
        return None
    if key in SECRET_KEYS:
        return HIDDEN
    if key.endswith("url") and isinstance(value, str):
        return _URL_QUERY.sub(f"?{HIDDEN}", _URL_USERINFO.sub(rf"\g<1>{HIDDEN}@", value))
    if isinstance(value, Path):
        return str(value)
    return value
