"""What a run cannot restore on its way, and what restoring it takes: simulated as a whole, and sent as far as one
transaction may carry it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sorofast.chain.models import Simulation
from sorofast.chain.xdr import Footprint, read_footprint, restore_data
from sorofast.engine.context import WorkerContext
from sorofast.engine.verdicts import Said, Verdict
from sorofast.errors import DecodeError
from sorofast.reasons import code_of
from sorofast.transactions.fees import fee_policy
from sorofast.triggers.base import Due
from sorofast.triggers.restores import number_of

__all__ = ["RESTORED_MAX", "prepare_restore", "to_restore_first"]

RESTORED_MAX = 16
"""Archived entries that one run may restore on its way, its task's own among them."""
TRIES_MAX = 6
"""Simulations for one transaction: of all that is left first, then of less until it fits."""
ERROR_TEXT_MAX = 300
ARCHIVED = code_of("archived")
NOT_NOW = Said(Verdict.NO_EFFECT, ARCHIVED)

Ask = Callable[[Due, str], Awaitable[Simulation | Said]]


def to_restore_first(
    context: WorkerContext,
    due: Due,
    simulation: Simulation,
    footprint: Footprint,
) -> tuple[bytes, ...]:
    """What a run does not bring back by itself of what is archived of it; nothing where it brings back all.

    The entries of its own task it does as long as they are few, so that all tasks of a call need the same restored.
    """
    if simulation.restore_first:
        return read_footprint(simulation.restore_first).read_write
    archived = shared = footprint.archived
    if due.call.must_write is not None:
        shared = footprint.archived_beside(due.call.described.contract, due.values[0])
    limits = context.restores.limits
    too_large = limits is not None and limits.calling(footprint) > 1
    many = len(archived) > RESTORED_MAX or too_large
    if not many and not context.restores.under_way(shared):
        return ()
    return shared if shared and len(archived) - len(shared) <= RESTORED_MAX else archived


async def prepare_restore(context: WorkerContext, due: Due, ask: Ask) -> Said:
    """Whether the next operation of a need may be sent, with the template it is built from. `ask` simulates an envelope
    and answers for itself where nobody does.

    What all of it costs is held against the fee cap before any part of it is paid for.
    """
    restores, number = context.restores, number_of(due.execution)
    need = restores.needs.get(number)
    if need is None:
        return NOT_NOW
    keys = restores.part_of(number)
    limits = restores.limits
    if limits is None:
        return Said(Verdict.UNKNOWN, code_of("read_error"))
    whole = True
    for _ in range(TRIES_MAX):
        if not keys:
            restores.drop(number)
            return NOT_NOW
        try:
            envelope = context.signer.simulation_envelope_of(
                due.call.operation, list(due.values), 0, 1, transaction_data=restore_data(keys)
            )
        except DecodeError as error:
            restores.refuse(number, f"no transaction can be made of it: {error}")
            return NOT_NOW
        simulation = await ask(due, envelope)
        if isinstance(simulation, Said):
            return simulation
        if simulation.error is not None:
            restores.refuse(
                number, f"the node could not simulate restoring them: {_clipped(simulation.error)}"
            )
            return NOT_NOW
        try:
            footprint = read_footprint(simulation.transaction_data)
            left = footprint.read_write
            if whole and left:
                why = _too_dear(context, simulation, len(left), need.whose)
                if why is not None:
                    restores.refuse(number, why)
                    return NOT_NOW
            share = limits.restoring(footprint)
            if left and share <= 1:
                return Said(Verdict.RUN, 0, once=True, template=context.templates.learn_once(due, simulation))
        except DecodeError as error:
            restores.refuse(number, f"no transaction can be made of it: {error}")
            return NOT_NOW
        if len(left) == 1:
            restores.refuse(number, "one of them alone takes more than the network lets a transaction carry")
            return NOT_NOW
        whole = False
        keys = left[: min(len(left) - 1, max(1, int(len(left) / share)))] if left else ()
    restores.refuse(number, f"no part of them fits one transaction after {TRIES_MAX} simulations")
    return NOT_NOW


def _clipped(error: str) -> str:
    """Without the backtrace that some nodes append."""
    return error.strip().partition("\n")[0][:ERROR_TEXT_MAX]


def _too_dear(context: WorkerContext, simulation: Simulation, entries: int, whose: str) -> str | None:
    """Why all that is left of a need costs more than the settings allow; None where it does not."""
    bid = fee_policy(context.config.fees).bid()
    fee_stroops = simulation.min_resource_fee_stroops + bid.inclusion_fee_stroops
    if bid.allows(fee_stroops):
        return None
    return (
        f"restoring {entries} archived entries for {whose} would cost up to {fee_stroops} stroops; "
        f"fees.max_fee_stroops is {bid.max_fee_stroops}"
    )
