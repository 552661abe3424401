"""Settings: what an operator may say, and the frozen objects the engine gets.

`load` reads every layer, flags over SOROFAST_* over STELLAR_* over the file over defaults, and reports everything that
is wrong at once. `values` is what it returns, and still knows where each value came from. `config` holds the frozen
objects with their defaults, `sources` the layers, `schema` the checks, `secrets` the files that only their owner may
read. The engine never sees pydantic.
"""

from __future__ import annotations

from sorofast.settings.config import (
    ContractConfig,
    EngineConfig,
    FeeConfig,
    FeeStrategy,
    KeeperConfig,
    LogConfig,
    NetworkConfig,
    RedisConfig,
    RetryConfig,
    RunConfig,
)
from sorofast.settings.load import load_settings
from sorofast.settings.secrets import read_secret_file
from sorofast.settings.values import Settings

__all__ = [
    "ContractConfig",
    "EngineConfig",
    "FeeConfig",
    "FeeStrategy",
    "KeeperConfig",
    "LogConfig",
    "NetworkConfig",
    "RedisConfig",
    "RetryConfig",
    "RunConfig",
    "Settings",
    "load_settings",
    "read_secret_file",
]
