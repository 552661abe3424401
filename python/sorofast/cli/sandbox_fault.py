"""`sorofast sandbox fault`: break a running sandbox by a plan, or by one rule given in flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from sorofast.cli.options import LEADING_HYPHEN, Whole
from sorofast.cli.output import print_json, print_pairs, print_table
from sorofast.cli.sandbox_control import DEFAULTS, Options, connect
from sorofast.errors import UsageError

_CALLS = Group("A fault rule for JSON-RPC calls", sort_key=10)
_LEDGERS = Group("A ledger event", sort_key=11)


def fault(
    plan: Annotated[
        Path | None,
        Parameter(help="Fault plan in TOML or JSON. It replaces the whole current plan."),
    ] = None,
    /,
    *,
    show: Annotated[
        bool,
        Parameter(negative="", help="Show the current plan and how often each rule applied (the default)."),
    ] = False,
    clear: Annotated[bool, Parameter(negative="", help="Remove all faults.")] = False,
    latency: Annotated[
        str | None, LEADING_HYPHEN, Parameter(group=_CALLS, help="Delay every answer, e.g. 500ms.")
    ] = None,
    http_status: Annotated[
        Whole | None, Parameter(group=_CALLS, help="Answer with this HTTP status, 400 to 599.")
    ] = None,
    rpc_error: Annotated[
        Whole | None, Parameter(group=_CALLS, help="Answer with this JSON-RPC error code.")
    ] = None,
    drop_request: Annotated[
        bool,
        Parameter(group=_CALLS, negative="", help="Close the connection without executing the call."),
    ] = False,
    drop_reply: Annotated[
        bool,
        Parameter(
            group=_CALLS, negative="", help="Execute the call, then close the connection without an answer."
        ),
    ] = False,
    method: Annotated[
        str | None,
        Parameter(group=_CALLS, help="Apply only to calls of this JSON-RPC method; by default to all."),
    ] = None,
    count: Annotated[Whole | None, Parameter(group=_CALLS, help="Apply to this many calls only.")] = None,
    probability: Annotated[
        float | None, Parameter(group=_CALLS, help="Apply with this probability, 0 to 1.")
    ] = None,
    stall: Annotated[
        str | None,
        LEADING_HYPHEN,
        Parameter(group=_LEDGERS, help="Delay the close of the next ledger, e.g. 30s."),
    ] = None,
    empty: Annotated[
        Whole | None,
        Parameter(group=_LEDGERS, help="Close this many empty ledgers although transactions are waiting."),
    ] = None,
    burst: Annotated[
        Whole | None, Parameter(group=_LEDGERS, help="Close this many ledgers at once after the next one.")
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """Inject faults into the network: a plan from a file, or one rule or ledger event by flags.

    Without arguments, show the current plan.
    """
    from sorofast.sandbox.files import read_fault_plan

    event = _event(stall, empty, burst)
    rule = _rule(
        latency,
        http_status,
        rpc_error,
        drop_request,
        drop_reply,
        method,
        count,
        probability,
        event is not None,
    )
    chosen = [
        name
        for name, given in (
            ("a plan", plan is not None),
            ("--show", show),
            ("--clear", clear),
            ("a rule", rule is not None),
            ("a ledger event", event is not None),
        )
        if given
    ]
    if len(chosen) > 1:
        raise UsageError(f"give only one of {' and '.join(chosen)}; use a plan file for several rules")
    wanted = None
    if plan is not None:
        wanted = read_fault_plan(plan)
    elif rule is not None:
        wanted = {"rules": [rule]}
    elif event is not None:
        wanted = {"ledger": [event]}
    client = connect(options)
    if clear:
        client.clear_faults()
    elif wanted is not None:
        client.set_fault_plan(wanted)
    in_force = client.faults()
    if options.json:
        print_json(in_force)
    else:
        _show_plan(in_force)


def _rule(
    latency: str | None,
    http_status: int | None,
    rpc_error: int | None,
    drop_request: bool,
    drop_reply: bool,
    method: str | None,
    count: int | None,
    probability: float | None,
    is_event: bool,
) -> dict[str, Any] | None:
    """The rule that the flags describe, None without any."""
    from sorofast.sandbox.durations import parse_duration_s

    kinds: list[dict[str, Any]] = []
    if latency is not None:
        kinds.append({"kind": "latency", "latency_ms": round(parse_duration_s(latency, "--latency") * 1_000)})
    if http_status is not None:
        _require_range("--http-status", http_status, 400, 599)
        kinds.append({"kind": "http_status", "status": http_status})
    if rpc_error is not None:
        kinds.append({"kind": "rpc_error", "code": rpc_error})
    if drop_request:
        kinds.append({"kind": "drop_request"})
    if drop_reply:
        kinds.append({"kind": "drop_reply"})
    names = "--latency, --http-status, --rpc-error, --drop-request or --drop-reply"
    bounds = {"method": method, "count": count, "probability": probability}
    given = {name: value for name, value in bounds.items() if value is not None}
    _require_range("--count", count, 1)
    _require_range("--probability", probability, 0, 1)
    if not kinds and given and is_event:
        raise UsageError(f"--{next(iter(given))} applies to rules for calls, not to ledger events")
    if not kinds and given:
        raise UsageError(f"--{next(iter(given))} needs a fault to apply to; add {names}")
    if len(kinds) > 1:
        raise UsageError(f"give only one of {names}; use a plan file for several rules")
    return kinds[0] | given if kinds else None


def _event(stall: str | None, empty: int | None, burst: int | None) -> dict[str, Any] | None:
    """The event that the flags describe, None without any."""
    from sorofast.sandbox.durations import parse_duration_s

    events: list[dict[str, Any]] = []
    if stall is not None:
        events.append({"kind": "stall", "seconds": parse_duration_s(stall, "--stall")})
    if empty is not None:
        _require_range("--empty", empty, 1)
        events.append({"kind": "empty", "ledgers": empty})
    if burst is not None:
        _require_range("--burst", burst, 1)
        events.append({"kind": "burst", "ledgers": burst})
    if len(events) > 1:
        raise UsageError("give only one of --stall, --empty and --burst; use a plan file for several events")
    return events[0] if events else None


def _require_range(option: str, value: float | None, low: int, high: int | None = None) -> None:
    """UsageError for what the sandbox would refuse without knowing the option's name."""
    if value is not None and (not value >= low or (high is not None and value > high)):
        bounds = f"at least {low}" if high is None else f"{low} to {high}"
        raise UsageError(f"{option} {value}: must be {bounds}")


