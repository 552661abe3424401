"""Answers that are in form and not true: one of them costs a ledger or two, and nothing learned from it stays."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from stellar_sdk import scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import SdkError

from helpers.contract_calls import seeded
from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario
from helpers.operator import sorofast

pytestmark = [pytest.mark.verify, pytest.mark.timeout(180)]

LIES = 6
LEFT_OUT = 5
"""The task that answers leave out."""
NOWHERE = ("latestLedger", "latestLedgerCloseTime", "oldestLedger", "oldestLedgerCloseTime")
"""What an answer to getTransaction still says where it finds nothing."""


def naming_fee(answer: Any, amount: int) -> Any:
    """A simulation whose run takes so much from the task's gas."""
    result = answer["result"]
    for at, text in enumerate(result.get("events") or []):
        event = stellar_xdr.DiagnosticEvent.from_xdr(text)
        body = event.event.body.v0
        if body is None or body.topics[0].sym is None or body.topics[0].sym.sc_symbol != b"KeeperPaid":
            continue
        body.data.vec.sc_vec = [
            scval.to_int128(amount) if one.i128 is not None else one for one in body.data.vec.sc_vec
        ]
        result["events"][at] = event.to_xdr()
    return answer


def short_of_instructions(answer: Any) -> Any:
    """A simulation that says that the run takes far less than it does, so that it fails once it is included."""
    text = answer["result"].get("transactionData")
    if text:
        data = stellar_xdr.SorobanTransactionData.from_xdr(text)
        data.resources.instructions = stellar_xdr.Uint32(10_000)
        answer["result"]["transactionData"] = data.to_xdr()
    return answer


def name_of(key: str) -> tuple[str, int | None]:
    """(first symbol, number) of the registry's entry behind a LedgerKey, as ("Task", 5); ("", None) for others."""
    try:
        data = stellar_xdr.LedgerKey.from_xdr(key).contract_data
    except (SdkError, ValueError):
        return "", None
    if data is None or data.key.vec is None or data.key.vec.sc_vec[0].sym is None:
        return "", None
    first, *rest = data.key.vec.sc_vec
    number = rest[0].u64.uint64 if rest and rest[0].u64 is not None else None
    return first.sym.sc_symbol.decode(), number


def leaving_out(*names: tuple[str, int | None]) -> dict[str, Any]:
    """For `rewrite("getLedgerEntries", …)`: answers to calls that ask for these entries, without them."""

    def asks(call: Call) -> bool:
        return any(name_of(key) in names for key in call.params.get("keys", ()))

    def cut(_: Call, answer: Any) -> Any:
        entries = answer["result"].get("entries") or []
        answer["result"]["entries"] = [entry for entry in entries if name_of(entry["key"]) not in names]
        return answer

    return {"rewrite": cut, "when": asks}


@pytest.mark.parametrize(
    ("amount", "ledgers"), [(2**100, 8), (-5, 8), (10**15, 40)], ids=["huge", "negative", "dear"]
)
async def test_a_fee_that_was_misheard_keeps_no_task_from_running_for_good(
    scenario: Scenario, amount: int, ledgers: int
) -> None:
    async with scenario(start=False, lead_s=8.0) as s:
        lie = s.rpc.rewrite("simulateTransaction", lambda _, answer: naming_fee(answer, amount), count=LIES)
        await s.start_run()
        await lie.struck(LIES)
        report = await s.judged(ledgers=ledgers + 6, bound_ledgers=ledgers)
        assert s.processes.events("worker_died") == []
    assert report.executed >= 24, report.summary()


async def test_a_run_that_once_seemed_to_cost_more_than_the_cap_is_simulated_again(
    scenario: Scenario,
) -> None:
    async with scenario(start=False, lead_s=8.0) as s:
        lie = s.rpc.patch("simulateTransaction", {"result": {"minResourceFee": "4000000000"}}, count=LIES)
        await s.start_run()
        await lie.struck(LIES)
        report = await s.judged(ledgers=14)
    assert report.executed >= 24, report.summary()


