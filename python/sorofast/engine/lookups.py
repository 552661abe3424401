"""Asks what became of an envelope whose channel alone does not tell, so that every one of them ends.

A node that still holds the ledgers in question decides. Past its retention nobody can be asked any more: then the
chain's present state does, as the execution's source reads it, or the record ends unknown. Both are said.
"""

from __future__ import annotations

from dataclasses import replace

from sorofast import _core
from sorofast.chain.models import Lookup
from sorofast.engine.context import WorkerContext
from sorofast.engine.flight import Flight
from sorofast.errors import DecodeError, RpcError, RpcUnreachable
from sorofast.executions.outcome import ChannelView, Ended, Failure, FailureClass, Outcome
from sorofast.executions.records import Proof
from sorofast.failpoints import failpoint
from sorofast.transactions.failures import failure_of
from sorofast.transactions.settle import Found, Verdict, judge_lookup
from sorofast.triggers.base import TriggerSource

__all__ = ["look_up"]

LOOK_UP_TIMEOUT_S = 3.0
# Behind one address there may be several nodes, and one that has just started remembers little: another may know.
# And one that lacks a ledger which it says it holds does not know what was in it: not finding proves little by itself.
ABSENT_MIN = 3
FORGOTTEN_MIN = 3
FORGOTTEN_MAX = 10
# A node whose getTransaction fails while its other answers come is not waited for for ever.
UNANSWERED_MAX = 20
UNTOLD = "the RPC no longer holds the ledgers that can have included it"


async def look_up(
    context: WorkerContext,
    source: TriggerSource,
    flight: Flight,
    verdict: Verdict,
    view: ChannelView | None,
) -> Ended | None:
    """How the envelope ended; None while that is to be asked again."""
    record = flight.record
    try:
        async with context.rpc.within(LOOK_UP_TIMEOUT_S):
            landed, lookup = await _lookup_any(context, record.hashes)
    except (RpcUnreachable, RpcError, DecodeError) as error:
        context.tally.errors += 1
        flight.unanswered += 1
        context.outages.failed("lookup_unanswered", error, **record.key.fields())
        if flight.unanswered < UNANSWERED_MAX:
            return None
        return _by_the_chain(source, flight, verdict, view, patience=False)
    context.outages.ok("lookup_unanswered", "lookups_answered_again")
    await failpoint("settle.looked_up")
    foreign = verdict is not Verdict.LOOK_UP
    match judge_lookup(record, verdict, view, lookup):
        case Found.BEHIND:
            return None
        case Found.FORGOTTEN:
            flight.forgotten += 1
            if flight.forgotten < FORGOTTEN_MIN:
                return None
            return _by_the_chain(source, flight, verdict, view, patience=flight.forgotten < FORGOTTEN_MAX)
        case Found.ABSENT:
            flight.absent += 1
            if flight.absent < ABSENT_MIN:
                return None
            if verdict is Verdict.LOST:
                detail = "its channel's account is not there, and no ledger included it"
            else:
                detail = "another transaction used its sequence, and no ledger included it"
            return Ended(record, Outcome.EXPIRED, view, detail, foreign=True)
        case found:
            case = await _included(context, source, flight, found, lookup, view, foreign=foreign)
            return replace(case, landed=landed)


async def _lookup_any(context: WorkerContext, hashes: tuple[bytes, ...]) -> tuple[bytes, Lookup]:
    """The answer for the first of the hashes that a node knows, else for the last; with that hash."""
    for number, tx_hash in enumerate(hashes, start=1):
        lookup = await context.rpc.get_transaction(tx_hash.hex())
        if lookup.status != "NOT_FOUND" or number == len(hashes):
            return tx_hash, lookup
    raise RpcUnreachable("there is no hash to ask for")


async def _included(
    context: WorkerContext,
    source: TriggerSource,
    flight: Flight,
    found: Found,
    lookup: Lookup,
    view: ChannelView | None,
    *,
    foreign: bool,
) -> Ended:
    record = flight.record
    codes, fee_stroops = _result(lookup)
    ledger, time_s = lookup.ledger or 0, lookup.close_time_s or 0
    failure: Failure | None = None
    if found is Found.FAILED:
        outcome = Outcome.FAILED
        contract = record.operation.contract or context.contract
        failure = failure_of(codes, lookup.diagnostics, contract, await context.registry_words.known())
    elif record.proof is Proof.SUCCESS:
        outcome = Outcome.EXECUTED
    else:
        outcome = source.effect(record, time_s or None, lookup.meta_xdr) or Outcome.NO_EFFECT
    case = Ended(
        record, outcome, view, failure.words if failure is not None else "",
        foreign=foreign, ledger=ledger, time_s=time_s, fee_stroops=fee_stroops, failure=failure, codes="/".join(codes),
    )  # fmt: skip
    return case if outcome is not Outcome.NO_EFFECT else _without_effect(case)


def _without_effect(case: Ended) -> Ended:
    """With the reason why it did nothing."""
    if case.early:
        failure = Failure(FailureClass.EARLY, "Early", "it was included before the task was due")
    else:
        words = case.detail or "the call succeeded and did nothing: the resolver said no, or it was not due"
        failure = Failure(FailureClass.NO_EFFECT, "NoEffect", words)
    return replace(case, detail=failure.words, failure=failure)


def _by_the_chain(
    source: TriggerSource, flight: Flight, verdict: Verdict, view: ChannelView | None, *, patience: bool
) -> Ended | None:
    """What the chain's present state shows of an envelope that nobody remembers."""
    record, foreign = flight.record, verdict is not Verdict.LOOK_UP
    at_s = view.sequence_time_s if view is not None and not foreign else None
    outcome = source.effect(record, at_s, None)
    if outcome is None and patience:
        return None
    told = {
        Outcome.EXECUTED: "the task's last run is the second in which its sequence was used",
        Outcome.SUPERSEDED: "the task has run in another second",
        Outcome.NO_EFFECT: "the task has not run since",
    }
    if outcome is None or outcome not in told:
        outcome = Outcome.UNKNOWN
    detail = f"{UNTOLD}; {told.get(outcome, 'whether it ran cannot be told')}"
    case = Ended(record, outcome, view, detail, foreign=foreign)
    return _without_effect(case) if outcome is Outcome.NO_EFFECT else case


def _result(lookup: Lookup) -> tuple[tuple[str, ...], int | None]:
    """(transaction's code, operation's code if there is one) and the fee charged."""
    if lookup.result_xdr is None:
        return (), None
    try:
        fee_stroops, code, operation = _core.decode_result(lookup.result_xdr)
    except DecodeError:
        # What became of it is known all the same.
        return (), None
    return (code,) if operation is None else (code, operation), fee_stroops
