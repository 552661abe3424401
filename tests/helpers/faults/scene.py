"""A scene: a fast network, a small fleet whose RPC and Redis go through proxies, and an oracle that watches.

async with scene(Setup(tasks=20), tmp_path) as s:
    lost = s.rpc.drop_reply("sendTransaction", count=1)
    await lost.struck()
    report = await s.judged(ledgers=10)
assert report.executed >= 20
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stellar_sdk import Address, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.faults.clocks import HostClock
from helpers.faults.oracle import BOUND_LEDGERS, BrokenPromise, Judgement, Oracle, leaks
from helpers.faults.processes import Processes
from helpers.faults.rpc_proxy import RpcProxy
from helpers.faults.sent_log import SentLog
from helpers.faults.valkey import Valkey
from sorofast.audit.seed import SeedOptions, contract_entries, task_entries
from sorofast.clock import SystemClock
from sorofast.demo.fleet import Event, Fleet, RunProcess
from sorofast.demo.network import DemoNetwork
from sorofast.demo.scenario import wait_until_quiet
from sorofast.sandbox.client import AdminClient
from sorofast.sandbox.durations import parse_duration_s
from sorofast.sandbox.process import SandboxOptions

SHARDS = 4
POLL_S = 0.05
Reshape = Callable[[int], Mapping[str, stellar_xdr.SCVal] | None]

LAGGING = "replica-1"
"""The server that `Scene.lag` keeps behind."""
_WITNESS = 1
"""The oracle's own server: what is bent at the others does not bend its view."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What there is before anything is bent. Small and fast: a scene with it takes 10 to 25 s.

    `reshape(task_id)` gives fields of the task's entry that shall be others than the seed's. `settings` go into
    the fleet's file, by section. `failpoints` is a value for SOROFAST_FAILPOINTS without its `marks`.
    `lead_s` is the time between seeding and the first due task.
    """

    tasks: int = 24
    intervals_s: tuple[int, int] = (6, 14)
    due_per_ledger: float | None = None
    resolvers: int = 2
    seed: int = 0
    workers: int = 2
    shards: int = SHARDS
    ledger_close: str = "1s"
    lead_s: float = 6.0
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    reshape: Reshape | None = None
    failpoints: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    host_clock: HostClock | None = None
    envelope_ledgers: int = 5
    paid_failures_max: int = 3
    listener: Callable[[Event], None] | None = None


class SceneNetwork(DemoNetwork):
    """A demo's network whose tasks may be reshaped before they are put on the ledger."""

    def __init__(self, setup: Setup) -> None:
        close_s = parse_duration_s(setup.ledger_close, "ledger_close")
        sandbox = SandboxOptions(ledger_close=setup.ledger_close, replicas=2, **setup.sandbox)
        seed = SeedOptions(
            tasks=setup.tasks,
            ledger_close_s=close_s,
            intervals_s=setup.intervals_s,
            due_per_ledger=setup.due_per_ledger,
            resolvers=setup.resolvers,
            seed=setup.seed,
        )
        super().__init__(sandbox, seed)
        self._reshape = setup.reshape

    async def seed_tasks(self, lead_s: float) -> int:
        latest = (await self.admin.stats()).latest_ledger
        owner = self.keeper.public_key
        await self.admin.put_entries(contract_entries(self.registry, owner, len(self.specs), latest))
        first_due_s = int(SystemClock().wall() + lead_s) + 1
        entries = task_entries(self.registry, self.specs, owner, first_due_s, latest)
        reshaped = []
        for spec, (raw, live_until) in zip(self.specs, entries, strict=True):
            fields = self._reshape(spec.task_id) if self._reshape is not None else None
            reshaped.append((with_fields(raw, fields) if fields else raw, live_until))
        await self.admin.put_entries(reshaped)
        return first_due_s


class SceneFleet(Fleet):
    """A fleet whose Redis is the rig's, behind its proxy."""

    def __init__(self, network: DemoNetwork, directory: Path, setup: Setup, rpc_url: str) -> None:
        super().__init__(network, directory, shards=setup.shards, rpc_url=rpc_url, settings=setup.settings)
        self.valkey = Valkey(directory)

    async def _open_redis(self, stack: contextlib.AsyncExitStack) -> str:
        await stack.enter_async_context(self.valkey)
        return self.valkey.url

    @functools.cached_property
    def secrets(self) -> dict[str, bytes]:
        """What must stand nowhere but in its file."""
        return {
            "the keeper's secret": (self.directory / "keeper.secret").read_bytes().strip(),
            "the channels' phrase": (self.directory / "channels.seed").read_bytes().strip(),
        }


