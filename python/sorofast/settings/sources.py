"""The layers of settings: command line, SOROFAST_* variables, STELLAR_* variables, and the file.

Each is values by dotted key, and for each value the words that name its place.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from sorofast import failpoints, limits
from sorofast.errors import ConfigError
from sorofast.redaction import redact
from sorofast.settings.config import (
    ContractConfig,
    FeeConfig,
    KeeperConfig,
    LogConfig,
    NetworkConfig,
    RedisConfig,
    RetryConfig,
    RunConfig,
)
from sorofast.settings.secrets import SECRET_KEYS
from sorofast.settings.values import env_name

__all__ = [
    "SECTIONS",
    "Layer",
    "environment_layer",
    "file_layer",
    "find_file",
    "flags_layer",
    "stellar_layer",
    "suggestion",
]

PREFIX = "SOROFAST_"
CONFIG_VARIABLE = "SOROFAST_CONFIG"
DEFAULT_FILE = "sorofast.toml"
# Variables of ours that are no settings: where the settings are, which sandbox `sorofast sandbox` speaks to, and what
# tests do to the engine.
_NO_SETTINGS = frozenset({CONFIG_VARIABLE, "SOROFAST_SANDBOX_URL", failpoints.VARIABLE})

STELLAR_VARIABLES = {
    "STELLAR_RPC_URL": "network.rpc_url",
    "STELLAR_NETWORK_PASSPHRASE": "network.passphrase",
    "STELLAR_CONTRACT_ID": "contract.id",
    "STELLAR_SECRET_KEY": "keeper.secret",
}

SECTIONS: dict[str, tuple[str, ...]] = {
    name: tuple(field.name for field in fields(section))
    for name, section in {
        "network": NetworkConfig,
        "contract": ContractConfig,
        "keeper": KeeperConfig,
        "engine": RunConfig,
        "fees": FeeConfig,
        "retry": RetryConfig,
        "redis": RedisConfig,
        "log": LogConfig,
    }.items()
}
"""The keys of each section."""

KNOWN_KEYS = frozenset(f"{section}.{name}" for section, names in SECTIONS.items() for name in names)
_PATH_KEYS = ("keeper.secret_file", "keeper.channel_seed_file", "redis.binary", "redis.dir")


@dataclass(frozen=True, slots=True)
class Layer:
    """Values by dotted key, and how to name the place one came from."""

    values: dict[str, object]
    origins: dict[str, str]


def flags_layer(
    overrides: Mapping[str, object], problems: list[str], options: Mapping[str, str] | None = None
) -> Layer:
    values = {key: value for key, value in _flatten(overrides) if value is not None}
    for key in SECRET_KEYS & values.keys():
        del values[key]
        problems.append(
            f"{key} (from the command line): is a secret; use {key}_file with a file of mode 0600 instead"
        )
    names = options or {}
    return Layer(
        values, {key: f"option {names[key]}" if key in names else "the command line" for key in values}
    )


def environment_layer(environ: Mapping[str, str], problems: list[str]) -> Layer:
    """SOROFAST_SECTION__KEY. A name of ours that matches no key is an error: it was meant to do something."""
    values: dict[str, object] = {}
    by_variable = {env_name(key): key for key in KNOWN_KEYS}
    for variable, value in environ.items():
        if variable == failpoints.VARIABLE:
            failpoints.check(value)
        if not variable.startswith(PREFIX) or variable in _NO_SETTINGS or value == "":
            continue
        if variable not in by_variable:
            hint = suggestion(variable, [*by_variable, *sorted(_NO_SETTINGS)])
            problems.append(f"{variable} (from the environment): is not a setting; unset it{hint}")
            continue
        values[by_variable[variable]] = value
    return Layer(values, {key: f"environment variable {env_name(key)}" for key in values})


def stellar_layer(environ: Mapping[str, str]) -> Layer:
    found = {variable: environ[variable] for variable in STELLAR_VARIABLES if environ.get(variable)}
    return Layer(
        {STELLAR_VARIABLES[variable]: value for variable, value in found.items()},
        {STELLAR_VARIABLES[variable]: f"environment variable {variable}" for variable in found},
    )


def find_file(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config_path is not None:
        return config_path
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def file_layer(path: Path | None, problems: list[str]) -> Layer:
    if path is None:
        return Layer({}, {})
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(limits.CONFIG_FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ConfigError(f"{path}: cannot be read ({reason}); name an existing file with --config") from None
    if len(data) > limits.CONFIG_FILE_BYTES_MAX:
        raise ConfigError(
            f"{path}: is longer than {limits.CONFIG_FILE_BYTES_MAX} bytes, the limit for a settings file"
        )
    try:
        tree = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {redact(str(error))}") from None
    values = dict(_flatten(tree))
    for key in SECRET_KEYS & values.keys():
        del values[key]
        problems.append(f"{key} (from {path}): is a secret and does not belong in this file; use {key}_file")
    for key in _PATH_KEYS:  # a path in a file is meant from where the file is
        value = values.get(key)
        if isinstance(value, str):
            values[key] = str(path.expanduser().parent / Path(value).expanduser())
    return Layer(values, dict.fromkeys(values, str(path)))


def _flatten(tree: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Leaves by dotted key, two levels deep; a section may be given as a table or by dotted keys."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and "." not in name:
            yield from ((f"{name}.{key}", leaf) for key, leaf in value.items())
        else:
            yield name, value


def suggestion(name: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
