"""`sorofast tasks`: the registry's tasks as the chain has them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from sorofast.cli.context import checked_rpc, keeper_key, load, require_for_chain
from sorofast.cli.options import DEFAULTS, Options, Whole
from sorofast.cli.output import console, duration, note, print_json, print_pairs, print_table, utc
from sorofast.errors import SorofastError, UsageError, XdrError

if TYPE_CHECKING:
    from sorofast.registry.store import StoredTask

tasks_app = App(name="tasks", help="List, show and register tasks of the registry.")

LIMIT_MAX = 100_000
_DURATION = re.compile(r"(\d{1,18})(s|m|h|d)?")
_UNIT_S = {None: 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_I128_MAX = 2**127 - 1
_U64_MAX = 2**64 - 1


@tasks_app.command(name="list")
def list_(
    *,
    limit: Annotated[Whole, Parameter(help="How many tasks to show at most.")] = 100,
    start: Annotated[Whole, Parameter(help="The first task id to look at.")] = 1,
    state: Annotated[
        str | None, Parameter(help="Only tasks in this state: due, waiting, or the name of a reason.")
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """List tasks, read from the chain: when each is due, what gas it has, and what stands against running it.

    A task is due when its time has come and its entry says nothing against a run. Whether the run itself succeeds
    is not asked here; `sorofast tasks show` simulates it.
    """
    from sorofast import reasons
    from sorofast.registry.identity import check_registry
    from sorofast.registry.store import Registry

    if not 1 <= limit <= LIMIT_MAX:
        raise UsageError(f"--limit is {limit}; 1 to {LIMIT_MAX} tasks can be shown")
    if start < 1:
        raise UsageError(f"--start is {start}; task ids begin at 1")
    states = ["due", "waiting", *reasons.NAMES]
    if state is not None and state not in states:
        raise UsageError(f"--state {state} is none; there are {', '.join(states)}")
    settings = load(options)
    require_for_chain(settings, contract=True)
    network, contract = settings.network(), settings.contract()
    keeper = keeper_key(settings)

    async def read() -> tuple[list[StoredTask], int, int]:
        found: list[StoredTask] = []
        async with checked_rpc(network) as rpc:
            registry = Registry(rpc, contract.id, keeper)
            counter = await check_registry(rpc, contract.id)
            now_s = (await rpc.get_health()).close_time_s
            async for task in registry.tasks(range(start, counter + 1)):
                if state is None or task.state(now_s) == state:
                    found.append(task)
                    if len(found) == limit:
                        break
        return found, now_s, counter

    found, now_s, counter = asyncio.run(read())
    if options.json:
        print_json([_listed(task, now_s) for task in found])
    else:
        print_table(
            ["id", "interval", "last run", "next due", "gas", "state"],
            [_cells(task, now_s) for task in found],
            right=["id", "interval", "gas"],
        )
    if len(found) == limit and found[-1].row.task_id < counter:
        last = found[-1].row.task_id
        note(
            f"showing {limit}; the registry's ids go on to {counter}: --start {last + 1}, or a higher --limit",
            quiet=options.quiet,
        )


def _listed(task: StoredTask, now_s: int) -> dict[str, Any]:
    row = task.row
    decoded = task.problem is None
    return {
        "id": row.task_id,
        "state": task.state(now_s),
        "interval_s": row.interval_s if decoded else None,
        "last_run_s": row.last_run_s if decoded else None,
        "next_due_s": row.next_due_s,
        "gas_stroops": row.gas_stroops if decoded else None,
        "problem": task.problem,
    }


def _cells(task: StoredTask, now_s: int) -> list[object]:
    row = task.row
    if task.problem is not None:
        return [row.task_id, "", "", "", "", f"{task.state(now_s)}: {task.problem}"]
    return [
        row.task_id,
        duration(row.interval_s),
        utc(row.last_run_s) if row.last_run_s else "never",
        _due_text(row.next_due_s, row.last_run_s, now_s),
        row.gas_stroops,
        task.state(now_s),
    ]


def _due_text(due_s: int | None, last_run_s: int, now_s: int) -> str:
    """A task that has never run counts its first interval from 1970, which would be no help to show."""
    if due_s is None:
        return "never"
    return "now" if last_run_s == 0 and due_s <= now_s else utc(due_s)


@tasks_app.command
def show(task_id: Whole, /, *, options: Options = DEFAULTS) -> None:
    """Show one task in full: its configuration, why it does or does not run, and what the fleet knows of it.

    The run of a task that is due is simulated, as the keeper's or, without one, as the creator's.
    """
    from sorofast import _core, reasons
    from sorofast.cli.records import fleet_records
    from sorofast.cli.trial import Trial, try_run
    from sorofast.registry.codec import TaskConfig, decode_config, error_names
    from sorofast.registry.identity import identify
    from sorofast.registry.store import Registry

    _check_id(task_id)
    settings = load(options)
    require_for_chain(settings, contract=True)
    network, contract = settings.network(), settings.contract()
    keeper = keeper_key(settings)

    async def read() -> tuple[StoredTask, str, int, TaskConfig | XdrError, Trial | None]:
        async with checked_rpc(network) as rpc:
            identity = await identify(rpc, contract.id)
            registry = Registry(rpc, contract.id, keeper)
            now_s = (await rpc.get_health()).close_time_s
            tasks = [task async for task in registry.tasks([task_id])]
            entry = await registry.entry(task_id)
            if not tasks or entry is None:
                raise SorofastError(
                    f"task {task_id} does not exist in contract {contract.id}: it was cancelled, or never "
                    f"registered (ids go up to {identity.counter})"
                )
            try:
                config = decode_config(entry)
            except XdrError as error:
                return tasks[0], entry, now_s, error, None
            if tasks[0].state(now_s) != "due":
                return tasks[0], entry, now_s, config, None
            names = {} if identity.wasm is None else error_names(identity.wasm)
            source = _core.account_from_bytes(keeper) if any(keeper) else config.creator
            trial = await try_run(rpc, network.passphrase, contract.id, task_id, source, names)
            return tasks[0], entry, now_s, config, trial

    task, entry, now_s, config, trial = asyncio.run(read())
    shown: dict[str, Any] = _listed(task, now_s)
    state = shown["state"]
    shown["explanation"] = trial.explanation() if trial else reasons.text_of(state) or _WHY_RUNNING[state]
    shown["simulation"] = None if trial is None else {"outcome": trial.outcome, "error": trial.error}
    if isinstance(config, XdrError):
        shown["problem"] = shown["problem"] or str(config)
        shown["entry_xdr"] = entry
    else:
        shown |= {
            "creator": config.creator,
            "target": config.target,
            "function": config.function,
            "args": config.args,
            "resolver": config.resolver,
            "whitelist": config.whitelist,
            "is_active": config.is_active,
            "blocked_by": config.blocked_by,
            "others": config.others,
        }
        if config.gas_stroops is not None:
            shown["gas_stroops"] = config.gas_stroops
    shown["live_until_ledger"] = task.row.live_until_ledger
    shown["last_modified_ledger"] = task.row.last_modified_ledger
    shown["fleet"] = asyncio.run(fleet_records(settings, task_id))
    if options.json:
        print_json(shown)
    else:
        print_pairs(_readable(shown, now_s))


_WHY_RUNNING = {
    "due": "The task is due.",
    "waiting": "The task can run and waits for its time.",
}


def _readable(shown: dict[str, Any], now_s: int) -> list[tuple[str, object]]:
    import orjson

    pairs: list[tuple[str, object]] = []
    for name, value in shown.items():
        label = name.removesuffix("_s").replace("_", " ")
        if name == "simulation" or (value is None and (name == "problem" or shown["problem"] is not None)):
            continue  # what the simulation said is in the explanation
        if name == "fleet":
            pairs += _readable_fleet(value)
        elif name == "next_due_s":
            pairs.append((label, _due_text(value, shown["last_run_s"] or 0, now_s)))
        elif name == "last_run_s" and value is not None:
            pairs.append((label, utc(value) if value else "never"))
        elif name == "interval_s" and value is not None:
            pairs.append((label, duration(value)))
        elif isinstance(value, list | dict):
            pairs.append((label, orjson.dumps(value).decode() if value else "none"))
        elif isinstance(value, bool):
            pairs.append((label, "yes" if value else "no"))
        else:
            pairs.append((label, "none" if value is None else value))
    return pairs


def _readable_fleet(records: dict[str, Any]) -> list[tuple[str, object]]:
    import orjson

    return [
        (
            f"fleet {name.replace('_', ' ')}",
            value if isinstance(value, str | int) else orjson.dumps(value).decode(),
        )
        for name, value in records.items()
        if value
    ]


@tasks_app.command
def register(
    *,
    target: Annotated[str, Parameter(help="The contract to call, as a C… address.")],
    function: Annotated[str, Parameter(help="The function to call.")],
    interval: Annotated[str, Parameter(help="Time between runs: seconds, or 90s, 5m, 2h, 1d.")],
    gas: Annotated[
        Whole, Parameter(help="Stroops the task starts with; every run takes the keeper's fee from it.")
    ],
    args: Annotated[
        list[str] | None,
        Parameter(
            help="Arguments of the function: u64:5, symbol:name, address:G…, or one JSON array.",
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    resolver: Annotated[
        str | None, Parameter(help="A contract asked before each run, as a C… address.")
    ] = None,
    whitelist: Annotated[
        list[str] | None,
        Parameter(
            help="Keepers that may run the task; anybody when left out.", consume_multiple=True, negative=""
        ),
    ] = None,
    source_secret_file: Annotated[
        Path | None, Parameter(help="File (mode 0600) with the creator's S… seed; the keeper's by default.")
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """Register a task and print its id. The creator signs and pays the transaction."""
    from stellar_sdk import scval

    from sorofast.cli.trial import name_error
    from sorofast.registry.codec import NewTask, encode_config, error_names, struct_fields
    from sorofast.registry.identity import identify
    from sorofast.registry.values import check_symbol, parse_arguments, render
    from sorofast.settings import read_secret_file
    from sorofast.transactions.oneshot import Invocation, TransactionFailed, invoke, keypair

    interval_s = _seconds(interval)
    if not 0 <= gas <= _I128_MAX:
        raise UsageError(f"--gas is {gas}; it is a number of stroops from 0 to 2^127 - 1")
    check_symbol(function, "--function")
    values = parse_arguments(args or [])
    _check_address("--target", target, "C")
    if resolver is not None:
        _check_address("--resolver", resolver, "C")
    for address in whitelist or ():
        _check_address("--whitelist", address, "GC")
    settings = load(options)
    require_for_chain(settings, contract=True, secret=source_secret_file is None)
    network, contract = settings.network(), settings.contract()
    if source_secret_file is None:
        source = keypair(settings.keeper().read_secret())
    else:
        source = keypair(read_secret_file(source_secret_file), what=str(source_secret_file))
    task = NewTask(
        creator=source.public_key,
        target=target,
        function=function,
        args=values,
        interval_s=interval_s,
        gas_stroops=gas,
        resolver=resolver,
        whitelist=tuple(whitelist or ()),
    )

    async def work() -> Invocation:
        async with checked_rpc(network) as rpc:
            wasm = (await identify(rpc, contract.id)).wasm
            config = encode_config(task, None if wasm is None else struct_fields(wasm))
            try:
                return await invoke(rpc, network.passphrase, source, contract.id, "register", [config])
            except TransactionFailed as error:
                names = {} if wasm is None else error_names(wasm)
                raise TransactionFailed(name_error(str(error), names), error.code) from None

    done = asyncio.run(work())
    try:
        task_id = scval.from_uint64(done.value)
    except ValueError:
        raise SorofastError(
            f"the contract answered {render(done.value)} instead of a task id; is {contract.id} a registry?"
        ) from None
    if options.json:
        print_json({"id": task_id, "transaction": done.tx_hash, "ledger": done.ledger})
    else:
        note(f"registered in ledger {done.ledger}, transaction {done.tx_hash}", quiet=options.quiet)
        console().print(task_id)


def _check_id(task_id: int) -> None:
    if not 1 <= task_id <= _U64_MAX:
        raise UsageError(f"{task_id} is no task id; they are whole numbers from 1")


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not 1 <= seconds <= _U64_MAX:
        raise UsageError(f"--interval {text}: write seconds from 1, or a duration such as 90s, 5m, 2h, 1d")
    return seconds


def _check_address(option: str, address: str, kinds: str) -> None:
    from sorofast import _core
    from sorofast.errors import StrkeyError

    try:
        if "C" in kinds and address.startswith("C"):
            _core.contract_to_bytes(address)
        elif "G" in kinds and address.startswith("G"):
            _core.account_to_bytes(address)
        else:
            raise StrkeyError(f"{address!r} is no {' or '.join(f'{kind}…' for kind in kinds)} address")
    except StrkeyError as error:
        raise UsageError(f"{option}: {error}") from None
