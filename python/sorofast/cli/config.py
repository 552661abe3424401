"""`sorofast config`: the settings in effect."""

from __future__ import annotations

from cyclopts import App

from sorofast.cli.context import load
from sorofast.cli.options import DEFAULTS, Options
from sorofast.cli.output import print_json, print_table

config_app = App(name="config", help="Show the settings in effect and where each comes from.")


@config_app.command
def show(*, options: Options = DEFAULTS) -> None:
    """Show every setting with its value and where the value comes from. Secrets are not shown."""
    settings = load(options)
    rows = [
        (f"{section}.{name}", value, settings.origins.get(f"{section}.{name}", "default"))
        for section, values in settings.redacted().items()
        for name, value in values.items()
    ]
    if options.json:
        print_json({key: {"value": value, "origin": origin} for key, value, origin in rows})
        return
    print_table(["setting", "value", "origin"], [(key, _cell(value), origin) for key, value, origin in rows])


def _cell(value: object) -> object:
    if value is None:
        return "(not set)"
    return str(value).lower() if isinstance(value, bool) else value
