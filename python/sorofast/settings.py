"""Settings: what an operator may say, and the frozen objects the engine gets.

`load_settings` reads every layer, flags over SOROFAST_* over STELLAR_* over the file over defaults, and
reports everything that is wrong at once. What it returns still knows where each value came from; a command
then asks for the part it needs (`network()`, `redis()`, … or the whole `engine_config()`), which is where a
missing setting is refused. There is no default network.

The engine never sees pydantic: it gets `EngineConfig`, which round-trips through JSON so that the supervisor
can hand it to a worker over a pipe.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from sorofast import limits
from sorofast.errors import ConfigError, SecretError
from sorofast.redaction import redact

HIDDEN = "**********"
SECRET_KEYS = frozenset({"keeper.secret", "keeper.channel_seed"})

_SEED = re.compile(r"S[A-Z2-7]{55}")
_PHRASE = re.compile(r"[a-z]+(?: [a-z]+){11,23}")
_T = TypeVar("_T")


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
    channels: int = limits.CHANNELS_PER_SHARD_MIN * 16
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
            text, origin = read_secret_file(self.channel_seed_file), str(self.channel_seed_file)
        phrase = " ".join(text.split())
        if _PHRASE.fullmatch(phrase) is None:
            raise SecretError(f"{origin} does not hold a BIP-39 phrase; `sorofast channels create` makes one")
        return phrase


@dataclass(frozen=True, slots=True)
class RunConfig:
    workers: int = 1
    shards: int = 16
    max_inflight: int = 1_000
    timing: Literal["eager", "safe"] = "eager"
    drain_timeout_s: float = 30.0
    envelope_ledgers: int = 5
    guard_s: float = 0.5


@dataclass(frozen=True, slots=True)
class FeeConfig:
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
            raise ConfigError(f"the configuration handed over is not one: {redact(str(error))}") from None


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


def load_settings(
    config_path: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check all layers; raises one ConfigError with a line for each thing that is wrong.

    `config_path` must exist when given; else $SOROFAST_CONFIG, else `sorofast.toml` here if there is one.
    `overrides` are the flags, by dotted key (`{"engine.workers": 4}`); None means that the flag was not
    given.
    """
    # pydantic takes a tenth of a second to import, which a worker (it gets its configuration by pipe)
    # need not spend.
    from sorofast.settings_sources import read_layers

    return read_layers(config_path, overrides or {}, os.environ if environ is None else environ)


def read_secret_file(path: Path) -> str:
    """Text of a small file that only its owner may touch; SecretError, without the text, otherwise."""
    try:
        with path.expanduser().open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path} is not a regular file; name a file that holds the secret")
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise SecretError(f"{path} can be used by others (mode {mode:04o}); run: chmod 600 {path}")
            data = file.read(limits.SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SecretError(f"{path} cannot be read ({reason}); name a file that holds the secret") from None
    if len(data) > limits.SECRET_FILE_BYTES_MAX:
        raise SecretError(
            f"{path} is longer than {limits.SECRET_FILE_BYTES_MAX} bytes; that is no secret of ours"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not text; name a file that holds the secret") from None


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
