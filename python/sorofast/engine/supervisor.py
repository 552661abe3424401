"""Starts the workers, replaces the ones that die, and ends the run in order.

Nothing in the hot path goes through here. What does: each worker's configuration and start signal (its
stdin), its reports (its stdout), and the knowledge that it is dead, which frees its leases at once instead
of when they run out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from sorofast.chain.rpc import RpcClient
from sorofast.clock import Clock, SystemClock
from sorofast.coordination.client import open_redis
from sorofast.coordination.embedded import EmbeddedServer
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.in_hand import InHand
from sorofast.coordination.shard import ShardStore
from sorofast.coordination.suspects import SuspectStore
from sorofast.engine.deaths import Deaths
from sorofast.engine.hardening import forbid_core_dumps
from sorofast.engine.ledger_log import LedgerLog
from sorofast.engine.loops import cancel_and_wait, run_loop, unless_set
from sorofast.engine.preflight import check
from sorofast.engine.report import (
    Failing,
    LedgerReport,
    Loaded,
    News,
    Stopping,
    Up,
    Working,
    decode_report,
)
from sorofast.engine.run_log import RunLog
from sorofast.engine.signals import stop_on_signals
from sorofast.errors import ConfigError, RedisUnreachable, SorofastError, UnreachableError, WorkerCrashLoop
from sorofast.executions.key import Subject, name_of_subject
from sorofast.exits import how_it_ended
from sorofast.observability.unreadable import UnreadableKeys
from sorofast.services import Service
from sorofast.settings import EngineConfig

__all__ = ["run"]

DEATHS_MAX = 5
DEATHS_WINDOW_S = 60.0
START_TIMEOUT_S = 30.0
READY_POLL_S = 0.25
REPORT_MAX_BYTES = 1 << 20
KILL_GRACE_S = 10.0
OUTAGE_PAUSE_MAX_S = 30.0
ASK_RPC_TIMEOUT_S = 3.0
WORKER_WAITS = "worker_waits"
WORKER_REFUSED = "worker_refused"
IN_HAND_TOLD_MAX = 8
UNREACHABLE = UnreachableError.exit_code


@dataclass(slots=True)
class _Slot:
    """One worker's place; processes come and go in it."""

    number: int
    process: asyncio.subprocess.Process | None = None
    member: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    loaded: tuple[int, ...] | None = None
    outages: int = 0
    deaths_s: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_MAX))
    last_words: str = ""
    last_cause: str = ""
    in_hand: list[Subject] = field(default_factory=list)
    """What its last process had in hand when it ended."""

    @property
    def name(self) -> str:
        """Whoever is in this place, for what troubles it also while nobody is."""
        return f"slot {self.number}"


