"""Simulates tasks whose call has no template, or whose resolver said no, and keeps the templates."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from dataclasses import dataclass

from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Run
from sorofast.errors import DecodeError, RpcError, RpcUnreachable, TemplateError
from sorofast.reasons import code_of
from sorofast.registry.row import Row

__all__ = ["Simulated", "Simulator"]

ERROR_TEXT_MAX = 300
SIMULATE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """`run` is set where the run can be sent; else `reason` says why not."""

    row: Row
    run: Run | None
    reason: int = 0


class Simulator:
    """Bounded by the RPC client's own limit on requests in flight."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    async def run(self, cases: list[tuple[Row, int, int]], gated: Container[int]) -> list[Simulated]:
        """One answer for each (row, channel, sequence). Ungated tasks that make the same call share one
        simulation.
        """
        first: dict[int, tuple[Row, int, int]] = {}
        for case in cases:
            if case[0].task_id not in gated:
                first.setdefault(case[0].shape, case)
        leaders = {case[0].task_id for case in first.values()}
        alone = [case for case in cases if case[0].task_id in gated or case[0].task_id in leaders]
        answers = {
            case[0].task_id: answer
            for case, answer in zip(alone, await asyncio.gather(*map(self._one, alone)), strict=True)
        }
        results: list[Simulated] = []
        for row, channel, sequence in cases:
            answer = answers.get(row.task_id)
            if answer is None:
                leader = answers[first[row.shape][0].task_id]
                known = self._context.signer.template(row.shape) is not None
                answer = (
                    Simulated(row, Run(row, channel, sequence))
                    if known
                    else Simulated(row, None, leader.reason)
                )
            results.append(answer)
        return results

    async def _one(self, case: tuple[Row, int, int]) -> Simulated:
        row, channel, sequence = case
        context = self._context
        envelope = context.signer.simulation_envelope(context.contract, row.task_id, channel, sequence)
        try:
            # The shard's cycle waits for this, so it may not take as long as other calls may.
            async with asyncio.timeout(SIMULATE_TIMEOUT_S):
                simulation = await context.rpc.simulate(envelope)
        except (RpcUnreachable, RpcError, DecodeError, TimeoutError) as error:
            context.tally.errors += 1
            context.log.warning("simulation_unanswered", task=row.task_id, error=repr(error))
            return Simulated(row, None, code_of("read_error"))
        if simulation.error is not None:
            # The first line is the outermost cause, where a trap of the target shows as a WasmVm error; the event
            # log after it tells of errors that were caught as well.
            cause = simulation.error.partition("\n")[0]
            reason = "target_panics" if "WasmVm" in cause else "simulation_failed"
            context.log.warning(
                "task_skipped", task=row.task_id, reason=reason, error=simulation.error[:ERROR_TEXT_MAX]
            )
            return Simulated(row, None, code_of(reason))
        try:
            context.signer.learn(
                row.shape,
                row.task_id,
                simulation.transaction_data,
                list(simulation.auth),
                simulation.min_resource_fee_stroops,
                context.contract,
            )
        except TemplateError as error:
            context.log.info(
                "task_skipped", task=row.task_id, reason="simulation_no_effect", error=str(error)
            )
            return Simulated(row, None, code_of("simulation_no_effect"))
        except DecodeError as error:
            context.tally.errors += 1
            context.log.warning("simulation_undecodable", task=row.task_id, error=str(error))
            return Simulated(row, None, code_of("simulation_failed"))
        return Simulated(row, Run(row, channel, sequence, simulated=True))
