"""A chain that is only a model, and one real shard on a real Redis that keeps its tasks: ledgers close as fast as they
can be worked on, and chance decides what is lost, refused, delayed, failed, outrun or handed over in each of them.

The envelopes are not signed and simulations are answered by chance; everything else of the shard is what a worker runs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import structlog
from redis.asyncio import Redis

from sorofast import _core
from sorofast.chain.ledger import LedgerClock
from sorofast.chain.models import Lookup, SendAnswer
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.engine.claims import Built
from sorofast.engine.context import WorkerContext
from sorofast.engine.cycle import Run
from sorofast.engine.relay import Relay
from sorofast.engine.shard import ShardRunner
from sorofast.engine.skips import Skips
from sorofast.engine.verdicts import Said, Verdict
from sorofast.errors import RedisUnreachable, RpcUnreachable
from sorofast.executions.records import WalRecord
from sorofast.reasons import code_of
from sorofast.registry.layout import execute_call
from sorofast.registry.row import Flag, Row, ids_of
from sorofast.settings import FeeConfig, RetryConfig, RunConfig
from sorofast.testing.clock import StubClock
from sorofast.transactions.diagnostics import Diagnosis
from sorofast.triggers.base import Due
from sorofast.triggers.tasks import TaskSource

TARGET_S = 5
CHANNELS = 12
ENVELOPE_LEDGERS = 5
KEEPER = bytes(range(32))
RUNNABLE = Flag.ACTIVE | Flag.KEEPER_ALLOWED


@dataclass
class _Applied:
    status: str
    ledger: int
    close_s: int


class Chain:
    """Tasks, channels, what is queued and what was applied. `chance(share)` decides whether something goes wrong."""

    def __init__(self, rng: random.Random, tasks: int) -> None:
        self.rng = rng
        self.trouble = False
        self.ledger, self.close_s = 1_000, 100_000
        self.rows = {
            number: Row(
                number, rng.choice([15, 20, 30, 45]), self.close_s - rng.randrange(60), 10**9, rng.randrange(4),
                2**31, self.ledger, self.ledger, RUNNABLE, 0,
            )
            for number in range(1, tasks + 1)
        }  # fmt: skip
        self.sequences = dict.fromkeys(range(CHANNELS), (7 << 32, self.ledger, self.close_s))
        self.queue: dict[bytes, WalRecord] = {}
        self.known: dict[str, WalRecord] = {}
        self.applied: dict[bytes, _Applied] = {}
        self.ran = 0

    def chance(self, share: float) -> bool:
        return self.trouble and self.rng.random() < share

    def close(self, watched: dict[int, WalRecord]) -> LedgerEntry:
        """One more ledger; what the follower tells of it. `watched` is what is in flight, by channel."""
        self.ledger, self.close_s = self.ledger + 1, self.close_s + TARGET_S
        changed: set[int] = set()
        successes: list[tuple[int, bytes, bytes, int]] = []
        for tx_hash, record in list(self.queue.items()):
            if self.chance(0.2):
                if self.rng.random() < 0.5:
                    del self.queue[tx_hash]
                continue
            del self.queue[tx_hash]
            sequence, _, _ = self.sequences[record.channel]
            if record.sequence != sequence + 1 or self.ledger >= record.max_ledger:
                continue
            self.sequences[record.channel] = (record.sequence, self.ledger, self.close_s)
            failed, task_id = self.chance(0.15), int(record.id)
            self.applied[tx_hash] = _Applied("FAILED" if failed else "SUCCESS", self.ledger, self.close_s)
            if not failed and not self.chance(0.15) and self._run(task_id):
                changed.add(task_id)
                if not self.chance(0.3):
                    successes.append((task_id, tx_hash, KEEPER, self.ledger))
        for task_id in self.rows:
            if self.chance(0.05) and self._run(task_id):
                changed.add(task_id)
            if self.chance(0.02):
                changed.add(task_id)
                self._flip(task_id)
        told = {task_id for task_id in changed if not self.chance(0.3)}
        told |= {int(record.id) for record in watched.values()}
        channels = [
            (channel, *self.sequences[channel], self.ledger) for channel in watched if not self.chance(0.1)
        ]
        return LedgerEntry(
            generation="g", epoch=1, ledger=self.ledger, previous=self.ledger - 1, events_through=self.ledger,
            close_time_s=self.close_s, rows=self.packed(told), snapshot_ledger=self.ledger, channels=channels,
            successes=successes, removed=[], node="n", keeper=KEEPER,
        )  # fmt: skip

    def settle_down(self) -> None:
        """Nothing goes wrong any more, and every task can run."""
        self.trouble = False
        for task_id, row in self.rows.items():
            self.rows[task_id] = row._replace(flags=RUNNABLE)

    def packed(self, task_ids: Any) -> bytes:
        return b"".join(
            self.rows[task_id]._replace(snapshot_ledger=self.ledger).pack()
            for task_id in sorted(task_ids)
            if task_id in self.rows
        )

    def overdue_ledgers(self) -> dict[int, int]:
        return {
            task_id: late
            for task_id, row in self.rows.items()
            if (late := (self.close_s - row.due_s) // TARGET_S) > 0
        }

    def _run(self, task_id: int) -> bool:
        row = self.rows[task_id]
        if row.due_s > self.close_s or not row.flags & Flag.ACTIVE:
            return False
        self.ran += 1
        self.rows[task_id] = row._replace(last_run_s=self.close_s)
        return True

    def _flip(self, task_id: int) -> None:
        row = self.rows[task_id]
        self.rows[task_id] = row._replace(flags=row.flags ^ Flag.ACTIVE)


class Node:
    """What the shard asks of an RPC server."""

    name = "model"
    within = RpcClient.within

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def send_transaction(self, envelope: str) -> SendAnswer:
        chain, record = self._chain, self._chain.known[envelope]
        if chain.chance(0.1):
            raise RpcUnreachable("the request is lost")
        if chain.chance(0.1):
            return SendAnswer("TRY_AGAIN_LATER", chain.ledger, None)
        if record.hash not in chain.applied:
            chain.queue[record.hash] = record
        if chain.chance(0.1):
            raise RpcUnreachable("the answer is lost")
        return SendAnswer("PENDING", chain.ledger, None)

    async def get_transaction(self, tx_hash: str) -> Lookup:
        chain = self._chain
        if chain.chance(0.2):
            raise RpcUnreachable("no answer")
        found = chain.applied.get(bytes.fromhex(tx_hash))
        if found is None:
            return Lookup("NOT_FOUND", chain.ledger, 1, None, None)
        return Lookup(found.status, chain.ledger, 1, found.ledger, None, found.close_s)

    async def entries(self, _c: bytes, _k: bytes, _t: bytes, accounts: bytes, *, ledger_min: int) -> Any:
        wanted = [accounts[at] for at in range(0, len(accounts), 32)]
        found = [(bytes([one]) * 32, 10**9, *self._chain.sequences[one]) for one in wanted]
        return SimpleNamespace(accounts=found)


@dataclass
class Templates:
    """Which calls can be built without a simulation."""

    known: set[int] = field(default_factory=set)
    gated: set[int] = field(default_factory=set)

    def usable(self, due: Due) -> bool:
        return due.template in self.known and due.template not in self.gated

    def undecided(self, due: Due) -> bool:
        return False

    def varies(self, template: int) -> bool:
        return False

    def restores(self, template: int) -> bool:
        return False

    def fee(self, template: int) -> int:
        return 0

    def built(self, template: int) -> None:
        return

    def worked(self, template: int) -> None:
        return

    def gate(self, template: int) -> None:
        self.gated.add(template)

    def drop(self, template: int, *, outgrown: bool) -> None:
        self.known.discard(template)


class Pause:
    """A fleet that is never paused."""

    cause = None

    async def let_through(self, plan: Any) -> None:
        return

    async def may_resend(self, records: list[Any], answers: list[Any]) -> list[int]:
        return list(range(len(records)))

    async def heard(self, record: WalRecord, receipt: Any, *, first: bool) -> None:
        return

    def lets(self, record: WalRecord) -> bool:
        return True

    def blames(self, case: Any) -> None:
        return None


class Store(ShardStore):
    """The real one, whose replies get lost by chance."""

    chain: Chain

    async def commit(self, *arguments: Any, **more: Any) -> Any:
        if self.chain.chance(0.03):
            raise RedisUnreachable("the request is lost")
        reply = await super().commit(*arguments, **more)
        if self.chain.chance(0.03):
            raise RedisUnreachable("the reply is lost")
        return reply


class ShardWorld:
    """One shard, owned by one worker after the other."""

    def __init__(self, redis: Redis, prefix: str, seed: int, tasks: int = 14) -> None:
        self.chain = Chain(random.Random(seed), tasks)
        self.store = Store(redis, prefix, 1)
        self.store.chain = self.chain
        self.clock = StubClock(monotonic_s=1_000.0)
        self.templates = Templates()
        self.context = self._context()
        self.runner: ShardRunner | None = None
        self._owners = 0

    def _context(self) -> WorkerContext:
        log = structlog.get_logger()
        config = SimpleNamespace(
            engine=RunConfig(workers=1, shards=1, envelope_ledgers=ENVELOPE_LEDGERS),
            keeper=SimpleNamespace(channels=CHANNELS),
            retry=RetryConfig(max_attempts=1_000),
            fees=FeeConfig(),
        )
        signer = SimpleNamespace(keeper=KEEPER, channels=b"".join(bytes([n]) * 32 for n in range(CHANNELS)))
        silent = cast("Any", SimpleNamespace(known=_nothing))
        relay = Relay(lambda _: None, "model", self.clock, log)
        return WorkerContext(
            config=cast("Any", config), member="model", generation="g", clock=self.clock,
            rpc=cast("Any", Node(self.chain)), signer=cast("Any", signer), contract=bytes(32),
            fleet=cast("Any", None), store=self.store, ledgers=LedgerClock(float(TARGET_S)),
            timing=cast("Any", None), pause=cast("Any", Pause()), outages=relay,
            skips=Skips(relay, self.clock, log), log=log,
            close_redis=_nothing, templates=cast("Any", self.templates), registry_words=silent, sources=(),
            restores=cast("Any", None),
            rng=self.chain.rng,
        )  # fmt: skip

    def build(self, context: WorkerContext, runs: list[Run], epoch: int, attempt_of: Any) -> Built:
        """In the place of `claims.build`: records whose envelopes are names."""
        built = Built()
        for run in runs:
            execution, attempt = run.due.execution, attempt_of(run.due.execution)
            name = f"{execution.name} {attempt} {run.channel} {run.sequence} {epoch}"
            record = WalRecord(
                id=execution.id, window=execution.window, attempt=attempt, channel=run.channel,
                sequence=run.sequence, max_ledger=self.chain.ledger + 1 + ENVELOPE_LEDGERS,
                max_time_s=2**40, hash=sha256(name.encode()).digest(), envelope=name,
                claimed_ledger=self.chain.ledger, epoch=epoch, template=run.due.template, due_s=run.due.due_s,
            )  # fmt: skip
            self.chain.known[name] = record
            built.records.append(record)
        return built

    async def simulate(self, due: Due) -> Said:
        """In the place of the RPC's simulation."""
        chain = self.chain
        if chain.chance(0.15):
            return Said(Verdict.UNKNOWN, code_of("read_error"))
        if chain.chance(0.15):
            why = Diagnosis("target_panics", "panicked", "the target panicked")
            return Said(Verdict.FAILS, code_of("target_panics"), why)
        row = chain.rows[int(due.execution.id)]
        if row.due_s > chain.close_s or not row.flags & Flag.ACTIVE or chain.chance(0.15):
            self.templates.gate(due.template)
            return Said(Verdict.NO_EFFECT, code_of("resolver_says_no"))
        self.templates.known.add(due.template)
        self.templates.gated.discard(due.template)
        return Said(Verdict.RUN, 0)

    async def take_over(self, *, crash: bool = False) -> None:
        """Somebody else owns the shard from now on."""
        if self.runner is not None:
            if crash:
                self.runner.close("it died")
                await self.store.release(self.runner.term, None, None)
            else:
                await self.runner.hand_over()
        self._owners += 1
        term = await self.store.acquire(0, f"owner-{self._owners}")
        assert term is not None
        state = await self.store.load(term)
        chain = self.chain
        found = {
            channel: sequence
            for channel, (sequence, _, _) in chain.sequences.items()
            if channel not in {record.channel for record in state.wal}
        }
        version = await self.store.set_confirmed(term, state.version, found)
        state = await self.store.load(term)
        assert state.version == version
        table = _core.TaskTable()
        if state.snapshot is not None and state.snapshot_stream_id == f"{chain.ledger}-0":
            table = _core.TaskTable.restore(state.snapshot)
        else:
            table.apply(chain.packed(chain.rows), 0, 1)
        source = TaskSource(
            table,
            execute_call(bytes(32), KEEPER),
            0,
            1,
            read=self._read,
            list_ids=self._ids,
            ledger=chain.ledger,
        )
        self.runner = ShardRunner(self.context, 0, term, state, [source])
        self.runner.taken_ledger = chain.ledger

    async def pass_ledgers(self, count: int) -> None:
        chain, context = self.chain, self.context
        for _ in range(count):
            if self.runner is None or self.runner.lost is not None:
                self.runner = None
                await self.take_over()
            elif chain.chance(0.05):
                await self.take_over(crash=chain.rng.random() < 0.5)
            assert self.runner is not None
            state = await self.store.load(self.runner.term)
            entry = chain.close({record.channel: record for record in state.wal})
            self.clock.advance(TARGET_S)
            context.ledgers.observe(entry.ledger, entry.close_time_s)
            context.remember(entry)
            self.runner.ingest(entry)
            await self._cycle(resend=True)
            if chain.rng.random() < 0.3:
                await self._cycle(resend=False)

    async def _cycle(self, *, resend: bool) -> None:
        runner = self.runner
        if runner is None or runner.lost is not None:
            return
        runner.renewed(runner.term.__class__(runner.term.name, runner.term.owner, runner.term.epoch, 2.0**40))
        until_s = self.context.ledgers.due_until_s(self.clock.monotonic())
        for send in await runner.cycle(until_s, resend=resend):
            await send

    async def _read(self, task_ids: bytes, ledger_min: int) -> Any:
        if self.chain.chance(0.1):
            raise RpcUnreachable("no answer")
        return SimpleNamespace(rows=self.chain.packed(ids_of(task_ids)), problems=[], dependencies=[])

    async def _ids(self, ledger_min: int) -> bytes:
        return _core.shard_ids(len(self.chain.rows), 0, 1)


async def _nothing() -> None:
    return None
