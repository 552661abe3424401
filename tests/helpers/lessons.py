"""Calls of tasks, and simulations of them, to be learned from."""

from __future__ import annotations

from collections.abc import Sequence

from stellar_sdk import scval, xdr

from helpers import entries as make
from helpers import transactions as sdk
from sorofast.chain.models import Simulation
from sorofast.executions.key import TASKS, Execution
from sorofast.registry.layout import execute_call
from sorofast.triggers.base import Due

KIND = 0xABCD_1234
CALL = execute_call(make.CONTRACT_RAW, sdk.KEEPER.raw_public_key())
CODE = b"c" * 32
"""The hash of the code behind `make.CONTRACT` and `make.TARGET`."""


def due(arguments: int, task_id: int = 7, *, kind: int = KIND, shares: bool = True) -> Due:
    """A task of the kind; equal `arguments`, equal calls."""
    key = kind << 32 | arguments
    return Due(Execution(TASKS, task_id, 940), 1_000, CALL, key, (task_id,), shares=shares)


def simulation(
    task_id: int = 7,
    *,
    touches: Sequence[xdr.LedgerKey] = (),
    archived: Sequence[int] | None = None,
    instructions: int = 1_000_000,
    fee_stroops: int = 50_000,
) -> Simulation:
    """A run of the task that also writes those entries."""
    own = make.data_key(make.task_symbol_key(task_id))
    data = sdk.transaction_data(
        task_id,
        read_write=[own, *touches],
        archived=archived,
        instructions=instructions,
        fee_stroops=fee_stroops,
    )
    return Simulation(100, data.to_xdr(), (sdk.consent(task_id).to_xdr(),), fee_stroops, None)


def entry(number: int) -> xdr.LedgerKey:
    """An entry of the target."""
    return make.data_key(scval.to_uint64(number), make.TARGET)


def waits_for(task_id: int) -> xdr.LedgerKey:
    """The entry of another task of the registry."""
    return make.data_key(make.task_symbol_key(task_id))
