"""Bytes that one node refuses and another one takes: nobody is paid for twice, and everything ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from stellar_sdk import xdr as stellar_xdr

from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import POLL_S, Scenario, Scene

TASKS = 24
LATER_LEDGERS = 2
"""So many ledgers after the refusal the other node passes the bytes on: late enough for whoever believes the refusal to
have built another envelope.
"""
REFUSED_MAX = 12
TAKEN_MIN = 3


def refusal(code: str, fee_stroops: int = 0) -> dict[str, object]:
    """A node's answer to a transaction that it refuses with that code, or `TRY_AGAIN_LATER`."""
    answer = {"hash": "00" * 32, "latestLedger": 1, "latestLedgerCloseTime": "1"}
    if code == "TRY_AGAIN_LATER":
        return answer | {"status": code}
    result = stellar_xdr.TransactionResultResult(stellar_xdr.TransactionResultCode[code])
    if code == "txFAILED":
        # The operation's source, the keeper, may not sign.
        operation = stellar_xdr.OperationResult(stellar_xdr.OperationResultCode.opBAD_AUTH)
        result = stellar_xdr.TransactionResultResult(result.code, results=[operation])
    whole = stellar_xdr.TransactionResult(
        stellar_xdr.Int64(fee_stroops), result, stellar_xdr.TransactionResultExt(0)
    )
    return answer | {"status": "ERROR", "errorResultXdr": whole.to_xdr()}


@contextlib.asynccontextmanager
async def taken_elsewhere(s: Scene, code: str) -> AsyncIterator[set[str]]:
    """One node refuses what is sent, and another one takes the same bytes; the hashes of what was handed to it."""
    taken: set[str] = set()
    waiting: list[tuple[int, Call]] = []

    def refuse(call: Call) -> dict[str, object]:
        assert call.sent is not None
        if call.sent.hash not in taken:
            taken.add(call.sent.hash)
            waiting.append((call.sent.latest_ledger + LATER_LEDGERS, call))
        return refusal(code, 17_300)

    url, headers = s.network.urls.rpc_url, {"Content-Type": "application/json"}

    async def deliver() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                ledger = await s.latest_ledger()
                due = [call for at, call in waiting if at <= ledger]
                waiting[:] = [one for one in waiting if one[0] > ledger]
                for call in due:
                    async with session.post(url, data=call.body, headers=headers) as answer:
                        assert answer.status == 200, await answer.text()
                await asyncio.sleep(POLL_S)

    rule = s.rpc.answer("sendTransaction", result=refuse, count=REFUSED_MAX)
    delivering = asyncio.create_task(deliver())
    try:
        await rule.struck(TAKEN_MIN)
        yield taken
        await s.until(lambda: not waiting, "everything has been handed on")
    finally:
        rule.lift()
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering


async def paid_once(scenario: Any, code: str) -> None:
    async with scenario(tasks=TASKS, workers=1) as s:
        await s.pass_ledgers(2)
        async with taken_elsewhere(s, code) as taken:
            await s.pass_ledgers(8)
        # Double payments, and two live envelopes of one execution, are what it raises for.
        report = await s.judged(ledgers=14, bound_ledgers=12)
        history = {one.hash for one in s.oracle.history.included}
    assert taken & history, "nothing that was refused has landed"
    assert taken & {run.hash for run in report.runs}, report.summary()
    assert (len(report.verdicts.duplicates), report.failed) == (0, 0), report.summary()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "code",
    [
        "txINSUFFICIENT_FEE",
        pytest.param("txSOROBAN_INVALID", marks=pytest.mark.verify),
        pytest.param("txINSUFFICIENT_BALANCE", marks=pytest.mark.verify),
    ],
)
async def test_what_one_node_refuses_and_another_one_takes_is_paid_for_once(
    scenario: Scenario, code: str
) -> None:
    await paid_once(scenario, code)


@pytest.mark.verify
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "code",
    ["txBAD_AUTH", "txNO_ACCOUNT", "txMALFORMED", "txFAILED", "txBAD_SEQ", "txTOO_LATE", "TRY_AGAIN_LATER"],
)
async def test_whatever_a_refusal_says_what_another_node_takes_is_paid_for_once(
    scenario: Scenario, code: str
) -> None:
    await paid_once(scenario, code)
