"""Simulates tasks whose call has no template, or whose resolver said no, and keeps the templates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Run
from sorofast.errors import DecodeError, RpcError, RpcUnreachable, TemplateError
from sorofast.reasons import code_of
from sorofast.transactions.causes import Blame, classify
from sorofast.triggers.base import Due

__all__ = ["Simulated", "Simulator"]

ERROR_TEXT_MAX = 300
SIMULATE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """`run` is set where the run can be sent; else `reason` says why not."""

    due: Due
    run: Run | None
    reason: int = 0


class Simulator:
    """Bounded by the RPC client's own limit on requests in flight."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    async def run(self, cases: list[tuple[Due, int, int]]) -> list[Simulated]:
        """One answer for each (due, channel, sequence). Those that are not gated and make the same call share one
        simulation.
        """
        first: dict[int, tuple[Due, int, int]] = {}
        for case in cases:
            if not case[0].gated:
                first.setdefault(case[0].template, case)
        leaders = {case[0].execution for case in first.values()}
        alone = [case for case in cases if case[0].gated or case[0].execution in leaders]
        answers = {
            case[0].execution: answer
            for case, answer in zip(alone, await asyncio.gather(*map(self._one, alone)), strict=True)
        }
        results: list[Simulated] = []
        for due, channel, sequence in cases:
            answer = answers.get(due.execution)
            if answer is None:
                leader = answers[first[due.template][0].execution]
                known = self._context.signer.template(due.template) is not None
                answer = (
                    Simulated(due, Run(due, channel, sequence))
                    if known
                    else Simulated(due, None, leader.reason)
                )
            results.append(answer)
        return results

    async def _one(self, case: tuple[Due, int, int]) -> Simulated:
        due, channel, sequence = case
        context, fields = self._context, due.execution.fields()
        envelope = context.signer.simulation_envelope_of(
            due.call.operation, list(due.values), channel, sequence
        )
        try:
            # The shard's cycle waits for this, so it may not take as long as other calls may.
            async with asyncio.timeout(SIMULATE_TIMEOUT_S):
                simulation = await context.rpc.simulate(envelope)
        except (RpcUnreachable, RpcError, DecodeError, TimeoutError) as error:
            context.tally.errors += 1
            context.log.warning("simulation_unanswered", **fields, error=repr(error))
            return Simulated(due, None, code_of("read_error"))
        if simulation.error is not None and classify(simulation.error) is not Blame.THIS_TASK:
            context.tally.errors += 1
            context.log.warning("simulation_unanswered", **fields, error=simulation.error[:ERROR_TEXT_MAX])
            return Simulated(due, None, code_of("read_error"))
        if simulation.error is not None:
            # The first line is the outermost cause, where a trap of the target shows as a WasmVm error; the event
            # log after it tells of errors that were caught as well.
            cause = simulation.error.partition("\n")[0]
            reason = "target_panics" if "WasmVm" in cause else "simulation_failed"
            context.log.warning(
                "task_skipped", **fields, reason=reason, error=simulation.error[:ERROR_TEXT_MAX]
            )
            return Simulated(due, None, code_of(reason))
        try:
            context.signer.learn_call(
                due.template,
                due.call.operation,
                list(due.values),
                simulation.transaction_data,
                list(simulation.auth),
                simulation.min_resource_fee_stroops,
                must_write=due.call.must_write,
            )
        except TemplateError as error:
            context.log.info("task_skipped", **fields, reason="simulation_no_effect", error=str(error))
            return Simulated(due, None, code_of("simulation_no_effect"))
        except DecodeError as error:
            context.tally.errors += 1
            context.log.warning("simulation_undecodable", **fields, error=str(error))
            return Simulated(due, None, code_of("simulation_failed"))
        return Simulated(due, Run(due, channel, sequence, simulated=True))
