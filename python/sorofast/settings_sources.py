"""The edge of the settings: layers in, checked plain values out. Only this module knows pydantic.

pydantic-settings merges the layers and checks the values; around it stands what makes an error useful to the
person who has to mend it: which layer a value came from, what the key may have been meant to be, and never
the value of a secret.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource

from sorofast import limits
from sorofast.errors import ConfigError, StrkeyError
from sorofast.redaction import redact
from sorofast.settings import SECRET_KEYS, Settings, env_name

PREFIX = "SOROFAST_"
CONFIG_VARIABLE = "SOROFAST_CONFIG"
DEFAULT_FILE = "sorofast.toml"
# Variables of ours that are no settings: where the settings are, and which sandbox `sorofast sandbox` speaks to.
_NO_SETTINGS = frozenset({CONFIG_VARIABLE, "SOROFAST_SANDBOX_URL"})

STELLAR_VARIABLES = {
    "STELLAR_RPC_URL": "network.rpc_url",
    "STELLAR_NETWORK_PASSPHRASE": "network.passphrase",
    "STELLAR_CONTRACT_ID": "contract.id",
    "STELLAR_SECRET_KEY": "keeper.secret",
}
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
    return min(os.cpu_count() or 1, limits.WORKERS_MAX) if value == "auto" else value


_Workers = Annotated[int, Field(ge=1, le=limits.WORKERS_MAX)] | Literal["auto"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Network(_Section):
    passphrase: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    rpc_url: Annotated[str, AfterValidator(_check_rpc_url)] | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=300, allow_inf_nan=False)


class _Contract(_Section):
    id: Annotated[str, AfterValidator(_check_contract)] | None = None


class _Keeper(_Section):
    secret_file: Path | None = None
    channel_seed_file: Path | None = None
    channels: int = Field(default=limits.CHANNELS_PER_SHARD_MIN * 16, ge=1, le=limits.CHANNELS_MAX)
    secret: SecretStr | None = None
    channel_seed: SecretStr | None = None


class _Engine(_Section):
    workers: Annotated[_Workers, AfterValidator(_resolve_workers)] = Field(
        default="auto", validate_default=True
    )
    shards: int = Field(default=16, ge=1, le=limits.SHARDS_MAX)
    max_inflight: int = Field(default=1_000, ge=1, le=limits.INFLIGHT_MAX)
    timing: Literal["eager", "safe"] = "eager"
    drain_timeout_s: float = Field(default=30.0, ge=0, le=3_600, allow_inf_nan=False)
    envelope_ledgers: int = Field(default=5, ge=limits.ENVELOPE_LEDGERS_MIN, le=limits.ENVELOPE_LEDGERS_MAX)
    guard_s: float = Field(default=0.5, ge=0, le=60, allow_inf_nan=False)


class _Fees(_Section):
    inclusion_fee_stroops: int = Field(
        default=1_000, ge=limits.INCLUSION_FEE_STROOPS_MIN, le=limits.FEE_STROOPS_MAX
    )
    max_fee_stroops: int = Field(
        default=10_000_000, ge=limits.INCLUSION_FEE_STROOPS_MIN, le=limits.FEE_STROOPS_MAX
    )


class _Retry(_Section):
    max_attempts: int = Field(default=3, ge=1, le=100)
    base_ledgers: int = Field(default=2, ge=1, le=1_000)


class _Redis(_Section):
    url: Annotated[str, AfterValidator(_check_redis_url)] = "embedded"
    prefix: Annotated[str, Field(max_length=64), AfterValidator(_check_prefix)] = "sorofast"
    binary: Path | None = None
    dir: Path | None = None
    allow_unsafe_persistence: bool = False


class _Log(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class _Model(BaseSettings):
    """The whole tree; its own sources are unused, the layers are handed over by `read_layers`."""

    model_config = {"extra": "forbid", "frozen": True}

    network: _Network = _Network()
    contract: _Contract = _Contract()
    keeper: _Keeper = _Keeper()
    engine: _Engine = Field(default_factory=_Engine)
    fees: _Fees = _Fees()
    retry: _Retry = _Retry()
    redis: _Redis = _Redis()
    log: _Log = _Log()


_SECTIONS: dict[str, list[str]] = {
    name: list(field.annotation.model_fields)
    for name, field in _Model.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
}
KNOWN_KEYS = frozenset(f"{section}.{name}" for section, names in _SECTIONS.items() for name in names)
_PATH_KEYS = ("keeper.secret_file", "keeper.channel_seed_file", "redis.binary", "redis.dir")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values by dotted key, and how to name the place one came from."""

    values: dict[str, object]
    origins: dict[str, str]


