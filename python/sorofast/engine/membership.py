"""Which shards this worker holds: heartbeats, fair shares, leases kept alive, shards loaded and handed
over.

Each worker computes the same division of the shards from who is alive, lets go of what is not its own, and
takes what is free. A shard is worked on only once it is loaded; until then its lease is held and nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable

from sorofast.coordination.leases import RENEW_EVERY_S, Term
from sorofast.coordination.members import fair_share
from sorofast.coordination.streams import LedgerEntry, stream_id
from sorofast.engine.bootstrap import confirm_channels, load_table
from sorofast.engine.context import WorkerContext
from sorofast.engine.follower import Follower
from sorofast.engine.report import Loaded, Reporter
from sorofast.engine.shard import ShardRunner
from sorofast.errors import DecodeError, LeaseLost, RedisUnreachable, RpcError, RpcUnreachable, ShardRegressed

__all__ = ["Membership"]

EAGER_TICK_S = 0.2
SNAPSHOT_EVERY_S = 60.0
LOADS_MAX = 4
CATCH_UP_COUNT = 256
REGRESSED_LEDGERS = 6


class Membership:
    """`runners` are the shards that are owned and loaded. Whoever takes in a ledger entry holds `ingesting`
    meanwhile.
    """

    def __init__(
        self, context: WorkerContext, reporter: Reporter, position: Callable[[], LedgerEntry | None]
    ) -> None:
        self.runners: dict[int, ShardRunner] = {}
        self.ingesting = asyncio.Lock()
        self._context = context
        self._reporter = reporter
        self._position = position
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._terms: dict[int, Term] = {}
        self._slots = asyncio.Semaphore(LOADS_MAX)
        self._follower: asyncio.Task[None] | None = None
        self._follower_role: Follower | None = None
        self._follower_stop = asyncio.Event()
        self._reported: tuple[tuple[int, ...], bool] | None = None
        self._snapshot_at = context.clock.monotonic() + SNAPSHOT_EVERY_S
        self._barred_until: dict[int, int] = {}
        self._fatal: Exception | None = None

    async def run(self) -> None:
        """Ticks at a third of the lease while all is as it should be, and quickly while shards are missing."""
        while True:
            settled = False
            try:
                settled = await self._tick()
            except RedisUnreachable as error:
                self._context.tally.errors += 1
                self._context.log.warning("leases_unreachable", error=str(error))
            if self._fatal is not None:
                raise self._fatal
            self._report()
            await asyncio.sleep(RENEW_EVERY_S if settled else EAGER_TICK_S)

    async def _tick(self) -> bool:
        context = self._context
        members = await context.fleet.heartbeat(context.member, self._info())
        await self._renew()
        await self._lead()
        wanted = fair_share(members, context.shards, context.member)
        for shard in [shard for shard in self._held() if shard not in wanted]:
            await self.let_go(shard)
        ledger = context.ledgers.latest[0]
        missing = [
            shard
            for shard in sorted(wanted)
            if shard not in self._held() and self._barred_until.get(shard, 0) <= ledger
        ]
        if self._position() is None:
            return False
        for shard in missing:
            term = await context.store.acquire(shard, context.member)
            if term is not None:
                self._terms[shard] = term
                self._loading[shard] = asyncio.create_task(self._load(shard, term), name=f"load-{shard}")
        if context.clock.monotonic() >= self._snapshot_at:
            await self._snapshot_all()
        return not missing and not self._loading

    def _info(self) -> dict[str, object]:
        """What `sorofast status` shows of this worker."""
        reasons: Counter[str] = Counter()
        for runner in self.runners.values():
            reasons.update(runner.skipped())
        return {
            "pid": os.getpid(),
            "shards": sorted(self.runners),
            "follower": self.follows,
            "tasks": sum(len(runner.table) for runner in self.runners.values()),
            "in_flight": sum(runner.in_flight for runner in self.runners.values()),
            "reasons": dict(reasons),
        }

    def _held(self) -> set[int]:
        return set(self.runners) | set(self._loading)

    @property
    def follows(self) -> bool:
        return self._follower is not None

    # Leases

    async def _renew(self) -> None:
        for shard, runner in list(self.runners.items()):
            if runner.lost is not None:
                self._drop(shard, runner.lost)
        terms = {term.name: shard for shard, term in self._terms.items()}
        if terms:
            renewed = await self._context.store.renew(list(self._terms.values()))
            for term in renewed:
                shard = terms.pop(term.name)
                self._terms[shard] = term
                if shard in self.runners:
                    self.runners[shard].term = term
            for shard in terms.values():
                self._drop(shard, "its lease was lost")

    def _drop(self, shard: int, why: str) -> None:
        """Forgets a shard without writing anything: somebody else may own it already."""
        self._context.log.warning("shard_dropped", shard=shard, reason=why)
        runner = self.runners.pop(shard, None)
        if runner is not None and runner.lost is None:
            runner.lost = why
        if runner is not None and runner.regressed:
            # Nobody here can say what an older Redis has forgotten: wait until every envelope of before is
            # dead.
            self._barred_until[shard] = (
                self._context.ledgers.latest[0] + self._context.config.engine.envelope_ledgers + 2
            )
        self._terms.pop(shard, None)
        loading = self._loading.pop(shard, None)
        if loading is not None:
            loading.cancel()

    async def let_go(self, shard: int) -> None:
        """Hands a shard over: no new claims, a snapshot for the next owner, the lease released."""
        loading = self._loading.pop(shard, None)
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        term = self._terms.pop(shard, None)
        runner = self.runners.pop(shard, None)
        with contextlib.suppress(LeaseLost, ShardRegressed):
            if runner is not None:
                await runner.hand_over()
            elif term is not None:
                await self._context.store.release(term, None, None)

    async def leave(self) -> None:
        """Hands everything over and says goodbye; for a drain."""
        if self._follower is not None and self._follower_role is not None:
            role = self._follower_role
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            with contextlib.suppress(LeaseLost):
                await self._context.fleet.release_follower(role.term)
        for shard in sorted(self._held()):
            await self.let_go(shard)
        await self._context.fleet.leave(self._context.member)

    async def reload_all(self) -> None:
        """After a gap in the stream: what the tables missed is only on the chain now."""
        for shard in list(self.runners):
            self._drop(shard, "the ledger stream has a gap")

    # Loading

    async def _load(self, shard: int, term: Term) -> None:
        """Loads a shard and puts it to work once it has taken every entry that the others have."""
        context = self._context
        try:
            async with self._slots:
                at = self._position()
                if at is None:
                    return
                state = await context.store.load(term)
                table, since = await load_table(context, state, shard, at)
                state = await confirm_channels(context, term, state, shard, at.ledger)
                runner = ShardRunner(context, shard, self._terms.get(shard, term), state, table)
                async with self.ingesting:
                    newest = self._position()
                    taken = since
                    while newest is not None and taken < newest.ledger:
                        entries = await context.fleet.read_ledgers(stream_id(taken), 0, CATCH_UP_COUNT)
                        for _, entry in entries:
                            if entry.ledger > newest.ledger:
                                break
                            for _, tx_hash, _, ledger in entry.successes:
                                context.successes.add(tx_hash, ledger)
                            runner.ingest(entry)
                        if not entries or entries[-1][1].ledger <= taken:
                            break
                        taken = entries[-1][1].ledger
                    runner.taken_ledger = max(runner.taken_ledger, since)
                    if self._terms.get(shard) is not None:
                        self.runners[shard] = runner
                await runner.save_snapshot()
        except (LeaseLost, ShardRegressed) as error:
            self._loading.pop(shard, None)
            self._drop(shard, str(error))
        except (RpcUnreachable, RpcError, DecodeError, RedisUnreachable) as error:
            context.tally.errors += 1
            context.log.warning("load_failed", shard=shard, error=str(error))
            term_now = self._terms.pop(shard, None)
            if term_now is not None:
                with contextlib.suppress(LeaseLost, ShardRegressed, RedisUnreachable):
                    await context.store.release(term_now, None, None)
        except Exception as error:  # noqa: BLE001 - a task's error must end the worker, not vanish with the task
            self._fatal = error
        finally:
            self._loading.pop(shard, None)
            self._report()

    async def _snapshot_all(self) -> None:
        """Keeps takeovers cheap, and lets the follower's stream be trimmed below the oldest snapshot."""
        self._snapshot_at = self._context.clock.monotonic() + SNAPSHOT_EVERY_S
        for runner in list(self.runners.values()):
            await runner.save_snapshot()
        oldest = await self._context.store.oldest_snapshot()
        if self.follows and oldest is not None:
            await self._context.fleet.trim(oldest)

    # The follower's role

    async def _lead(self) -> None:
        if self._follower is not None and self._follower.done():
            task, self._follower = self._follower, None
            error = task.exception() if not task.cancelled() else None
            self._context.log.warning("follower_ended", reason=str(error))
            if error is not None and not isinstance(error, LeaseLost):
                self._fatal = error if isinstance(error, Exception) else RuntimeError(str(error))
        if self._follower is not None and self._follower_role is not None:
            try:
                self._follower_role.term = await self._context.fleet.renew_follower(self._follower_role.term)
            except LeaseLost:
                self._follower.cancel()
            return
        term = await self._context.fleet.acquire_follower(self._context.member)
        if term is not None:
            self._follower_role = Follower(self._context, term)
            self._follower = asyncio.create_task(
                self._follower_role.run(self._follower_stop), name="follower"
            )
            self._context.log.info("following", epoch=term.epoch)

    def _report(self) -> None:
        state = (tuple(sorted(self.runners)), self.follows)
        if state != self._reported:
            self._reported = state
            self._reporter.send(Loaded(member=self._context.member, shards=list(state[0]), follower=state[1]))
