"""A node that does not answer what became of a transaction holds up nothing but that transaction's end."""

from __future__ import annotations

from typing import Any

import pytest
from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr

from helpers.contract_calls import seeded
from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario

FAILING = 1


def short_of_instructions(_: Call, answer: Any) -> Any:
    """A simulation that says that the run takes far less than it does, so that it fails once it is included."""
    text = answer["result"].get("transactionData")
    if text:
        data = stellar_xdr.SorobanTransactionData.from_xdr(text)
        data.resources.instructions = stellar_xdr.Uint32(10_000)
        answer["result"]["transactionData"] = data.to_xdr()
    return answer


@pytest.mark.verify
@pytest.mark.timeout(120)
async def test_runs_go_out_in_time_while_a_lookup_hangs(scenario: Scenario) -> None:
    def reshape(task_id: int) -> dict[str, Any]:
        if task_id != FAILING:
            return {}
        # Of a kind of its own.
        return {
            "args": scval.to_vec([scval.to_uint64(99)]),
            "function": scval.to_symbol("bump"),
            "target": scval.to_address(seeded("target 0")),
            "resolver": scval.to_void(),
        }

    async with scenario(shards=1, workers=1, tasks=12, reshape=reshape, lead_s=8.0, start=False) as s:
        s.rpc.rewrite(
            "simulateTransaction",
            short_of_instructions,
            when=lambda call: s.log.read(call.params["transaction"], "", 0).task_id == FAILING,
        )
        hung = s.rpc.black_hole("getTransaction")
        await s.start_run()
        await hung.struck(timeout_s=60)
        begun = await s.latest_ledger()
        await s.pass_ledgers(12)
        windows = [run for run in s.oracle.runs() if run.ledger > begun + 1]
        judged = await s.oracle.look(await s.latest_ledger() - 1)
        late = judged.late[-len(windows) :]
        assert len(windows) >= 8, judged.summary()
        assert max(late) <= 3, judged.summary()
        report = await s.judged(ledgers=12)
    assert report.failed >= 1
