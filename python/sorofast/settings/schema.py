"""What values the settings may have. Only this module knows pydantic.

pydantic-settings merges the layers and checks the values; around it stands what makes an error useful to the person
who has to mend it: what the key may have been meant to be, and never the value of a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource

from sorofast import limits
from sorofast.errors import StrkeyError
from sorofast.redaction import redact
from sorofast.settings.config import (
    FeeConfig,
    FeeStrategy,
    KeeperConfig,
    LogConfig,
    NetworkConfig,
    RedisConfig,
    RetryConfig,
    RunConfig,
    workers_of_machine,
)
from sorofast.settings.secrets import SECRET_KEYS
from sorofast.settings.sources import SECTIONS, suggestion

__all__ = ["check"]

_SHOWN_CHARS_MAX = 80


def _check_rpc_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise PydanticCustomError("url", "must be an http:// or https:// URL with a host")
    return value


def _check_redis_url(value: str) -> str:
    if value == "embedded" or value.startswith(("redis://", "rediss://", "unix://")):
        return value
    raise PydanticCustomError("url", 'must be "embedded" or a redis://, rediss:// or unix:// URL')


def _check_contract(value: str) -> str:
    from sorofast import _core

    try:
        _core.contract_to_bytes(value)
    except StrkeyError as error:
        raise PydanticCustomError(
            "strkey", "{reason}", {"reason": f"must be a C… contract address ({error})"}
        ) from None
    return value


def _check_prefix(value: str) -> str:
    if not value or not all(letter.isascii() and (letter.isalnum() or letter in "-_.:") for letter in value):
        raise PydanticCustomError("prefix", "must be letters, digits, '-', '_', '.' or ':'")
    return value


def _resolve_workers(value: int | Literal["auto"]) -> int:
    return workers_of_machine() if value == "auto" else value


_Workers = Annotated[int, Field(ge=1, le=limits.WORKERS_MAX)] | Literal["auto"]


def _default(section: type, name: str) -> Any:
    """The default of a field of the frozen configuration, so that none is written twice."""
    found = next(field for field in fields(section) if field.name == name)
    if found.default is not MISSING:
        return found.default
    if found.default_factory is not MISSING:
        return found.default_factory()
    raise TypeError(f"{section.__name__}.{name} has no default")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Network(_Section):
    passphrase: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    rpc_url: Annotated[str, AfterValidator(_check_rpc_url)] | None = None
    timeout_s: float = Field(default=_default(NetworkConfig, "timeout_s"), gt=0, le=300, allow_inf_nan=False)


class _Contract(_Section):
    id: Annotated[str, AfterValidator(_check_contract)] | None = None


class _Keeper(_Section):
    secret_file: Path | None = None
    channel_seed_file: Path | None = None
    channels: int = Field(default=_default(KeeperConfig, "channels"), ge=1, le=limits.CHANNELS_MAX)
    secret: SecretStr | None = None
    channel_seed: SecretStr | None = None


class _Engine(_Section):
    workers: Annotated[_Workers, AfterValidator(_resolve_workers)] = Field(
        default=_default(RunConfig, "workers"), validate_default=True
    )
    shards: int = Field(default=_default(RunConfig, "shards"), ge=1, le=limits.SHARDS_MAX)
    max_inflight: int = Field(default=_default(RunConfig, "max_inflight"), ge=1, le=limits.INFLIGHT_MAX)
    timing: Literal["eager", "safe"] = _default(RunConfig, "timing")
    drain_timeout_s: float = Field(
        default=_default(RunConfig, "drain_timeout_s"), ge=0, le=3_600, allow_inf_nan=False
    )
    envelope_ledgers: int = Field(
        default=_default(RunConfig, "envelope_ledgers"),
        ge=limits.ENVELOPE_LEDGERS_MIN,
        le=limits.ENVELOPE_LEDGERS_MAX,
    )
    guard_s: float = Field(
        default=_default(RunConfig, "guard_s"), ge=0, le=limits.GUARD_MAX_S, allow_inf_nan=False
    )


class _Fees(_Section):
    strategy: FeeStrategy = _default(FeeConfig, "strategy")
    inclusion_fee_stroops: int = Field(
        default=_default(FeeConfig, "inclusion_fee_stroops"),
        ge=limits.INCLUSION_FEE_STROOPS_MIN,
        le=limits.FEE_STROOPS_MAX,
    )
    max_fee_stroops: int = Field(
        default=_default(FeeConfig, "max_fee_stroops"),
        ge=limits.INCLUSION_FEE_STROOPS_MIN,
        le=limits.FEE_STROOPS_MAX,
    )


class _Retry(_Section):
    max_attempts: int = Field(default=_default(RetryConfig, "max_attempts"), ge=1, le=100)
    base_ledgers: int = Field(default=_default(RetryConfig, "base_ledgers"), ge=1, le=1_000)


class _Redis(_Section):
    url: Annotated[str, AfterValidator(_check_redis_url)] = _default(RedisConfig, "url")
    prefix: Annotated[str, Field(max_length=64), AfterValidator(_check_prefix)] = _default(
        RedisConfig, "prefix"
    )
    binary: Path | None = None
    dir: Path | None = None
    allow_unsafe_persistence: bool = _default(RedisConfig, "allow_unsafe_persistence")


class _Log(_Section):
    level: Literal["debug", "info", "warning", "error"] = _default(LogConfig, "level")
    format: Literal["console", "json"] = _default(LogConfig, "format")


class _Model(BaseSettings):
    """The whole tree; its own sources are unused, the layers are handed over by `check`."""

    model_config = {"extra": "forbid", "frozen": True}

    network: _Network = _Network()
    contract: _Contract = _Contract()
    keeper: _Keeper = _Keeper()
    engine: _Engine = Field(default_factory=_Engine)
    fees: _Fees = _Fees()
    retry: _Retry = _Retry()
    redis: _Redis = _Redis()
    log: _Log = _Log()


def check(
    layers: Sequence[Mapping[str, object]],
) -> tuple[dict[str, dict[str, Any]] | None, list[tuple[str, str]]]:
    """The values by section, highest layer first; else None, and pairs of a dotted key and what is wrong with it."""
    try:
        sources = tuple(InitSettingsSource(_Model, init_kwargs=_nest(layer)) for layer in layers)
        model = _Model(_build_sources=(sources, {}))  # type: ignore[call-arg]  # hidden by dataclass_transform
    except ValidationError as error:
        return None, _explain(error)
    return _plain(model), []


def _nest(values: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        if dot:
            tree.setdefault(section, {})[name] = value
        else:
            tree[section] = value
    return tree


def _explain(error: ValidationError) -> list[tuple[str, str]]:
    lines: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"][:2]]
        key = ".".join(path)
        if detail["type"] == "extra_forbidden":
            names = SECTIONS.get(path[0], ()) if len(path) == 2 else tuple(SECTIONS)
            lines[key] = [f"is not a setting{suggestion(path[-1], names)}"]
            continue
        if len(path) == 1:
            lines[key] = [f"must be a table; write its keys under [{key}]"]
            continue
        if key not in SECRET_KEYS:
            shown[key] = redact(repr(detail["input"]))[:_SHOWN_CHARS_MAX]
        lines.setdefault(key, []).append(_sentence(detail["msg"]))
    return [
        (key, f"is {shown[key]}; {', or '.join(texts)}" if key in shown else ", or ".join(texts))
        for key, texts in lines.items()
    ]


def _sentence(message: str) -> str:
    """pydantic's message as the end of ours: "Input should be …" reads "must be …"."""
    message = message.removeprefix("Value error, ")
    if message.startswith("Input should be "):
        message = "must be " + message.removeprefix("Input should be ")
    elif message[:1].isupper():
        message = message[0].lower() + message[1:]
    return message


def _plain(model: _Model) -> dict[str, dict[str, Any]]:
    """Plain values by section; secrets unwrapped, for the frozen configuration only."""
    return {
        section: {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in ((name, getattr(getattr(model, section), name)) for name in names)
        }
        for section, names in SECTIONS.items()
    }
