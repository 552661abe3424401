"""How a registry contract is called: what runs a task, and what shows that it ran."""

from __future__ import annotations

import struct

from sorofast import _core
from sorofast.executions.call import Call
from sorofast.executions.records import Operation, Proof

__all__ = ["TASK_HOLE", "execute_call"]

TASK_HOLE = "task"
EXECUTE = "execute"
# XDR of an address value that is an ed25519 account: SCV_ADDRESS, SC_ADDRESS_TYPE_ACCOUNT, PUBLIC_KEY_TYPE_ED25519.
_ACCOUNT_ADDRESS = struct.pack(">III", 18, 0, 0)


def execute_call(contract: bytes, keeper: bytes) -> Call:
    """`execute(keeper, task)` of the registry `contract` (32 bytes), in the name of `keeper` (32 bytes).

    Its success proves nothing: a registry succeeds without effect where a task is not due or its resolver says no.
    """
    return Call(
        operation=_core.Operation.invoke(contract, EXECUTE, [_ACCOUNT_ADDRESS + keeper, TASK_HOLE]),
        described=Operation("invoke", contract, EXECUTE),
        proof=Proof.RUN_EVENT,
        must_write=TASK_HOLE,
    )