class Supervisor(Service):
    """Owns the worker processes of one `sorofast run`. Stopping drains them; `hurry` ends a drain at once.

    `ended` raises what made the run end by itself. `redis`, where the run has one of its own, is watched: without it
    there is no going on.
    """

    def __init__(
        self,
        config: EngineConfig,
        hurry: asyncio.Event,
        redis: EmbeddedServer | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._config = config
        self._hurry = hurry
        self._redis = redis
        self._clock = clock or SystemClock()
        self._log = structlog.get_logger()
        self._run_log = RunLog(self._log, self._clock, self._ask_rpc)
        self._slots = [_Slot(number) for number in range(config.engine.workers)]
        self._stop = asyncio.Event()
        self._failure: SorofastError | None = None
        self._started = asyncio.Event()
        self._ledgers = LedgerLog(self._log, config.engine.workers)

    def _ask_to_stop(self, task: asyncio.Task[None]) -> None:
        self._stop.set()

    async def _serve(self, started: Callable[[], None]) -> None:
        redis = await open_redis(self._config.redis)
        prefix, unreadable = self._config.redis.prefix, UnreadableKeys(self._log, self._clock)
        self._fleet = Fleet(redis, prefix, self._clock, unreadable)
        self._deaths = Deaths(SuspectStore(redis, prefix, unreadable=unreadable), self._clock, self._log)
        self._store = ShardStore(redis, prefix, self._config.engine.shards)
        network = self._config.network
        self._rpc = RpcClient(network.rpc_url, timeout_s=min(ASK_RPC_TIMEOUT_S, network.timeout_s))
        keepers = [asyncio.create_task(self._keep(slot), name=f"slot-{slot.number}") for slot in self._slots]
        for keeper in keepers:
            keeper.add_done_callback(self._keeper_ended)
        extra = [
            asyncio.create_task(self._release_start()),
            asyncio.create_task(self._announce_ready()),
            asyncio.create_task(self._run_log.run(), name="run-log"),
        ]
        extra[-1].add_done_callback(self._run_log_ended)
        if self._redis is not None:
            extra.append(asyncio.create_task(self._watch(self._redis)))
        started()
        try:
            await self._stop.wait()
            await self._shut_down(keepers)
        finally:
            await cancel_and_wait([*extra, *keepers])
            await self._rpc.close()
            await redis.aclose()
        if self._failure is not None:
            raise self._failure
        self._log.info("stopped", ledgers=self._ledgers.ledgers)

    async def _ask_rpc(self) -> None:
        """Raises what the network may raise."""
        await self._rpc.get_health()

    async def _watch(self, redis: EmbeddedServer) -> None:
        try:
            await redis.ended()
        except SorofastError as error:
            self._fail(error, error.exit_code)

    # Processes

    async def _keep(self, slot: _Slot) -> None:
        """Keeps one slot filled until the run stops; a slot that keeps dying ends the run with the reason."""
        while not self._stop.is_set():
            code = await self._one_life(slot)
            # One that ends in order says why. What has nothing in hand dies for reasons of its own.
            unforeseen = code != 0 and not slot.last_words and not self._stop.is_set()
            explained = unforeseen and await self._deaths.explain(slot.member, code, slot.in_hand)
            if slot.member:
                await self._free_leases(slot)
                self._run_log.gone(slot.member)
            if self._stop.is_set():
                return
            if code == ConfigError.exit_code and not slot.member and self._others_live(slot):
                # What it is started with, such as a secret's file, was there when the run began.
                await self._rest(
                    slot, WORKER_REFUSED, fix="put that right: the others work on, and it is tried again"
                )
                continue
            if code == ConfigError.exit_code or (code == UNREACHABLE and not self._started.is_set()):
                # It refused what it was given, or cannot reach what it needs: another try would say the same.
                self._fail(SorofastError(slot.last_words or f"a worker ended with exit code {code}"), code)
                return
            if code == UNREACHABLE:
                # The others wait for the same server, and so does this slot: that is no fault of the worker.
                await self._rest(slot, WORKER_WAITS)
                continue
            self._log.error(
                "worker_died",
                slot=slot.number,
                exit_code=code,
                reason=slot.last_words or f"it ended {how_it_ended(code)} and said nothing",
                in_hand=[name_of_subject(subject) for subject in slot.in_hand[:IN_HAND_TOLD_MAX]],
            )
            if explained:
                continue
            now = self._clock.monotonic()
            slot.deaths_s.append(now)
            if len(slot.deaths_s) == DEATHS_MAX and now - slot.deaths_s[0] < DEATHS_WINDOW_S:
                self._fail(
                    WorkerCrashLoop(
                        f"worker {slot.number} died {DEATHS_MAX} times in {now - slot.deaths_s[0]:.0f} s, "
                        f"last with exit code {code}: {slot.last_words or 'see the log above'}"
                    ),
                    1,
                )
                return

    def _others_live(self, slot: _Slot) -> bool:
        """Whether the run has begun, and another worker of it is at work."""
        return self._started.is_set() and any(
            other is not slot and other.process is not None and other.member for other in self._slots
        )

    async def _rest(self, slot: _Slot, kind: str, **fields: object) -> None:
        """Before a worker that could not start is tried again, longer each time."""
        slot.outages += 1
        pause_s = min(OUTAGE_PAUSE_MAX_S, 2.0 ** min(slot.outages, 8))
        self._run_log.take(
            Failing(
                member=slot.name,
                kind=kind,
                cause=slot.last_cause,
                reason=slot.last_words,
                since_s=self._clock.monotonic(),
                fields={"slot": slot.number, **fields},
            )
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stop.wait()

    def _run_log_ended(self, told: asyncio.Task[None]) -> None:
        """The run goes on without telling its workers' troubles, and says so: nobody would know otherwise."""
        if not told.cancelled() and (error := told.exception()) is not None:
            self._log.error(
                "troubles_untold", reason=repr(error), fix="restart the run at a good moment", exc_info=error
            )

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """Whatever ends a slot's keeping but a stop ends the run: an empty slot would never be noticed."""
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None:
            self._fail(SorofastError(f"a worker could not be kept running: {error!r}"), 1)

    async def _one_life(self, slot: _Slot) -> int:
        with contextlib.closing(InHand.create()) as register:
            try:
                return await self._live(slot, register)
            finally:
                slot.in_hand = register.read()

    async def _live(self, slot: _Slot, register: InHand) -> int:
        slot.member, slot.last_words, slot.last_cause, slot.loaded = "", "", "", None
        slot.up.clear()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sorofast.engine.worker_process",
            str(register.descriptor),
            pass_fds=[register.descriptor],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=REPORT_MAX_BYTES,
            start_new_session=True,
        )
        slot.process = process
        if self._stop.is_set():
            process.terminate()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            process.stdin.write(self._config.to_json().encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            if self._started.is_set():
                process.stdin.write(b"go\n")
            async for line in process.stdout:
                self._hear(slot, line)
        finally:
            code = await process.wait()
            slot.process = None
            # Whoever waits for everybody to be up must not wait for the dead.
            slot.up.set()
        return code

    def _hear(self, slot: _Slot, line: bytes) -> None:
        try:
            report = decode_report(line)
        except msgspec.DecodeError as error:
            self._log.warning("worker_report_unreadable", slot=slot.number, error=str(error))
            return
        match report:
            case Up():
                slot.member, slot.outages = report.member, 0
                slot.up.set()
                for kind in (WORKER_WAITS, WORKER_REFUSED):
                    self._run_log.take(Working(member=slot.name, kind=kind, back="workers_back"))
                self._log.info("worker_up", slot=slot.number, pid=report.pid, member=report.member)
            case Loaded():
                slot.loaded = tuple(report.shards)
                self._run_log.held(slot.number, report)
            case Stopping():
                slot.last_words, slot.last_cause = report.reason, report.cause
            case Failing() | Working() | News():
                self._run_log.take(report)
            case LedgerReport():
                self._run_log.take_ledger(report)
                self._ledgers.take(report, alive=sum(other.loaded is not None for other in self._slots))

    async def _free_leases(self, slot: _Slot) -> None:
        """A reaped child writes nothing any more, so its shards need not wait for their leases to run out."""
        try:
            freed = await self._fleet.release_member(slot.member)
        except SorofastError as error:
            self._log.warning("leases_not_freed", member=slot.member, error=str(error))
            return
        if freed:
            self._log.info("leases_freed", member=slot.member, leases=freed)

    # Start

    async def _release_start(self) -> None:
        """Lets everybody begin together, so that the shards are divided once and not again with every
        arrival.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*(slot.up.wait() for slot in self._slots))
        self._started.set()
        for slot in self._slots:
            if slot.process is not None and slot.process.stdin is not None:
                slot.process.stdin.write(b"go\n")

    async def _announce_ready(self) -> None:
        """Logs `fleet_ready` once every shard has an owner and ours are loaded."""
        await self._started.wait()
        began = self._clock.monotonic()
        while True:
            await asyncio.sleep(READY_POLL_S)
            try:
                owners = await self._store.owners()
            except RedisUnreachable:
                continue
            ours = {slot.member for slot in self._slots if slot.member}
            held = {shard for slot in self._slots for shard in slot.loaded or ()}
            mine = {shard for shard, (owner, _) in owners.items() if owner in ours}
            if len(owners) == self._config.engine.shards and mine <= held:
                self._run_log.tell_held()
                self._log.info(
                    "fleet_ready",
                    shards=len(owners),
                    ours=len(mine),
                    after_s=round(self._clock.monotonic() - began, 3),
                )
                return

    # End

    def _fail(self, error: SorofastError, code: int) -> None:
        error.exit_code = code  # type: ignore[misc]
        self._failure = self._failure or error
        self._stop.set()

    async def _shut_down(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """Drains every worker within the drain timeout, then kills what is left; `hurry` kills at once."""
        self._log.info("draining", timeout_s=self._config.engine.drain_timeout_s)
        self._signal_all(signal.SIGTERM)
        hurried = asyncio.create_task(self._kill_when_hurried())
        _, late = await asyncio.wait(keepers, timeout=self._config.engine.drain_timeout_s + KILL_GRACE_S)
        await cancel_and_wait([hurried])
        if late:
            self._log.warning("drain_forced", after_s=self._config.engine.drain_timeout_s)
            self._signal_all(signal.SIGKILL)
            await asyncio.wait(late)

    async def _kill_when_hurried(self) -> None:
        await self._hurry.wait()
        self._log.warning("drain_hurried", kept="what was in flight is in the write-ahead log")
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    slot.process.send_signal(number)


async def _run(config: EngineConfig) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stop, again=hurry):
        own = EmbeddedServer(config.redis) if config.redis.url == "embedded" else None
        try:
            prepared = await unless_set(stop, _prepare(config, own))
            if prepared is not None:
                await _supervise(Supervisor(prepared, hurry, own), stop)
        finally:
            if own is not None:
                await own.stop()
    return 0


async def _prepare(config: EngineConfig, own: EmbeddedServer | None) -> EngineConfig:
    """Everything there has to be before a worker starts; the settings with the address of our own Redis."""
    if own is not None:
        await own.start()
        config = replace(config, redis=replace(config.redis, url=own.url))
    await check(config)
    structlog.get_logger().info(
        "starting",
        pid=os.getpid(),
        workers=config.engine.workers,
        shards=config.engine.shards,
        contract=config.contract.id,
    )
    if config.engine.workers > config.engine.shards:
        structlog.get_logger().warning(
            "idle_workers",
            workers=config.engine.workers,
            shards=config.engine.shards,
            fix="a worker without a shard only waits; lower engine.workers",
        )
    return config


async def _supervise(supervisor: Supervisor, stop: asyncio.Event) -> None:
    """Runs until a signal or a failure, which it raises."""
    await unless_set(stop, _through(supervisor))
    await supervisor.stop()
    await supervisor.ended()


async def _through(supervisor: Supervisor) -> None:
    await supervisor.start()
    await supervisor.ended()


def run(config: EngineConfig) -> int:
    """Runs the fleet of this host in the foreground; returns the exit code, or raises what made it end."""
    forbid_core_dumps()
    return run_loop(_run(config))
