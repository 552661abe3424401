"""What would come of a task's run now: `execute` simulated by the RPC, signed and sent by nobody."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from stellar_sdk import Account, TransactionBuilder, scval

from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.chain.xdr import read_footprint
from sorofast.coordination.restores import RestoreNeed
from sorofast.errors import DecodeError, RpcError, UnreachableError
from sorofast.registry.words import RegistryWords
from sorofast.transactions.diagnostics import diagnose, resolver_failure
from sorofast.views.restores import waits_for

__all__ = ["Trial", "try_run"]


@dataclass(frozen=True, slots=True)
class Trial:
    """`waits`: entries have to be restored before. `nothing`: the call succeeds and leaves the task as it is.
    `unknown`: it could not be simulated. `error` says why it waits, fails or could not be simulated, or what went wrong
    in a resolver that so did not say yes; `reason` is the name that the fleet counts such tasks under.
    """

    outcome: Literal["runs", "waits", "nothing", "fails", "unknown"]
    error: str | None = None
    reason: str = "simulation_failed"

    def words(self) -> str:
        """Why it does not run, as a clause."""
        if self.outcome == "nothing" and self.error is None:
            return "the resolver does not say yes, or the task has just been executed"
        return f"the resolver failed: {self.error}" if self.outcome == "nothing" else self.error or ""

    def explanation(self) -> str:
        """The sentence for the operator."""
        match self.outcome:
            case "runs":
                return "The task is due and its run succeeds in a simulation; a running fleet takes it up."
            case "waits":
                return f"The task is due, and its run waits: {self.error}."
            case "nothing":
                why = "" if self.error is None else f" (the resolver failed: {self.error})"
                return (
                    "The task is due, but a simulated run does nothing: its resolver does not say yes, or it has "
                    f"just been executed{why}."
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
    needs: Collection[RestoreNeed] = (),
) -> Trial:
    """Simulates `execute` as `keeper` (a G… address); `names` are the registry's own for its errors, `needs` what the
    fleet has to restore.
    """
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
    contract = _core.contract_to_bytes(contract_id)
    if simulation.error is not None:
        why = diagnose(simulation.error, simulation.events, contract, RegistryWords(names))
        if why is None:
            return Trial("unknown", simulation.error)
        return Trial("fails", why.text, why.reason)
    footprint = read_footprint(simulation.transaction_data)
    if not footprint.writes(contract, task_id):
        return Trial("nothing", resolver_failure(simulation.events), "resolver_says_no")
    waits = waits_for(needs, footprint.archived)
    if waits is not None:
        return Trial("waits", waits, "archived")
    return Trial("runs", resolver_failure(simulation.events))
