"""From a plan to envelopes that may be sent: building and signing them, and the commit that puts them into the log."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sorofast.coordination.leases import Term
from sorofast.coordination.shard import CommitReply
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Run
from sorofast.errors import DecodeError, RedisUnreachable
from sorofast.executions.key import Execution, Subject
from sorofast.executions.records import Settle, WalRecord, fits
from sorofast.failpoints import failpoint_sync
from sorofast.transactions.fees import fee_policy
from sorofast.triggers.base import Due

__all__ = ["Built", "build", "commit"]

COMMIT_TRIES_MAX = 4
COMMIT_PAUSE_S = 0.1
MAX_TIME_EXTRA_S = 30


@dataclass(slots=True)
class Built:
    """Records whose envelopes are signed; what would cost more than the fee cap, with its fee; what a member of an
    older version could not read; what lost its template meanwhile.
    """

    records: list[WalRecord] = field(default_factory=list)
    above_cap: list[tuple[Due, int]] = field(default_factory=list)
    unreadable: list[Due] = field(default_factory=list)
    without_template: list[Due] = field(default_factory=list)


def build(
    context: WorkerContext, runs: Sequence[Run], epoch: int, attempt_of: Callable[[Execution], int]
) -> Built:
    """Builds and signs an envelope for each run. Nothing exists outside this process yet."""
    config, (ledger, close_s) = context.config, context.ledgers.latest
    max_ledger = ledger + 1 + config.engine.envelope_ledgers
    # Admission wants the time bound two closes ahead, and a slow ledger must not end an envelope before its ledger
    # bound.
    lifetime_s = (config.engine.envelope_ledgers + 3) * context.ledgers.target_s
    max_time_s = math.ceil(close_s + lifetime_s) + MAX_TIME_EXTRA_S
    bid = fee_policy(config.fees).bid()
    built = Built()
    # Whoever is suspected of killing workers is built by itself, so that its death would name it alone.
    for part in context.suspects.parts(runs, _subject_of):
        bounds = [_bounds(run, max_ledger, max_time_s) for run in part]
        items = [
            (run.due.template, run.due.values, run.channel, run.sequence, *of_run)
            for run, of_run in zip(part, bounds, strict=True)
        ]
        try:
            with context.suspects.hold(_subject_of(run) for run in part):
                failpoint_sync("build.signing", task=(run.due.execution.id for run in part))
                signed = context.signer.build(items, bid.inclusion_fee_stroops)
        except DecodeError as error:
            # A template was forgotten between plan and build.
            context.log.warning("build_failed", error=str(error))
            built.without_template += [run.due for run in part]
            continue
        for run, of_run, (tx_hash, envelope, fee_stroops) in zip(part, bounds, signed, strict=True):
            before = run.before
            if not bid.allows(fee_stroops):
                built.above_cap.append((run.due, fee_stroops))
                continue
            context.templates.built(run.due.template)
            execution = run.due.execution
            record = WalRecord(
                source=execution.source,
                id=execution.id,
                window=execution.window,
                attempt=attempt_of(execution) if before is None else before.attempt + 1,
                channel=run.channel,
                sequence=run.sequence,
                max_ledger=of_run[0],
                max_time_s=of_run[1],
                hash=tx_hash,
                envelope=envelope,
                # From the ledger after that on one of its hashes may have landed.
                claimed_ledger=ledger if before is None else before.claimed_ledger,
                epoch=epoch,
                template=run.due.template,
                due_s=run.due.due_s,
                operation=run.due.call.described,
                proof=run.due.call.proof,
                fee_stroops=fee_stroops,
                other_hashes=() if before is None else (*before.other_hashes, before.hash),
            )
            if fits(record, context.store.schema):
                built.records.append(record)
            else:
                built.unreadable.append(run.due)
    return built


def _bounds(run: Run, max_ledger: int, max_time_s: int) -> tuple[int, int]:
    """(ledger bound, time bound). What takes the place of a refused envelope is over when that is, and differs from it
    just so much that no queue takes it for the same.
    """
    before = run.before
    return (max_ledger, max_time_s) if before is None else (before.max_ledger, before.max_time_s + 1)


def _subject_of(run: Run) -> Subject:
    return run.due.execution.subject


async def commit(
    context: WorkerContext,
    term: Term,
    version: int,
    settles: Sequence[Settle],
    claims: Sequence[WalRecord],
    drop: Sequence[str],
) -> CommitReply:
    """Settles, claims and renews the lease in one script, asked again while the lease is trusted.

    Raises LeaseLost and ShardRegressed at once, RedisUnreachable when asking again did not help.
    """
    for _ in range(COMMIT_TRIES_MAX - 1):
        try:
            return await context.store.commit(term, version, settles, claims, drop)
        except RedisUnreachable:
            if not term.trusted(context.clock.monotonic()):
                raise
        await asyncio.sleep(COMMIT_PAUSE_S)
    return await context.store.commit(term, version, settles, claims, drop)
