"""What a worker does for the ledger's clock: shares its lessons, reads the network's past pace, and says so when
the host's wall clock is wrong.
"""

from __future__ import annotations

from sorofast.chain.guard import HALF_LIFE_LEDGERS
from sorofast.chain.ledger import LedgerClock, Lessons
from sorofast.coordination.timing import FleetTiming
from sorofast.engine.context import WorkerContext
from sorofast.engine.relay import OutageNotes
from sorofast.errors import DecodeError, RedisUnreachable, RpcError, RpcUnreachable

__all__ = ["learn_pace", "share_timing", "watch_wall_clock"]

HEADERS = 64
# A ledger of the public network is a megabyte or two with its meta, which comes along.
HEADERS_PER_CALL = 4
HEADERS_TIMEOUT_S = 20.0
DRIFT_SAID_S = 1.0


async def share_timing(context: WorkerContext, *, headers: bool = False) -> FleetTiming | None:
    """Tells the fleet what this worker has learned about the network's pace and takes what the others have.

    None when Redis did not answer: the next ledger asks again.
    """
    lessons = context.ledgers.lessons
    try:
        known = await context.timing.share(
            context.ledgers.latest[0],
            lessons.horizon_s,
            lessons.clock_lag_s,
            half_life_ledgers=HALF_LIFE_LEDGERS,
            headers=headers,
        )
    except RedisUnreachable:
        return None
    context.ledgers.take(Lessons(known.horizon_s, known.clock_lag_s))
    return known


async def learn_pace(context: WorkerContext) -> None:
    """Reads the network's last headers, unless somebody of the fleet has, and shares what they teach.

    For the follower, beside its work; what cannot be read in time is left out.
    """
    known = await share_timing(context)
    if known is None or known.headers:
        return
    closes_ms: list[tuple[int, int]] = []
    try:
        async with context.rpc.within(HEADERS_TIMEOUT_S):
            health = await context.rpc.get_health()
            first = max(health.oldest_ledger, health.latest_ledger - HEADERS + 1)
            # The newest first: they tell most, should time run out.
            for end in range(health.latest_ledger + 1, first, -HEADERS_PER_CALL):
                start = max(first, end - HEADERS_PER_CALL)
                closes_ms = await context.rpc.close_times_ms(start, end - start) + closes_ms
    except (RpcUnreachable, RpcError, DecodeError) as error:
        context.outages.failed("headers_unread", error, read=len(closes_ms), wanted=HEADERS)
    else:
        context.outages.ok("headers_unread", "headers_read")
    if closes_ms:
        context.ledgers.learn_headers(closes_ms)
        await share_timing(context, headers=True)
        context.log.info("pace_learned", headers=len(closes_ms), guard_s=round(context.ledgers.guard_s, 3))


def watch_wall_clock(ledgers: LedgerClock, outages: OutageNotes) -> None:
    """Says that this host's wall clock is wrong: when it begins, once a minute, and when it is right again.

    Call it after each observed ledger.
    """
    wrong_s = ledgers.unexplained_drift_s
    if abs(wrong_s) <= DRIFT_SAID_S:
        outages.ok("wall_clock_wrong", back="wall_clock_right_again")
        return
    side = "ahead of" if wrong_s > 0 else "behind"
    outages.failed(
        "wall_clock_wrong",
        f"this host's clock is at least {abs(wrong_s):.1f} s {side} the network's; runs are timed by the ledgers "
        "instead, some of them one ledger later",
        ahead_s=round(wrong_s, 1),
        fix="set the clock; a time daemon such as chrony keeps it right",
    )