async def test_a_task_that_answers_leave_out_while_it_runs_goes_on(scenario: Scenario) -> None:
    async with scenario() as s:
        lie = s.rpc.rewrite("getLedgerEntries", **leaving_out(("Task", LEFT_OUT)), count=2)
        await lie.struck(2)
        report = await s.judged(ledgers=24)
    assert len(report.runs_of([LEFT_OUT])) >= 2


async def test_what_an_answer_leaves_out_when_a_shard_is_loaded_is_asked_for_again(
    scenario: Scenario,
) -> None:
    async with scenario(start=False, lead_s=8.0) as s:
        task = s.rpc.rewrite("getLedgerEntries", **leaving_out(("Task", LEFT_OUT)), count=1)
        count = s.rpc.rewrite("getLedgerEntries", **leaving_out(("Counter", None)), count=1)
        await s.start_run()
        await task.struck()
        await count.struck()
        report = await s.judged(ledgers=20)
    assert report.runs_of([LEFT_OUT])


async def test_a_failure_that_a_node_does_not_find_at_first_is_counted_all_the_same(
    scenario: Scenario,
) -> None:
    """Every hash is answered NOT_FOUND once, by a node that claims to hold its ledger."""

    def reshape(task_id: int) -> dict[str, Any]:
        return {
            "target": scval.to_address(seeded("target 0")),
            "function": scval.to_symbol("increment"),
            "args": scval.to_vec([]),
            "resolver": scval.to_void(),
        }

    def unfound(_: Call, answer: Any) -> Any:
        kept = {name: answer["result"][name] for name in NOWHERE}
        return answer | {"result": kept | {"status": "NOT_FOUND"}}

    asked: Counter[str] = Counter()

    def first(call: Call) -> bool:
        asked[call.params["hash"]] += 1
        return asked[call.params["hash"]] == 1

    async with scenario(tasks=2, reshape=reshape, start=False, lead_s=8.0, shards=1, workers=1) as s:
        s.rpc.rewrite("simulateTransaction", lambda _, answer: short_of_instructions(answer))
        lie = s.rpc.rewrite("getTransaction", unfound, when=first)
        await s.start_run()
        await s.pass_until_due()
        await s.until(
            lambda: len(s.processes.events("run_failed")) == 6, "three failures of each are told", 60
        )
        await s.pass_ledgers(6)
        assert lie.hits >= 6
        assert s.processes.events("channels_quarantined") == []
        s.rpc.rules.clear()
        done = await sorofast("dead", "retry", "--all", "-c", str(s.fleet.config_path))
        assert done.code == 0, done.err
        report = await s.judged(ledgers=12)
    assert report.failed == 2 * 3


@pytest.mark.parametrize("code", ["txINSUFFICIENT_FEE", "txINTERNAL_ERROR"])
async def test_a_channel_on_which_nothing_is_taken_delays_no_task_twice(
    scenario: Scenario, code: str
) -> None:
    """What has waited longest gets the first channel, and does not get the bad one again."""
    result = stellar_xdr.TransactionResult(
        stellar_xdr.Int64(17_300),
        stellar_xdr.TransactionResultResult(stellar_xdr.TransactionResultCode[code]),
        stellar_xdr.TransactionResultExt(0),
    )
    refusal = {"status": "ERROR", "hash": "00" * 32, "latestLedger": 1, "errorResultXdr": result.to_xdr()}
    async with scenario(shards=1, workers=1) as s:
        await s.pass_ledgers(3)
        bad = s.log.entries[0].channel
        lie = s.rpc.answer(
            "sendTransaction",
            result=refusal | {"latestLedgerCloseTime": "1"},
            when=lambda call: call.sent is not None and call.sent.channel == bad,
        )
        s.oracle.calm(await s.latest_ledger() + 5)
        await s.pass_ledgers(25)
        # What is built again after a refusal keeps its sequence and its bound: with it the task's delay is over.
        delays = {
            (call.sent.task_id, call.sent.max_ledger) for call in lie.struck_by if call.sent is not None
        }
        await s.judged(bent=False, bound_ledgers=12)
    assert lie.hits
    assert max(Counter(task_id for task_id, _ in delays).values()) <= 2, delays


