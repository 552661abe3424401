"""`sorofast tasks`: the registry's tasks as the chain has them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from sorofast.cli.calls import SourceSecretFile, call_registry, signer
from sorofast.cli.context import checked_rpc, keeper_key, load, require_for_chain
from sorofast.cli.options import DEFAULTS, LEADING_HYPHEN, Options, TaskId, Whole, check_task_id
from sorofast.cli.output import console, duration, fields_of, note, print_json, print_pairs, print_table, utc
from sorofast.errors import SorofastError, UsageError
from sorofast.limits import I128_MAX
from sorofast.wording import counted

if TYPE_CHECKING:
    from sorofast.views.task import TaskView

tasks_app = App(name="tasks", help="List, show, explain and register tasks, and give them gas.")

# By path, so that the other commands do not load what only these need.
tasks_app.command(
    "sorofast.cli.history:history", name="history", help="Show how the executions of one task ended."
)
tasks_app.command(
    "sorofast.cli.history:explain", name="explain", help="Explain why one task ran, or why it did not."
)
tasks_app.command("sorofast.cli.deposit:deposit", name="deposit", help="Add to a task's gas.")

LIMIT_MAX = 100_000
_DURATION = re.compile(r"(\d{1,18})(s|m|h|d)?")
_UNIT_S = {None: 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_U64_MAX = 2**64 - 1


@tasks_app.command(name="list")
def list_(
    *,
    limit: Annotated[Whole, Parameter(help="Maximum number of tasks to show.")] = 100,
    start: Annotated[Whole, Parameter(help="First task id to show.")] = 1,
    state: Annotated[
        str | None,
        Parameter(
            help="Show only tasks in this state: due, waiting, or the reason why not, as `sorofast status` counts it."
        ),
    ] = None,
    failing: Annotated[
        bool,
        Parameter(help="Show only due tasks whose run does not work in a simulation, and why.", negative=""),
    ] = False,
    options: Options = DEFAULTS,
) -> None:
    """List tasks, read from the chain: when each is due, what gas it has, and why it does not run.

    A task is due when its time has come and nothing in its entry prevents a run. Whether the run itself works is only
    known by a simulation as the keeper: --failing, and a --state that no entry tells (such as target_panics), simulate
    the runs of due tasks, at most 1,000 at a time.
    """
    from sorofast.views.task import ENTRY_STATES, SIMULATED_STATES, TaskPage, read_tasks

    if not 1 <= limit <= LIMIT_MAX:
        raise UsageError(f"--limit is {limit}; choose a number from 1 to {LIMIT_MAX}")
    if start < 1:
        raise UsageError(f"--start is {start}; task ids begin at 1")
    if state is not None and state not in (*ENTRY_STATES, *SIMULATED_STATES):
        known = f"choose one of {', '.join((*ENTRY_STATES, *SIMULATED_STATES))}"
        from sorofast.reasons import NAMES

        if state in NAMES:
            raise UsageError(
                f"`{state}` is known to the fleet alone: `sorofast tasks explain ID` tells of one task; here {known}"
            )
        raise UsageError(f"unknown state `{state}`; {known}")
    if failing and state in ENTRY_STATES:
        raise UsageError(f"a task that is `{state}` by its entry is not simulated; leave out --failing")
    simulated = failing or state in SIMULATED_STATES
    settings = load(options)
    require_for_chain(settings, contract=True, secret=simulated)
    network, contract = settings.network(), settings.contract()
    keeper = keeper_key(settings)

    async def read() -> TaskPage:
        async with checked_rpc(network) as rpc:
            if not simulated:
                return await read_tasks(rpc, contract.id, keeper, start=start, limit=limit, state=state)
            from sorofast.views.failing import read_failing

            passphrase = network.passphrase
            return await read_failing(
                rpc, passphrase, contract.id, keeper, start=start, limit=limit, state=state
            )

    page = asyncio.run(read())
    if options.json:
        print_json(page.tasks)
    elif simulated:
        print_table(
            ["id", "next due", "state", "why"],
            [
                [
                    task.id,
                    _due_text(task.next_due_s, task.last_run_s or 0, page.now_s),
                    task.state,
                    task.error,
                ]
                for task in page.tasks
            ],
            right=["id"],
        )
    else:
        print_table(
            ["id", "interval", "last run", "next due", "gas", "state"],
            [_cells(task, page.now_s) for task in page.tasks],
            right=["id", "interval", "gas"],
        )
    if failing and page.held_by_entry and not options.json:
        held = ", ".join(f"{name} {number}" for name, number in sorted(page.held_by_entry.items()))
        number = counted(sum(page.held_by_entry.values()), "more task")
        note(
            f"{number} cannot run for what stands in the entry ({held}): `sorofast tasks list`",
            quiet=options.quiet,
        )
    if page.next_id is not None:
        note(
            f"showing {len(page.tasks)} tasks, but ids go up to {page.counter}: continue with --start {page.next_id}"
            + (", or raise --limit" if len(page.tasks) == limit else ""),
            quiet=options.quiet,
        )


def _cells(task: TaskView, now_s: int) -> list[object]:
    if task.problem is not None:
        return [task.id, "", "", "", "", f"{task.state}: {task.problem}"]
    return [
        task.id,
        duration(task.interval_s or 0),
        utc(task.last_run_s) if task.last_run_s else "never",
        _due_text(task.next_due_s, task.last_run_s or 0, now_s),
        task.gas_stroops,
        task.state,
    ]


def _due_text(due_s: int | None, last_run_s: int, now_s: int) -> str:
    """A task that has never run counts its first interval from 1970, which would be no help to show."""
    if due_s is None:
        return "never"
    return "now" if last_run_s == 0 and due_s <= now_s else utc(due_s)


@tasks_app.command
def show(task_id: TaskId, /, *, options: Options = DEFAULTS) -> None:
    """Show one task in full: its configuration, why it does or does not run, and its executions in the fleet.

    If the task is due, its run is simulated as the keeper or, without one configured, as its creator.
    """
    import msgspec

    from sorofast.views.execution import read_executions
    from sorofast.views.task import TaskDetail, read_task

    check_task_id(task_id)
    settings = load(options)
    require_for_chain(settings, contract=True)
    network, contract = settings.network(), settings.contract()
    keeper = keeper_key(settings)

    async def read() -> tuple[TaskDetail, int]:
        async with checked_rpc(network) as rpc:
            task, now_s = await read_task(rpc, network.passphrase, contract.id, keeper, task_id)
        fleet = await read_executions(settings.redis(), int(settings.get("engine.shards")), task_id)
        return msgspec.structs.replace(task, fleet=fleet), now_s

    task, now_s = asyncio.run(read())
    if options.json:
        print_json(task)
    else:
        print_pairs(_readable(fields_of(task), now_s))


def _readable(shown: dict[str, Any], now_s: int) -> list[tuple[str, object]]:
    import orjson

    pairs: list[tuple[str, object]] = []
    for name, value in shown.items():
        label = name.removesuffix("_s").replace("_", " ")
        if name == "simulation" or (value is None and (name == "problem" or shown["problem"] is not None)):
            continue  # what the simulation said is in the explanation
        if name == "fleet":
            pairs += _readable_fleet(fields_of(value))
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
    import msgspec

    return [
        (
            f"fleet {name.replace('_', ' ')}",
            value if isinstance(value, str | int) else msgspec.json.encode(value).decode(),
        )
        for name, value in records.items()
        if value
    ]


@tasks_app.command
def register(
    *,
    target: Annotated[str, Parameter(help="The contract to call, as a C… address.")],
    function: Annotated[str, Parameter(help="The function to call.")],
    interval: Annotated[
        str, LEADING_HYPHEN, Parameter(help="Time between runs: seconds, or 90s, 5m, 2h, 1d.")
    ],
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
        str | None, Parameter(help="Resolver contract asked before each run, as a C… address.")
    ] = None,
    whitelist: Annotated[
        list[str] | None,
        Parameter(
            help="Keepers that may run the task; by default anybody.", consume_multiple=True, negative=""
        ),
    ] = None,
    source_secret_file: SourceSecretFile = None,
    options: Options = DEFAULTS,
) -> None:
    """Register a task and print its id. The account that signs is its creator, and pays the transaction and the gas."""
    from stellar_sdk import scval

    from sorofast.registry.codec import NewTask, encode_config, struct_fields
    from sorofast.registry.identity import identify
    from sorofast.registry.values import check_symbol, parse_arguments, render
    from sorofast.transactions.oneshot import Invocation

    interval_s = _seconds(interval)
    if not 0 <= gas <= I128_MAX:
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
    source = signer(settings, source_secret_file)
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

    advice = {
        "token ": f"{source.public_key} pays --gas in that token: it must hold so much, or --gas must be lower",
        "NotInitialized": "somebody must call its `init` first, which names its admin and its token",
    }

    async def work() -> Invocation:
        async with checked_rpc(network) as rpc:
            wasm = (await identify(rpc, contract.id)).wasm
            config = encode_config(task, None if wasm is None else struct_fields(wasm))
            return await call_registry(
                rpc, network.passphrase, source, contract.id, "register", [config], advice=advice
            )

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


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not 1 <= seconds <= _U64_MAX:
        raise UsageError(
            f"--interval {text}: give whole seconds (1 or more), or a duration such as 90s, 5m, 2h, 1d"
        )
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
            raise StrkeyError(f"{address!r} is not a {' or '.join(f'{kind}…' for kind in kinds)} address")
    except StrkeyError as error:
        raise UsageError(f"{option}: {error}") from None
