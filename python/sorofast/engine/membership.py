"""Which shards this worker holds, and whether it follows the chain.

Each worker computes the same division of the shards from who is alive, lets go of what is not its own, and
takes what is free. A shard is worked on only once it is loaded; until then its lease is held and nothing
else.

Two loops. One keeps alive what is held: heartbeat and renewals, which nothing slow may hold up, since a
lease that runs out costs a takeover. The other changes what is held: it loads, hands over and stores
snapshots, and may wait for a shard's cycle.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable

from sorofast import __version__
from sorofast.coordination.leases import RENEW_EVERY_S, Term
from sorofast.coordination.members import fair_share, schema_for_all
from sorofast.coordination.streams import LedgerEntry, ledger_of, stream_id
from sorofast.engine.context import WorkerContext
from sorofast.engine.follower import Follower
from sorofast.engine.loading import load_shard
from sorofast.engine.loops import cancel_and_wait
from sorofast.engine.report import Loaded, Reporter
from sorofast.engine.shard import ShardRunner
from sorofast.errors import (
    DecodeError,
    FleetMismatch,
    LeaseLost,
    RedisUnreachable,
    RedisUnreadable,
    RpcError,
    RpcUnreachable,
    ShardRegressed,
)
from sorofast.executions.records import RECORD_SCHEMA

__all__ = ["Membership"]

EAGER_TICK_S = 0.2
CALM_TICK_S = 1.0
SNAPSHOT_EVERY_S = 60.0
LOADS_MAX = 4
LOAD_PAUSE_MIN_S = 0.5
LOAD_PAUSE_MAX_S = 15.0
QUARANTINE_REASONS_MAX = 16
# What a member says of itself has a bound in Redis.
OUTAGES_SHOWN_MAX = 16
OUTAGE_REASON_CHARS_MAX = 200


class Membership:
    """`runners` are the shards that are owned and loaded. Whoever takes in a ledger entry holds `ingesting`
    meanwhile.

    Once `stop` is set nothing new is taken.
    """

    def __init__(
        self,
        context: WorkerContext,
        reporter: Reporter,
        position: Callable[[], LedgerEntry | None],
        stop: asyncio.Event,
    ) -> None:
        self.runners: dict[int, ShardRunner] = {}
        self.ingesting = asyncio.Lock()
        self._context = context
        self._reporter = reporter
        self._position = position
        self._stop = stop
        self._members: dict[str, dict[str, object]] = {}
        self._terms: dict[int, Term] = {}
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(LOADS_MAX)
        self._failed_loads: Counter[int] = Counter()
        self._not_before: dict[int, float] = {}
        self._barred_until: dict[int, int] = {}
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._reported: tuple[tuple[int, ...], bool] | None = None
        self._fatal: Exception | None = None
        self._snapshot_at = context.clock.monotonic() + SNAPSHOT_EVERY_S

    @property
    def follows(self) -> bool:
        return self._following is not None and not self._following.done()

    async def leave(self) -> None:
        """Hands everything over and says goodbye. Call when both loops have ended."""
        await self._stop_following()
        for shard in sorted(self._held()):
            await self._let_go(shard)
        await self._context.fleet.leave(self._context.member)

    async def reload_all(self, why: str) -> None:
        """Loads every shard again, from the chain: what the tables missed is nowhere else any more."""
        for shard in list(self._held()):
            self._drop(shard, why)

    # What is held, kept alive

    async def stay_alive(self) -> None:
        """Beats and renews until cancelled."""
        while True:
            try:
                await self._beat()
                self._context.outages.ok("heartbeat")
            except RedisUnreachable as error:
                self._context.redis_failed("heartbeat", error)
            await asyncio.sleep(RENEW_EVERY_S if self._members else EAGER_TICK_S)

    async def _beat(self) -> None:
        context = self._context
        # One key that does not read is no reason to let the leases run out.
        with contextlib.suppress(RedisUnreadable):
            self._members = await context.fleet.heartbeat(context.member, self._info())
        with contextlib.suppress(RedisUnreadable):
            if (common := schema_for_all(self._members.values())) > context.fleet.schema:
                await context.fleet.raise_schema(common)
        context.store.schema = context.fleet.schema
        with contextlib.suppress(RedisUnreadable):
            await context.suspects.refresh()
        asked = dict(self._terms)
        renewed = (
            {term.name: term for term in await context.store.renew(list(asked.values()))} if asked else {}
        )
        for shard, term in asked.items():
            if self._terms.get(shard) is not term:
                continue  # dropped or granted anew while Redis answered
            kept = renewed.get(term.name)
            if kept is None:
                self._drop(shard, "its lease was lost")
                continue
            self._terms[shard] = kept
            if shard in self.runners:
                self.runners[shard].renewed(kept)
        if self._follower is not None and self.follows:
            try:
                self._follower.term = await context.fleet.renew_follower(self._follower.term)
            except LeaseLost as error:
                context.log.warning("follower_ended", reason=str(error))
                await self._cancel_following()
        await context.pause.look_at_channels(self._members.values(), context.config.keeper.channels)

    def _info(self) -> dict[str, object]:
        """What `sorofast status` shows of this worker."""
        reasons: Counter[str] = Counter()
        for runner in self.runners.values():
            reasons.update(runner.skipped())
        return {
            "pid": os.getpid(),
            "version": __version__,
            "reads": RECORD_SCHEMA,
            "shards": sorted(self.runners),
            "follower": self.follows,
            "tasks": sum(len(runner) for runner in self.runners.values()),
            "in_flight": self._context.in_flight.total(),
            "reasons": dict(reasons),
            "clock_drift_s": self._context.ledgers.drift_s,
            "clock_wrong_s": round(self._context.ledgers.unexplained_drift_s, 1),
            "guard_s": self._context.ledgers.guard_s,
            "quarantined": self.quarantined(),
            "outages": self._outages(),
            "ledger_age_s": self._ledger_age_s(),
            "target_s": self._context.ledgers.target_s,
        }

    def _outages(self) -> list[dict[str, object]]:
        """What fails this worker now, and for how long."""
        now_s = self._context.clock.monotonic()
        return [
            {
                "kind": one.kind,
                "cause": one.cause,
                "reason": one.reason[:OUTAGE_REASON_CHARS_MAX],
                "for_s": round(now_s - one.since_s, 1),
            }
            for one in self._context.outages.in_force()[:OUTAGES_SHOWN_MAX]
        ]

    def _ledger_age_s(self) -> float | None:
        """How long ago this worker learned of the newest ledger; None before the first."""
        seen_s = self._context.ledgers.seen_monotonic_s
        return None if seen_s is None else round(self._context.clock.monotonic() - seen_s, 1)

    def quarantined(self) -> dict[str, int]:
        """Channels that are kept out of use by reason, the most frequent ones."""
        reasons: Counter[str] = Counter()
        for runner in self.runners.values():
            reasons.update(runner.quarantined().values())
        return dict(reasons.most_common(QUARANTINE_REASONS_MAX))

    # What is held, changed

    async def assign(self) -> None:
        """Takes and hands over shards until cancelled, or until it finds that going on is senseless."""
        while True:
            settled = False
            try:
                settled = await self._tick()
                if self._members:
                    self._context.outages.ok("assign_shards")
            except RedisUnreachable as error:
                self._context.redis_failed("assign_shards", error)
            self._report()
            await asyncio.sleep(CALM_TICK_S if settled else EAGER_TICK_S)

    async def _tick(self) -> bool:
        """One look at what should be held; True when it is what is held."""
        if self._fatal is not None:
            raise self._fatal
        for shard, runner in list(self.runners.items()):
            if runner.lost is not None:
                self._drop(shard, runner.lost)
        if not self._members:
            return False
        await self._check_generation()
        if self._stop.is_set():
            # Whoever followed may have drained first; what is still in flight here needs a follower to be settled.
            if self._context.in_flight.total():
                await self._lead()
            return False
        await self._lead()
        wanted = fair_share(self._members, self._context.shards, self._context.member)
        for shard in sorted(self._held() - wanted):
            await self._let_go(shard)
        for shard in self._failed_loads.keys() - wanted:
            del self._failed_loads[shard]
        if not self._failed_loads:
            self._context.outages.ok("load_failed", "loads_again")
        if self._position() is None:
            return False
        missing = sorted(wanted - self._held())
        for shard in missing:
            if self._may_take(shard):
                await self._take(shard)
        if self._context.clock.monotonic() >= self._snapshot_at:
            await self._snapshot_all()
        return not missing and not self._loading

    async def _check_generation(self) -> None:
        """A Redis that was emptied has forgotten what is on its way, and nobody here can tell it all. A name that does
        not read is another matter: whoever emptied it would have left none, or a new one.
        """
        try:
            generation = await self._context.fleet.generation()
        except RedisUnreadable:
            return
        if generation != self._context.generation:
            ledgers = self._context.config.engine.envelope_ledgers + 1
            raise FleetMismatch(
                "Redis was emptied or replaced while the fleet ran; let "
                f"{ledgers} ledgers close, so that what was on its way is settled, then start the fleet again"
            )

    def _may_take(self, shard: int) -> bool:
        barred = self._barred_until.get(shard, 0) > self._context.ledgers.latest[0]
        return not barred and self._not_before.get(shard, 0.0) <= self._context.clock.monotonic()

    async def _take(self, shard: int) -> None:
        try:
            term = await self._context.store.acquire(shard, self._context.member)
        except ShardRegressed as error:
            self._bar(shard, str(error))
            return
        except RedisUnreadable:
            self._not_before[shard] = self._context.clock.monotonic() + LOAD_PAUSE_MAX_S
            return
        if term is not None:
            self._terms[shard] = term
            self._loading[shard] = asyncio.create_task(self._load(shard, term), name=f"load-{shard}")

    async def _load(self, shard: int, term: Term) -> None:
        """Loads a shard and puts it to work once it has taken every entry that the others have."""
        try:
            async with self._slots:
                runner = await load_shard(self._context, shard, term, self._position)
                async with self.ingesting:
                    await runner.catch_up(self._position())
                    held = self._terms.get(shard)
                    if held is None or held.epoch != term.epoch:
                        return
                    runner.renewed(held)
                    self.runners[shard] = runner
            self._failed_loads.pop(shard, None)
            await runner.save_snapshot()
        except LeaseLost as error:
            self._drop(shard, str(error), loaded=False)
        except ShardRegressed as error:
            self._bar(shard, str(error))
            self._drop(shard, str(error), loaded=False)
        except (RpcUnreachable, RpcError, DecodeError, RedisUnreachable) as error:
            self._context.tally.errors += 1
            self._failed_loads[shard] += 1
            pause_s = min(LOAD_PAUSE_MAX_S, LOAD_PAUSE_MIN_S * 2 ** min(self._failed_loads[shard], 8))
            self._not_before[shard] = self._context.clock.monotonic() + pause_s
            # Every shard meets the same server and tries again and again, so it is told once for all of them.
            self._context.outages.failed("load_failed", error, shard=shard)
            self._forget(shard, str(error))
            with contextlib.suppress(LeaseLost, ShardRegressed, RedisUnreachable):
                await self._context.store.release(term, None, None)
        except Exception as error:
            self._fatal = error
            raise
        finally:
            if self._loading.get(shard) is asyncio.current_task():
                del self._loading[shard]
            self._report()

    def _held(self) -> set[int]:
        return set(self.runners) | set(self._loading)

    def _drop(self, shard: int, why: str, *, loaded: bool = True) -> None:
        """Forgets a shard, and says so."""
        self._context.outages.news("shards_dropped", why, "shards", [shard])
        self._forget(shard, why)
        loading = self._loading.get(shard)
        if loaded and loading is not None:
            del self._loading[shard]
            loading.cancel()

    def _forget(self, shard: int, why: str) -> None:
        """Without writing anything: somebody else may own it already."""
        self._terms.pop(shard, None)
        runner = self.runners.pop(shard, None)
        self._context.in_flight.forget(shard)
        self._context.skips.let_go(shard)
        if runner is not None:
            runner.close(why)
            if runner.regressed:
                self._bar(shard, why)

    def _bar(self, shard: int, why: str) -> None:
        """Keeps off a shard that Redis has older news of than we had, until every envelope of before is dead."""
        until = self._context.ledgers.latest[0] + self._context.config.engine.envelope_ledgers + 2
        self._barred_until[shard] = until
        self._context.outages.news(
            "shards_regressed", why, "shards", [shard], level="error", fields={"until_ledger": until}
        )

    async def _let_go(self, shard: int) -> None:
        """Hands a shard over: no new claims, a snapshot for the next owner, the lease released."""
        loading = self._loading.pop(shard, None)
        if loading is not None:
            await cancel_and_wait([loading])
        runner = self.runners.pop(shard, None)
        self._context.in_flight.forget(shard)
        self._context.skips.let_go(shard)
        try:
            with contextlib.suppress(LeaseLost, ShardRegressed, RedisUnreadable):
                if runner is not None:
                    await runner.hand_over()
                elif shard in self._terms:
                    await self._context.store.release(self._terms[shard], None, None)
        finally:
            # Whatever Redis said: a lease that is renewed and not worked on would keep the shard from everybody.
            self._terms.pop(shard, None)

    async def _snapshot_all(self) -> None:
        """Keeps takeovers cheap, and lets the stream be trimmed below what the oldest snapshot may need."""
        self._snapshot_at = self._context.clock.monotonic() + SNAPSHOT_EVERY_S
        for runner in list(self.runners.values()):
            await runner.save_snapshot()
        oldest = await self._context.store.oldest_snapshot()
        if self.follows and oldest is not None:
            # A new owner also needs the successes of envelopes that were in flight when the snapshot was made.
            needed = ledger_of(oldest) - 2 * self._context.config.engine.envelope_ledgers
            await self._context.fleet.trim(stream_id(max(0, needed)))

    # The follower's role

    async def _lead(self) -> None:
        if self._following is not None and self._following.done():
            error = None if self._following.cancelled() else self._following.exception()
            self._following = None
            if error is not None and not isinstance(error, LeaseLost):
                raise error
            self._context.log.warning("follower_ended", reason=str(error))
        if self._following is None:
            term = await self._context.fleet.acquire_follower(self._context.member)
            if term is not None:
                self._follower = Follower(self._context, term)
                self._following = asyncio.create_task(self._follower.run(), name="follower")
                self._context.log.info("following", epoch=term.epoch)

    async def _cancel_following(self) -> None:
        if self._following is not None:
            await cancel_and_wait([self._following])
            self._following = None

    async def _stop_following(self) -> None:
        if self._following is not None and self._following.done() and not self._following.cancelled():
            self._following.exception()  # looked at here, since nobody leads any more who would
        if self.follows and self._follower is not None:
            await self._cancel_following()
            with contextlib.suppress(LeaseLost):
                await self._context.fleet.release_follower(self._follower.term)

    def _report(self) -> None:
        state = (tuple(sorted(self.runners)), self.follows)
        if state != self._reported:
            self._reported = state
            self._reporter.send(Loaded(member=self._context.member, shards=list(state[0]), follower=state[1]))
