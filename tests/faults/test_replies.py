"""Replies of Redis and of the node that are lost, late, repeated or out of order: one run per window all the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from helpers.faults.rpc_proxy import Call
from helpers.faults.scene import Scenario, Scene
from helpers.faults.tcp_proxy import Command

QUICK = {"network": {"timeout_s": 2.0}}
"""A node that says nothing is given up after two seconds, so that a scene stays short."""


def settles(command: Command) -> bool:
    """Whether a commit settles something: its sixth argument after the six keys is the list of settles."""
    arguments = command.arguments[2 + 6 :]  # after the script's hash, the number of keys and the keys
    return len(arguments) > 5 and bool(msgspec.msgpack.decode(arguments[5]))


async def settled(s: Scene) -> Counter[tuple[str, str]]:
    """How often each (execution, attempt) stands in the history, which only a settle that took effect writes."""
    found: Counter[tuple[str, str]] = Counter()
    async with s.valkey.client() as redis:
        keys = [key async for key in redis.scan_iter(match="*:history")]
        for key in keys:
            for _, fields in await redis.xrange(key):
                found[fields[b"execution"].decode(), fields[b"attempt"].decode()] += 1
    return found


@pytest.mark.verify
async def test_a_settle_that_is_repeated_after_a_lost_reply_changes_nothing(scenario: Scenario) -> None:
    async with scenario() as s:
        lost = s.redis.drop_reply("commit_ledger", when=settles, count=4)
        await lost.struck(4)
        twice = s.redis.repeat("commit_ledger", when=settles, count=8)
        await twice.struck(8)
        report = await s.judged(ledgers=8, bound_ledgers=6)
        history = await settled(s)
    assert history, "nothing was settled"
    assert set(history.values()) == {1}, history
    assert len(history) == report.executed, report.summary()


@pytest.mark.verify
async def test_scripts_that_redis_forgot_are_loaded_again_and_applied_once(scenario: Scenario) -> None:
    async with scenario() as s:
        loads = s.redis.commands["SCRIPT"]
        for _ in range(6):
            await s.valkey.forget_scripts()
            await s.pass_ledgers(1)
        assert s.redis.commands["SCRIPT"] >= loads + 6
        report = await s.judged(ledgers=8, bound_ledgers=6)
        history = await settled(s)
    assert set(history.values()) == {1}, history
    assert len(history) == report.executed, report.summary()


@pytest.mark.verify
async def test_a_stream_told_tenfold_and_in_disorder_leads_to_one_run_per_window(scenario: Scenario) -> None:
    def tenfold(_: Command, reply: Any) -> Any:
        if not isinstance(reply, list):
            return reply
        return [[name, [entry for entry in entries for _ in range(10)]] for name, entries in reply]

    def backwards(_: Command, reply: Any) -> Any:
        return [[name, entries[::-1]] for name, entries in reply] if isinstance(reply, list) else reply

    async with scenario() as s:
        many = s.redis.rewrite("XREAD", tenfold, count=6)
        await many.struck(6)
        late = s.redis.delay("XREAD", seconds=2.5, count=4)
        mixed = s.redis.rewrite("XREAD", backwards, count=4)
        await late.struck(4)
        await mixed.struck(4)
        report = await s.judged(ledgers=12)
    assert report.executed >= 24, report.summary()


@pytest.mark.verify
async def test_requests_that_reach_the_node_ten_times_lead_to_one_run_per_window(scenario: Scenario) -> None:
    async with scenario() as s:
        sends = s.rpc.repeat("sendTransaction", times=10)
        reads = s.rpc.repeat("getEvents", times=3)
        await s.pass_ledgers(8)
        assert sends.hits > 10
        assert reads.hits > 3
        report = await s.judged(ledgers=9)
    assert report.executed >= 24, report.summary()
    assert (report.early, report.failed) == (0, 0), report.summary()


@pytest.mark.verify
async def test_sends_whose_answers_never_come_are_followed_by_the_same_bytes(scenario: Scenario) -> None:
    async with scenario(settings=QUICK) as s:
        unheard = s.rpc.black_hole("sendTransaction", count=6)
        await unheard.struck(6)
        never_arrived = s.rpc.black_hole("sendTransaction", count=6, carried_out=False)
        await never_arrived.struck(6)
        report = await s.judged(ledgers=12)
    swallowed = {call.sent.hash for call in never_arrived.struck_by if call.sent}
    assert swallowed & {entry.hash for entry in s.log.entries if entry.forwarded}, report.summary()


@pytest.mark.verify
async def test_a_node_that_says_try_again_later_gets_the_same_bytes_a_few_times_more(
    scenario: Scenario,
) -> None:
    def later(call: Call) -> dict[str, Any]:
        sent = call.sent
        latest = sent.latest_ledger if sent else 0
        return {
            "status": "TRY_AGAIN_LATER",
            "hash": sent.hash if sent else "",
            "latestLedger": latest,
            "latestLedgerCloseTime": "0",
        }

    async with scenario() as s:
        once = s.rpc.answer("sendTransaction", result=later, when=first_time())
        await s.pass_ledgers(5)
        assert once.hits > 5
        once.lift()
        await s.pass_ledgers(2)
        began = len(s.log.entries)
        always = s.rpc.answer("sendTransaction", result=later)
        await s.pass_ledgers(10)
        assert always.hits > 10
        often = Counter(entry.hash for entry in s.log.entries[began:])
        # An envelope lives for six ledgers and is offered once in each, not in a loop.
        assert max(often.values()) <= 8, often
        report = await s.judged(ledgers=12)
    assert report.executed >= 24, report.summary()


async def test_an_envelope_that_landed_unheard_is_looked_up_when_its_sequence_is_refused(
    scenario: Scenario,
) -> None:
    """The answers to the sends are lost, and all else that the node says is twelve ledgers old: so old that its queue
    has forgotten what landed and refuses the same bytes for their sequence, while reads do not show the run yet.
    """
    patient = {"engine": {"envelope_ledgers": 24}}
    async with scenario(settings=QUICK | patient, ledger_close="500ms", envelope_ledgers=24) as s:
        lost = s.rpc.drop_reply("sendTransaction")
        await s.lag(12, when=lambda call: call.method != "sendTransaction")
        await lost.struck(8)
        await s.until(
            lambda: any(entry.code == "txBAD_SEQ" for entry in s.log.entries),
            "a resend is answered txBAD_SEQ",
        )
        report = await s.judged(ledgers=20, bound_ledgers=19, early_max=None)
    refused = {entry.hash for entry in s.log.entries if entry.code == "txBAD_SEQ"}
    assert refused & {run.hash for run in report.runs}, "none of them had landed"


@pytest.mark.verify
async def test_an_envelope_is_built_anew_only_once_a_ledger_has_closed_at_its_bound(
    scenario: Scenario,
) -> None:
    async with scenario() as s:
        dropped = s.rpc.drop_request("sendTransaction")
        await dropped.struck(4)
        await s.pass_ledgers(9)
        report = await s.judged(ledgers=12)
    by_sequence: dict[tuple[str, int], set[str]] = {}
    for entry in s.log.entries:
        by_sequence.setdefault((entry.channel, entry.sequence), set()).add(entry.hash)
    rebuilt = [hashes for hashes in by_sequence.values() if len(hashes) > 1]
    assert rebuilt, f"nothing expired: {report.summary()}"


@pytest.mark.verify
async def test_an_envelope_released_in_its_last_ledger_runs_once(scenario: Scenario) -> None:
    """What was kept from the node arrives when it may land in one ledger more, or in none."""

    def still_young(call: Call) -> bool:
        sent = call.sent
        return sent is not None and sent.max_ledger is not None and sent.latest_ledger < sent.max_ledger - 2

    async with scenario() as s:
        held = s.rpc.drop_request("sendTransaction", when=still_young)
        await held.struck(6)
        await s.pass_ledgers(10)
        report = await s.judged(ledgers=12)
    late = [
        entry
        for entry in s.log.entries
        if entry.forwarded and entry.max_ledger is not None and entry.latest_ledger >= entry.max_ledger - 2
    ]
    assert late, f"nothing was released in its last ledger: {report.summary()}"
    landed = {entry.hash for entry in late} & {run.hash for run in report.runs}
    assert landed, f"nothing of it landed: {report.summary()}"


def first_time() -> Any:
    """True for every envelope that has not been offered before."""
    seen: set[str] = set()

    def unseen(call: Call) -> bool:
        envelope = str(call.params.get("transaction"))
        new = envelope not in seen
        seen.add(envelope)
        return new

    return unseen
