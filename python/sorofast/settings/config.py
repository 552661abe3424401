"""The frozen objects the engine gets: one per section of the settings, and `EngineConfig` over all of them.

Each default stands here and nowhere else; `schema` takes it from these fields. Nothing here knows pydantic.
`EngineConfig` round-trips through JSON, so that the supervisor can hand it to a worker over a pipe.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from sorofast import limits
from sorofast.errors import ConfigError, SecretError
from sorofast.redaction import redact
from sorofast.settings.secrets import read_secret_file

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
]

_SEED = re.compile(r"S[A-Z2-7]{55}")
_PHRASE = re.compile(r"[a-z]+(?: [a-z]+){11,23}")
_SHARDS = 16


def workers_of_machine() -> int:
    """One worker for each processor, as far as a fleet may have them."""
    return min(os.cpu_count() or 1, limits.WORKERS_MAX)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    passphrase: str
    rpc_url: str = field(repr=False)  # some providers put the access key into it
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ContractConfig:
    id: str
    """C… address of the task registry."""


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """The keeper's secret and the seed of its channels, each by file or, if it came by environment, by
    value."""

    secret_file: Path | None = None
    channel_seed_file: Path | None = None
    channels: int = limits.CHANNELS_PER_SHARD_MIN * _SHARDS
    secret: str | None = field(default=None, repr=False)
    channel_seed: str | None = field(default=None, repr=False)

    def read_secret(self) -> str:
        """The keeper's S… seed. SecretError when there is none, or its file is not kept secret."""
        text = self.secret
        origin = "SOROFAST_KEEPER__SECRET"
        if text is None:
            if self.secret_file is None:
                raise SecretError("no keeper secret: set keeper.secret_file to a file that holds the S… seed")
            text, origin = read_secret_file(self.secret_file), str(self.secret_file)
        if _SEED.fullmatch(text.strip()) is None:
            raise SecretError(
                f"{origin} does not hold a Stellar secret seed (S followed by 55 letters and digits)"
            )
        return text.strip()

    def read_channel_seed(self) -> str | None:
        """The BIP-39 phrase the channels derive from, words separated by one space; None when none is
        configured."""
        text = self.channel_seed
        origin = "SOROFAST_KEEPER__CHANNEL_SEED"
        if text is None:
            if self.channel_seed_file is None:
                return None
            if not self.channel_seed_file.expanduser().exists():
                raise SecretError(
                    f"keeper.channel_seed_file {self.channel_seed_file} does not exist: put your copy of it back; only "
                    f"for a fleet that has no channels yet `sorofast channels create {self.channels}` makes a new one"
                )
            text, origin = read_secret_file(self.channel_seed_file), str(self.channel_seed_file)
        phrase = " ".join(text.split())
        if _PHRASE.fullmatch(phrase) is None:
            raise SecretError(f"{origin} does not hold a BIP-39 phrase; `sorofast channels create` makes one")
        return phrase


@dataclass(frozen=True, slots=True)
class RunConfig:
    workers: int = field(default_factory=workers_of_machine)
    shards: int = _SHARDS
    max_inflight: int = 1_000
    timing: Literal["eager", "safe"] = "eager"
    drain_timeout_s: float = 7.0
    envelope_ledgers: int = 5
    guard_s: float = 0.5


FeeStrategy = Literal["fixed"]
"""Names of the ways to bid; `transactions.fees` has a policy for each."""


@dataclass(frozen=True, slots=True)
class FeeConfig:
    strategy: FeeStrategy = "fixed"
    inclusion_fee_stroops: int = 1_000
    max_fee_stroops: int = 10_000_000


@dataclass(frozen=True, slots=True)
class RetryConfig:
    max_attempts: int = 3
    base_ledgers: int = 2


@dataclass(frozen=True, slots=True)
class RedisConfig:
    url: str = field(default="embedded", repr=False)  # may hold a password
    prefix: str = "sorofast"
    binary: Path | None = None
    dir: Path | None = None
    allow_unsafe_persistence: bool = False


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


def _encode_path(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode_path(wanted: type, value: object) -> object:
    if issubclass(wanted, Path) and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"no {wanted.__name__} from {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything a worker needs, complete and checked."""

    network: NetworkConfig
    contract: ContractConfig
    keeper: KeeperConfig
    engine: RunConfig = field(default_factory=RunConfig)
    fees: FeeConfig = field(default_factory=FeeConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    redis: RedisConfig = field(default_factory=RedisConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def to_json(self) -> str:
        """One line of JSON. Holds secrets that came by environment: for a pipe to a child, never for a file
        or a log."""
        return msgspec.json.encode(self, enc_hook=_encode_path).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> EngineConfig:
        try:
            return msgspec.json.decode(text, type=cls, dec_hook=_decode_path)
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"the configuration from the supervisor is invalid: {redact(str(error))}"
            ) from None