def ahead(_: Call, answer: Any) -> Any:
    """The same answer as of 50 ledgers later."""
    answer["result"]["latestLedger"] += 50
    return answer


async def test_a_node_of_another_network_among_the_servers_stops_nothing(scenario: Scenario) -> None:
    """Every second answer is of a ledger that is far ahead, whatever is asked for."""
    async with scenario() as s:
        for method in ("getHealth", "getEvents", "getLedgerEntries"):
            turns = itertools.cycle((True, False))
            s.rpc.rewrite(method, ahead, when=lambda _, turns=turns: next(turns))
        await s.pass_ledgers(12)
        report = await s.judged(ledgers=9)
        assert len(s.processes.events("ledger_leap")) == 1
    assert report.executed >= 30, report.summary()


async def test_reads_that_claim_to_be_of_a_later_ledger_end_no_envelope_before_its_time(
    scenario: Scenario,
) -> None:
    async with scenario() as s:
        await s.admin.set_fault_plan({"ledger": [{"kind": "empty", "ledgers": 3, "after_s": 2.0}]})
        s.rpc.rewrite("getLedgerEntries", ahead)
        await s.pass_ledgers(9)
        report = await s.judged(ledgers=9)
    assert report.executed >= 30, report.summary()


async def test_close_times_that_no_clock_explains_send_nothing_early(scenario: Scenario) -> None:
    def an_hour_on(_: Call, answer: Any) -> Any:
        answer["result"]["latestLedgerCloseTime"] = str(
            int(answer["result"]["latestLedgerCloseTime"]) + 3_600
        )
        return answer

    async with scenario(intervals_s=(10, 20)) as s:
        await s.pass_ledgers(3)
        turns = itertools.cycle((True, False))
        lie = s.rpc.rewrite("getHealth", an_hour_on, when=lambda _: next(turns))
        await s.pass_ledgers(6)
        assert lie.hits >= 3
        await s.judged(ledgers=12, early_max=0)


async def test_a_node_that_accepts_everything_and_passes_nothing_on_is_told_once(scenario: Scenario) -> None:
    accepted = {"status": "PENDING", "hash": "00" * 32, "latestLedger": 1, "latestLedgerCloseTime": "1"}
    async with scenario(workers=1) as s:
        await s.pass_ledgers(2)
        s.rpc.answer("sendTransaction", result=accepted)
        said = await s.processes.logged("nothing_included")
        assert "cut off from its network" in str(said["reason"])
        await s.pass_ledgers(8)
        await s.calm()
        await s.processes.logged("included_again")
        report = await s.judged(ledgers=12)
        assert len(s.processes.events("nothing_included")) == 1
    assert report.executed >= 24, report.summary()


async def test_a_task_whose_run_never_does_anything_keeps_none_of_its_siblings_from_running(
    scenario: Scenario,
) -> None:
    """The first to be simulated is the one of which a simulation says that it writes nothing."""

    def reshape(task_id: int) -> dict[str, Any]:
        return {
            "target": scval.to_address(seeded("target 0")),
            "function": scval.to_symbol("increment"),
            "args": scval.to_vec([]),
            "resolver": scval.to_void(),
            "interval": scval.to_uint64(3_600),
            "last_run": scval.to_uint64(task_id),
        }

    def writing_nothing(_: Call, answer: Any) -> Any:
        data = stellar_xdr.SorobanTransactionData.from_xdr(answer["result"]["transactionData"])
        data.resources.footprint.read_write = []
        answer["result"]["transactionData"] = data.to_xdr()
        return answer

    async with scenario(tasks=9, reshape=reshape, workers=1, shards=1, lead_s=8.0, start=False) as s:
        lie = s.rpc.rewrite(
            "simulateTransaction",
            writing_nothing,
            when=lambda call: s.log.read(call.params["transaction"], "", 0).task_id == 1,
        )
        run = await s.start_run()
        await run.ready()
        await lie.struck()
        await s.pass_ledgers(14)
        ran = {run.task_id for run in s.oracle.runs()}
        assert ran >= set(range(2, 10)), ran
        await s.judged(ledgers=12)