class Scene:
    """Everything a scenario touches. Made by `scene()`."""

    def __init__(
        self,
        setup: Setup,
        directory: Path,
        network: SceneNetwork,
        fleet: SceneFleet,
        rpc: RpcProxy,
        oracle: Oracle,
        log: SentLog,
    ) -> None:
        self.setup = setup
        self.network = network
        self.fleet = fleet
        self.rpc = rpc
        self.oracle = oracle
        self.log = log
        self.runs: list[RunProcess] = []
        self.first_due_s = 0
        self.judgement: Judgement | None = None
        self._directory = directory
        self._marks = directory / "marks"
        self._marks.mkdir()
        self._stack = contextlib.AsyncExitStack()

    @property
    def admin(self) -> AdminClient:
        return self.network.admin

    @property
    def valkey(self) -> Valkey:
        return self.fleet.valkey

    @property
    def redis(self) -> Any:
        """The proxy before the Valkey."""
        return self.fleet.valkey.proxy

    @property
    def run(self) -> RunProcess:
        """The first run of the fleet."""
        return self.runs[0]

    @property
    def processes(self) -> Processes:
        """Those of the newest run."""
        return Processes(self.runs[-1])

    async def start_run(
        self,
        workers: int | None = None,
        *,
        failpoints: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RunProcess:
        """One more `sorofast run` of the fleet, with this environment besides the scene's; it is ended with the
        scene.
        """
        wanted = self.setup.failpoints if failpoints is None else failpoints
        environment = {**self.setup.environment, **(environment or {})}
        if wanted:
            environment["SOROFAST_FAILPOINTS"] = f"marks={self._marks};{wanted}"
        if self.setup.host_clock is not None:
            environment |= self.setup.host_clock.environment
        run = self.fleet.run(workers or self.setup.workers, self.setup.listener, environment)
        self.runs.append(run)
        return await self._stack.enter_async_context(run)

    async def close(self) -> None:
        await self._stack.aclose()

    # Time

    async def latest_ledger(self) -> int:
        return (await self.admin.stats()).latest_ledger

    async def pass_ledgers(self, count: int) -> int:
        """Waits until so many more ledgers have closed and the oracle has judged them; returns the latest."""
        wanted = await self.latest_ledger() + count
        await self.oracle.passed(wanted, 4 * count * self.network.seed.ledger_close_s + 20)
        return wanted

    async def pass_until_due(self) -> None:
        """Waits until the first tasks have fallen due."""
        async with asyncio.timeout(120):
            while True:
                closed = await self.admin.ledgers(await self.latest_ledger())
                if closed[-1].close_time >= self.first_due_s:
                    return
                await asyncio.sleep(POLL_S)

    async def until(self, condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
        """Waits for a condition; AssertionError, saying what did not come, at the deadline."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"within {timeout_s:.0f} s it did not come to this: {what}") from None

    # What bends

    def strikes(self, failpoint: str) -> int:
        """How often a failpoint has struck, in all processes of the scene."""
        return len(list(self._marks.glob(f"{failpoint}.*")))

    async def struck(self, failpoint: str, times: int = 1, timeout_s: float = 40.0) -> None:
        """Waits until a failpoint has struck so often."""
        await self.until(
            lambda: self.strikes(failpoint) >= times, f"{failpoint} strikes {times} times", timeout_s
        )

    async def lag(self, ledgers: int, method: str | None = None, **how: Any) -> Any:
        """Calls are answered by a server that is so many ledgers behind the others; returns the rule."""
        await self.admin.set_fault_plan({"replicas": [{"lag_ledgers": ledgers}, {}]})
        return self.rpc.lag(LAGGING, method, **how)

    async def turn_resolvers(self, on: bool) -> int:
        """All resolvers say yes, or no, from now on; the ledger it happened in."""
        network = self.network
        ledger = await self.latest_ledger()
        resolvers = {
            Address(resolver).to_xdr_sc_address().to_xdr() for resolver in network.registry.resolvers
        }
        entries = []
        for raw, live_until in contract_entries(
            network.registry, network.keeper.public_key, len(network.specs), ledger
        ):
            entry = stellar_xdr.LedgerEntry.from_xdr_bytes(raw)
            data = entry.data.contract_data
            if data is None or data.contract.to_xdr() not in resolvers or data.val.instance is None:
                continue
            storage = data.val.instance.storage
            assert storage is not None, "a resolver without its answer"
            storage.sc_map[0].val = scval.to_bool(on)
            entries.append((entry.to_xdr_bytes(), live_until))
        assert len(entries) == len(resolvers), "a resolver's instance is missing"
        await self.admin.put_entries(entries)
        asked = [spec.task_id for spec in network.specs if spec.resolver is not None]
        if on:
            self.oracle.changed(asked, await self.latest_ledger())
        return ledger

    async def calm(self) -> int:
        """Everything is straight again from now on: rules lifted, faults cleared. The ledger it happened in."""
        self.rpc.rules.clear()
        self.rpc.mend()
        self.redis.rules.clear()
        self.redis.mend()
        await self.admin.clear_faults()
        ledger = await self.latest_ledger()
        self.oracle.calm(ledger)
        return ledger

    # The end

    async def judged(
        self,
        *,
        ledgers: int = 10,
        bound_ledgers: int = BOUND_LEDGERS,
        early_max: int | None = 0,
        bent: bool = True,
        idle_fleet: bool = False,
    ) -> Judgement:
        """Calm, so many more ledgers, a drain of every run that lives, and the oracle's verdict.

        BrokenPromise for whatever did not hold. Where nothing was `bent` no deadline is put off. A fleet that
        ran nothing is no proof, unless it was meant to be `idle_fleet`.
        """
        if bent:
            await self.calm()
        await self.pass_ledgers(max(ledgers, bound_ledgers + 1))
        until = await self.end_runs()
        failures = [*self.rpc.failures, *self.redis.failures]
        assert not failures, failures
        judgement = await self.oracle.check(until, bound_ledgers=bound_ledgers, early_max=early_max)
        self.judgement = judgement
        leaked = self.leaked()
        if leaked:
            raise BrokenPromise("\n".join(map(str, leaked)))
        if not judgement.executed and not idle_fleet:
            raise BrokenPromise(f"nothing ran at all: {judgement.summary()}")
        return judgement

    async def end_runs(self) -> int:
        """Drains what lives; the last ledger in which the fleet was meant to work."""
        self._arguments = {
            name: text
            for run in self.runs
            if run.returncode is None
            for name, text in Processes(run).command_lines().items()
        }
        until = await self.latest_ledger()
        living = [run for run in self.runs if run.returncode is None]
        codes = await asyncio.gather(*(run.stop() for run in living))
        if any(codes):
            raise BrokenPromise(f"a run did not drain: {codes}: {[run.failure for run in living]}")
        await wait_until_quiet(self.network)
        return until

    def leaked(self) -> Any:
        """Secrets in logs, in Redis's file, in the log of bytes sent, or in arguments of processes."""
        files: Iterable[Path] = [
            *(run.log_path for run in self.runs),
            *self.valkey.files,
            self.log.path,
            self.fleet.config_path,
        ]
        return leaks(self.fleet.secrets, files, getattr(self, "_arguments", {}))


Scenario = Callable[..., AbstractAsyncContextManager[Scene]]
"""What the fixture `scenario` is: called with the options of `Setup`, and `start`."""


@contextlib.asynccontextmanager
async def scene(setup: Setup, directory: Path, *, start: bool = True) -> AsyncIterator[Scene]:
    """The scene, with one run at work whose first tasks are due; without `start` no run is started yet.

    A scene that ends without having been judged is an error: it would prove nothing.
    """
    async with contextlib.AsyncExitStack() as stack:
        network = await stack.enter_async_context(SceneNetwork(setup))
        urls = network.urls
        log = SentLog(directory / "sent.jsonl", urls.network_passphrase)
        stack.callback(log.close)

        async def latest_ledger() -> int:
            return (await network.admin.stats()).latest_ledger

        replicas = {replica.name: replica.rpc_url for replica in urls.replicas}
        rpc = await stack.enter_async_context(RpcProxy(urls.rpc_url, log, latest_ledger, others=replicas))
        fleet = await stack.enter_async_context(SceneFleet(network, directory / "fleet", setup, rpc.url))
        oracle = await stack.enter_async_context(
            Oracle(
                network.admin,
                urls.replicas[_WITNESS].rpc_url,
                urls.network_passphrase,
                network.registry.contract,
                network.keeper.public_key,
                log,
                envelope_ledgers=setup.envelope_ledgers,
                paid_failures_max=setup.paid_failures_max,
            )
        )
        made = Scene(setup, directory, network, fleet, rpc, oracle, log)
        stack.push_async_callback(made.close)
        made.first_due_s = await network.seed_tasks(setup.lead_s)
        await oracle.begin()
        if start:
            run = await made.start_run()
            await run.ready()
            await made.pass_until_due()
            # What was overdue before the fleet stood counts from here.
            oracle.calm(await made.latest_ledger())
        yield made
        if made.judgement is None:
            raise AssertionError("the scene ended without having been judged")


def with_fields(raw: bytes, fields: Mapping[str, stellar_xdr.SCVal]) -> bytes:
    """A task's ledger entry with some of its fields replaced."""
    entry = stellar_xdr.LedgerEntry.from_xdr_bytes(raw)
    data = entry.data.contract_data
    assert data is not None and data.val.map is not None  # noqa: PT018 - it is a task's entry
    left = dict(fields)
    for one in data.val.map.sc_map:
        if one.key.sym is not None:
            name = one.key.sym.sc_symbol.decode()
            one.val = left.pop(name, one.val)
    assert not left, f"a task has no field {', '.join(left)}"
    return entry.to_xdr_bytes()


def blocked_by(*task_ids: int) -> dict[str, stellar_xdr.SCVal]:
    """For `Setup.reshape`: the task waits for these."""
    return {"blocked_by": scval.to_vec([scval.to_uint64(task_id) for task_id in task_ids])}
