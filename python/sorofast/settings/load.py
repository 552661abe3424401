"""Reads all layers of settings and checks them together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sorofast import limits
from sorofast.errors import ConfigError, UsageError
from sorofast.settings.secrets import SECRET_KEYS
from sorofast.settings.sources import (
    Layer,
    environment_layer,
    file_layer,
    find_file,
    flags_layer,
    stellar_layer,
)
from sorofast.settings.values import Settings, env_name

__all__ = ["load_settings"]


def load_settings(
    config_path: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    options: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check all layers; raises one ConfigError with a line for each thing that is wrong, or a UsageError if
    nothing is but flags.

    `config_path` must exist when given; else $SOROFAST_CONFIG, else `sorofast.toml` here if there is one.
    `overrides` are the flags, by dotted key (`{"engine.workers": 4}`); None means that the flag was not
    given. `options` says how they are written (`{"engine.workers": "--workers"}`).
    """
    # pydantic takes a tenth of a second to import, which a worker (it gets its configuration by pipe)
    # need not spend.
    from sorofast.settings.schema import check

    environ = os.environ if environ is None else environ
    problems: list[str] = []
    layers = [
        flags_layer(overrides or {}, problems, options or {}),
        environment_layer(environ, problems),
        stellar_layer(environ),
        file_layer(find_file(config_path, environ), problems),
    ]
    _settle_secrets(layers, problems)
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        origins.update({key: layer.origins[key] for key in layer.values})
    values, wrong = check([layer.values for layer in layers])
    if values is not None:
        wrong += limits.fleet_problems(
            shards=values["engine"]["shards"],
            channels=values["keeper"]["channels"],
            inclusion_fee_stroops=values["fees"]["inclusion_fee_stroops"],
            max_fee_stroops=values["fees"]["max_fee_stroops"],
        )
    only_flags = not problems and all(key in layers[0].values for key, _ in wrong)
    problems += [_line(key, origins, sentence) for key, sentence in wrong]
    if problems or values is None:
        raise (UsageError if only_flags else ConfigError)("\n".join(problems))
    return Settings(values=values, origins=origins)


def _settle_secrets(layers: list[Layer], problems: list[str]) -> None:
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


def _line(key: str, origins: Mapping[str, str], sentence: str) -> str:
    origin = origins.get(key) or next(
        (text for name, text in origins.items() if name.startswith(f"{key}.")), None
    )
    return f"{key} (from {origin}): {sentence}" if origin else f"{key}: {sentence}"
