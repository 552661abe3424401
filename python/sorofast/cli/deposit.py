"""`sorofast tasks deposit`: more gas for a task."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from sorofast.cli.calls import SourceSecretFile, call_registry, signer
from sorofast.cli.context import checked_rpc, load, require_for_chain
from sorofast.cli.options import DEFAULTS, Options, TaskId, Whole, check_task_id
from sorofast.cli.output import console, note, print_json
from sorofast.errors import UsageError
from sorofast.limits import I128_MAX

Amount = Annotated[
    Whole, Parameter(help="How much, in stroops or the smallest unit of the registry's token.")
]


def deposit(
    task_id: TaskId,
    amount: Amount,
    /,
    *,
    source_secret_file: SourceSecretFile = None,
    options: Options = DEFAULTS,
) -> None:
    """Add AMOUNT to a task's gas, from which each run pays the keeper's fee. Prints the task's gas after it.

    The amount comes from the account that signs, in the token in which the registry takes its fees. Anybody may
    deposit for any task. A running fleet takes the task up by itself.
    """
    from stellar_sdk import scval

    from sorofast.registry.store import Registry
    from sorofast.transactions.oneshot import Invocation

    check_task_id(task_id)
    if not 1 <= amount <= I128_MAX:
        raise UsageError(f"AMOUNT is {amount}; it is a whole number from 1 to 2^127 - 1")
    settings = load(options)
    require_for_chain(settings, contract=True, secret=source_secret_file is None)
    network, contract = settings.network(), settings.contract()
    source = signer(settings, source_secret_file)
    arguments = [scval.to_uint64(task_id), scval.to_address(source.public_key), scval.to_int128(amount)]
    advice = {
        "token ": f"{source.public_key} pays the deposit in that token and must hold it",
        "TaskNotFound": f"task {task_id} does not exist in contract {contract.id}",
        "NotInitialized": "it has no token, so gas is only given when a task is registered: register the task again "
        "with more --gas",
    }

    async def work() -> tuple[Invocation, int | None]:
        async with checked_rpc(network) as rpc:
            done = await call_registry(
                rpc, network.passphrase, source, contract.id, "deposit_gas", arguments, advice=advice
            )
            registry = Registry(rpc, contract.id, bytes(32))
            gas = [task.row.gas_stroops async for task in registry.tasks([task_id])]
            return done, gas[0] if gas else None

    done, gas_stroops = asyncio.run(work())
    if options.json:
        print_json(
            {"id": task_id, "gas_stroops": gas_stroops, "transaction": done.tx_hash, "ledger": done.ledger}
        )
    else:
        note(f"deposited in ledger {done.ledger}, transaction {done.tx_hash}", quiet=options.quiet)
        console().print(gas_stroops)