def _show_plan(plan: dict[str, Any]) -> None:
    """Each part of a plan as a table of its own, and how often each rule struck beside it."""
    struck = plan.get("struck")
    strikes: dict[str, Any] = struck if isinstance(struck, dict) else {}
    parts = {name: value for name, value in plan.items() if name != "struck" and value not in ([], {}, None)}
    if not any(isinstance(value, list | dict) for value in parts.values()):
        parts["faults"] = "none"
    print_pairs([(name, value) for name, value in parts.items() if not isinstance(value, list | dict)])
    for name, value in parts.items():
        if isinstance(value, list):
            _show_rules(name, value, strikes.get(name))
        elif isinstance(value, dict):
            counts = strikes.get(name)
            shown = value | (counts if isinstance(counts, dict) else {})
            print_table(list(shown), [[_cell(cell) for cell in shown.values()]], title=name)


def _show_rules(name: str, rules: list[Any], struck: Any) -> None:
    rows: list[dict[str, Any]] = [dict(rule) if isinstance(rule, dict) else {"": rule} for rule in rules]
    # Rules that are used up are no longer listed, but still counted: then no count can be told from another.
    if isinstance(struck, list) and len(struck) == len(rows):
        for row, count in zip(rows, struck, strict=True):
            row["struck"] = count
    columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    print_table(columns, [[_cell(row.get(column)) for column in columns] for row in rows], title=name)


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        import orjson

        return orjson.dumps(value).decode()
    return value