def read_layers(
    config_path: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str]
) -> Settings:
    problems: list[str] = []
    layers = [
        _flags_layer(overrides, problems),
        _environment_layer(environ, problems),
        _stellar_layer(environ),
        _file_layer(_find_file(config_path, environ), problems),
    ]
    _settle_secrets(layers, problems)
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        origins.update({key: layer.origins[key] for key in layer.values})
    try:
        sources = tuple(InitSettingsSource(_Model, init_kwargs=_nest(layer.values)) for layer in layers)
        model = _Model(_build_sources=(sources, {}))  # type: ignore[call-arg]  # hidden by dataclass_transform
    except ValidationError as error:
        problems += _explain(error, origins)
        raise ConfigError("\n".join(problems)) from None
    problems += [
        _line(key, origins, sentence)
        for key, sentence in limits.fleet_problems(
            shards=model.engine.shards,
            channels=model.keeper.channels,
            inclusion_fee_stroops=model.fees.inclusion_fee_stroops,
            max_fee_stroops=model.fees.max_fee_stroops,
        )
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return Settings(values=_plain(model), origins=origins)


def _flags_layer(overrides: Mapping[str, object], problems: list[str]) -> _Layer:
    values = {key: value for key, value in _flatten(overrides) if value is not None}
    for key in SECRET_KEYS & values.keys():
        del values[key]
        problems.append(f"{key} (from the command line): is a secret; name a file with mode 0600 instead")
    return _Layer(values, dict.fromkeys(values, "the command line"))


def _environment_layer(environ: Mapping[str, str], problems: list[str]) -> _Layer:
    """SOROFAST_SECTION__KEY. A name of ours that matches no key is an error: it was meant to do something."""
    values: dict[str, object] = {}
    by_variable = {env_name(key): key for key in KNOWN_KEYS}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in _NO_SETTINGS or value == "":
            continue
        if variable not in by_variable:
            hint = _suggestion(variable, [*by_variable, *sorted(_NO_SETTINGS)])
            problems.append(f"{variable} (from the environment): names no setting{hint}; unset it")
            continue
        values[by_variable[variable]] = value
    return _Layer(values, {key: f"environment variable {env_name(key)}" for key in values})


def _stellar_layer(environ: Mapping[str, str]) -> _Layer:
    found = {variable: environ[variable] for variable in STELLAR_VARIABLES if environ.get(variable)}
    return _Layer(
        {STELLAR_VARIABLES[variable]: value for variable, value in found.items()},
        {STELLAR_VARIABLES[variable]: f"environment variable {variable}" for variable in found},
    )


def _find_file(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config_path is not None:
        return config_path
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def _file_layer(path: Path | None, problems: list[str]) -> _Layer:
    if path is None:
        return _Layer({}, {})
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(limits.CONFIG_FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ConfigError(f"{path}: cannot be read ({reason}); name an existing file with --config") from None
    if len(data) > limits.CONFIG_FILE_BYTES_MAX:
        raise ConfigError(
            f"{path}: is longer than {limits.CONFIG_FILE_BYTES_MAX} bytes; that is no configuration"
        )
    try:
        tree = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {redact(str(error))}") from None
    values = dict(_flatten(tree))
    for key in SECRET_KEYS & values.keys():
        del values[key]
        problems.append(f"{key} (from {path}): is a secret, which does not belong there; use {key}_file")
    for key in _PATH_KEYS:  # a path in a file is meant from where the file is
        value = values.get(key)
        if isinstance(value, str):
            values[key] = str(path.expanduser().parent / Path(value).expanduser())
    return _Layer(values, dict.fromkeys(values, str(path)))


def _settle_secrets(layers: list[_Layer], problems: list[str]) -> None:
    """A secret may come by value or by file; the higher layer wins, both in one layer is a mistake."""
    for by_value in sorted(SECRET_KEYS):
        by_file = f"{by_value}_file"
        winner: str | None = None
        for layer in layers:
            given = [key for key in (by_value, by_file) if key in layer.values]
            if winner is None and len(given) == 2:
                problems.append(f"{by_file}: is set together with {env_name(by_value)}; unset one of them")
            if winner is None and given:
                winner = given[0]
            for key in given:
                if key != winner:
                    del layer.values[key]


def _flatten(tree: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Leaves by dotted key, two levels deep; a section may be given as a table or by dotted keys."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and "." not in name:
            yield from ((f"{name}.{key}", leaf) for key, leaf in value.items())
        else:
            yield name, value


def _nest(values: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        if dot:
            tree.setdefault(section, {})[name] = value
        else:
            tree[section] = value
    return tree


def _explain(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    lines: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"][:2]]
        key = ".".join(path)
        if detail["type"] == "extra_forbidden":
            names = _SECTIONS.get(path[0], []) if len(path) == 2 else list(_SECTIONS)
            lines[key] = [f"is not a setting{_suggestion(path[-1], names)}"]
            continue
        if len(path) == 1:
            lines[key] = [f"must be a table; write its keys under [{key}]"]
            continue
        if key not in SECRET_KEYS:
            shown[key] = redact(repr(detail["input"]))[:_SHOWN_CHARS_MAX]
        lines.setdefault(key, []).append(_sentence(detail["msg"]))
    return [
        _line(
            key, origins, f"is {shown[key]}; {', or '.join(texts)}" if key in shown else ", or ".join(texts)
        )
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


def _line(key: str, origins: Mapping[str, str], sentence: str) -> str:
    origin = origins.get(key) or next(
        (text for name, text in origins.items() if name.startswith(f"{key}.")), None
    )
    return f"{key} (from {origin}): {sentence}" if origin else f"{key}: {sentence}"


def _suggestion(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _plain(model: _Model) -> dict[str, dict[str, Any]]:
    """Plain values by section; secrets unwrapped, for the frozen configuration only."""
    return {
        section: {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in ((name, getattr(getattr(model, section), name)) for name in names)
        }
        for section, names in _SECTIONS.items()
    }
