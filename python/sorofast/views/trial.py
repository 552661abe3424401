"""What would come of a task's run now: `execute` simulated by the RPC, signed and sent by nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from stellar_sdk import Account, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.chain.rpc import RpcClient
from sorofast.errors import DecodeError, RpcError, UnreachableError
from sorofast.registry.codec import task_key
from sorofast.transactions.oneshot import host_reason

__all__ = ["Trial", "name_error", "try_run"]

_CONTRACT_ERROR = re.compile(r"(?:HostError: )?Error\(Contract, #(\d+)\)")


@dataclass(frozen=True, slots=True)
class Trial:
    """`nothing`: the call succeeds and leaves the task as it is. `unknown`: it could not be simulated."""

    outcome: Literal["runs", "nothing", "fails", "unknown"]
    error: str | None = None

    def explanation(self) -> str:
        """The sentence for the operator."""
        match self.outcome:
            case "runs":
                return "The task is due and its run succeeds in a simulation; a running fleet takes it up."
            case "nothing":
                return (
                    "The task is due, but a simulated run does nothing: its resolver does not say yes, or it has "
                    "just been executed."
                )
            case "fails":
                return f"The task is due, but its run fails in a simulation: {self.error}"
            case "unknown":
                return f"The task is due; whether its run succeeds could not be simulated: {self.error}"


async def try_run(
    rpc: RpcClient,
    passphrase: str,
    contract_id: str,
    task_id: int,
    keeper: str | None,
    names: dict[int, str],
) -> Trial:
    """Simulates `execute` as `keeper` (a G… address); `names` are the registry's own for its errors."""
    if keeper is None or not keeper.startswith("G"):
        return Trial("unknown", "no account to execute it is known; set keeper.secret_file")
    # Simulation asks for no signature, and for no sequence number that fits.
    builder = TransactionBuilder(Account(keeper, 0), passphrase, base_fee=100)
    builder.append_invoke_contract_function_op(
        contract_id, "execute", [scval.to_address(keeper), scval.to_uint64(task_id)]
    )
    envelope = builder.add_time_bounds(0, 0).build()
    try:
        simulation = await rpc.simulate(envelope.to_xdr())
    except (UnreachableError, RpcError, DecodeError) as error:
        return Trial("unknown", str(error))
    if simulation.error is not None:
        return Trial("fails", _with_name(host_reason(simulation.error), names))
    return Trial("runs" if _writes(simulation.transaction_data, contract_id, task_id) else "nothing")


def _writes(transaction_data: str, contract_id: str, task_id: int) -> bool:
    """Whether the call changes the task's entry, as every run does: it notes when it was."""
    if not transaction_data:
        return False
    data = stellar_xdr.SorobanTransactionData.from_xdr(transaction_data)
    key = stellar_xdr.LedgerKey.from_xdr(task_key(contract_id, task_id))
    return key in data.resources.footprint.read_write


def _with_name(reason: str, names: dict[int, str]) -> str:
    """The host's reason with the registry's name for a contract error.

    The host passes an error of the contract that the task calls on as it is, so the number alone does not say whose it
    is.
    """
    match = _CONTRACT_ERROR.search(reason)
    name = None if match is None else names.get(int(match[1]))
    return reason if name is None else f"{reason}, {name} if it is the registry's own and not its target's"


def name_error(message: str, names: dict[int, str]) -> str:
    """The message with the contract's own name for the error it ended with."""

    def named(match: re.Match[str]) -> str:
        name = names.get(int(match[1]))
        return f"the contract's error {match[1]}" + ("" if name is None else f", {name}")

    return _CONTRACT_ERROR.sub(named, message)
