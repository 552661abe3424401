"""A small fleet on a fast network that remembers few ledgers: for scenarios about how executions end.

async with small_fleet(tmp_path, retention=20) as small:
    run = await small.start()
    left = await small.kill_with_work_in_flight(run)
    await small.admin.advance(30)
    again = await small.start()
    await small.until(lambda: small.settled(left), "what was left ends")
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from stellar_sdk import xdr as stellar_xdr

from helpers.demo import fleet_of, network_of, options_of
from sorofast.audit.seed import TTL_LEDGERS
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.client import open_redis
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.shard import ShardStore
from sorofast.demo.fleet import SHARDS, Event, Fleet, RunProcess
from sorofast.demo.network import DemoNetwork
from sorofast.demo.scenario import lead_s
from sorofast.executions.records import HistoryRecord, WalRecord, decode_record
from sorofast.registry.store import Registry
from sorofast.sandbox.client import AdminClient
from sorofast.settings import RedisConfig

PREFIX = "sorofast"
POLL_S = 0.1
DEADLINE_S = 40.0
COMMAND_TIMEOUT_S = 60


@dataclass
class Small:
    """A network with seeded tasks and a fleet whose runs the scenario starts itself."""

    network: DemoNetwork
    fleet: Fleet
    redis: Redis
    store: ShardStore
    stack: AsyncExitStack
    events: list[Event] = field(default_factory=list)

    @property
    def admin(self) -> AdminClient:
        return self.network.admin

    async def start(self, workers: int = 1) -> RunProcess:
        """One more `sorofast run`, ready; its log's events join `events`."""
        run = await self.stack.enter_async_context(self.fleet.run(workers, self.events.append))
        await run.ready()
        return run

    def told(self, name: str, **fields: object) -> list[Event]:
        """The logged events of that name that have these fields."""
        return [
            event
            for event in self.events
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items())
        ]

    async def until(
        self, holds: Callable[[], Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S
    ) -> Any:
        """Asks until it holds and returns what it then is; AssertionError, saying what did not come, at the
        deadline.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not (found := await holds()):
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"within {deadline_s:.0f} s it did not come to this: {what}") from None
        return found

    async def latest_ledger(self) -> int:
        return (await self.admin.stats()).latest_ledger

    async def pass_ledgers(self, count: int) -> None:
        wanted = await self.latest_ledger() + count

        async def passed() -> bool:
            return await self.latest_ledger() >= wanted

        await self.until(passed, f"{count} ledgers close", 4 * count + 10)

    async def in_flight(self) -> list[WalRecord]:
        """Everything in the write-ahead logs."""
        found: list[WalRecord] = []
        for shard in range(SHARDS):
            raw: Any = await self.redis.hvals(ShardKeys.of(PREFIX, shard).wal)
            found += [decode_record(one, WalRecord) for one in raw]
        return found

    async def history(self) -> list[HistoryRecord]:
        """Everything in the histories, oldest first."""
        found = [record for shard in range(SHARDS) for record in await self.store.history(shard, 10_000)]
        return sorted(found, key=lambda record: record.at_ms)

    async def ends_of(self, records: list[WalRecord]) -> dict[str, HistoryRecord]:
        """How these envelopes ended, by hash; without those that have not."""
        hashes = {record.hash.hex() for record in records}
        return {record.hash: record for record in await self.history() if record.hash in hashes}

    async def all_ended(self, records: list[WalRecord]) -> dict[str, HistoryRecord] | None:
        """The same, once all have ended."""
        ends = await self.ends_of(records)
        return ends if len(ends) == len(records) else None

    async def work_in_flight(self, least: int = 2) -> list[WalRecord]:
        async def some() -> list[WalRecord] | None:
            found = await self.in_flight()
            return found if len(found) >= least else None

        found: list[WalRecord] = await self.until(some, f"{least} envelopes are in flight")
        return found

    async def deaf_with_work_in_flight(self, least: int = 2) -> tuple[list[WalRecord], set[str]]:
        """From now on the RPC takes transactions and answers nothing else. What is in flight then, and the hashes of
        those that have landed, which are at least so many.
        """
        while True:
            found = await self.work_in_flight(least)
            await self.admin.set_fault_plan({"rules": DEAF})
            await self.pass_ledgers(2)
            left = {record.hash for record in await self.in_flight()}
            kept = [record for record in found if record.hash in left]
            fates = await self.admin.fates([record.hash.hex() for record in kept])
            landed = {tx_hash for tx_hash, fate in fates.items() if fate.ledger is not None}
            if len(landed) >= least:
                return kept, landed
            await self.admin.clear_faults()
            await self.pass_ledgers(1)

    async def change_task(self, task_id: int, **fields: stellar_xdr.SCVal) -> None:
        """Gives the task's entry other values, as no transaction does: no event tells of it."""
        async with client_of(self) as rpc:
            registry = Registry(rpc, self.network.registry.contract, bytes(32))
            text = await registry.entry(task_id)
        assert text is not None
        data = stellar_xdr.LedgerEntryData.from_xdr(text)
        assert data.contract_data is not None
        assert data.contract_data.val.map is not None
        for one in data.contract_data.val.map.sc_map:
            assert one.key.sym is not None
            one.val = fields.pop(one.key.sym.sc_symbol.decode(), one.val)
        assert not fields, fields
        latest = await self.latest_ledger()
        entry = stellar_xdr.LedgerEntry(stellar_xdr.Uint32(latest), data, stellar_xdr.LedgerEntryExt(0))
        await self.admin.put_entries([(entry.to_xdr_bytes(), latest + TTL_LEDGERS)])

    async def command(self, *arguments: str, stdin: str = "") -> Command:
        """A `sorofast` command with the fleet's settings."""
        return await command(self.fleet.config_path, *arguments, stdin=stdin)


@asynccontextmanager
async def client_of(small: Small) -> AsyncIterator[RpcClient]:
    """The scenario's own client."""
    rpc = RpcClient(small.network.urls.rpc_url)
    try:
        yield rpc
    finally:
        await rpc.close()


READS = ("getHealth", "getLedgerEntries", "getEvents", "getTransaction", "simulateTransaction")
DEAF = [{"kind": "http_status", "status": 503, "method": method} for method in READS]


@dataclass(frozen=True)
class Command:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


async def command(config: Path, *arguments: str, stdin: str = "") -> Command:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SOROFAST_", "STELLAR_"))
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sorofast", *arguments, "--config", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(COMMAND_TIMEOUT_S):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Command(process.returncode, out.decode(), err.decode())


async def kill(run: RunProcess) -> None:
    """SIGKILL to the workers and to the supervisor, as a power cut would have it."""
    run.send_signal(signal.SIGSTOP)
    run.signal_workers(signal.SIGKILL)
    run.send_signal(signal.SIGKILL)
    await run.wait()


@asynccontextmanager
async def small_fleet(
    directory: Path,
    *,
    tasks: int = 24,
    intervals_s: tuple[int, int] = (6, 12),
    retention: int | None = None,
    seed: bool = True,
    settings: str = "",
) -> AsyncIterator[Small]:
    """One-second ledgers. The tasks are seeded, and due a few seconds on, unless the scenario seeds its own. `settings`
    are further sections of the fleet's file.
    """
    options = options_of(tasks=tasks, workers=1, intervals_s=intervals_s)
    options = replace(options, sandbox=replace(options.sandbox, retention=retention))
    async with (
        network_of(options) as network,
        fleet_of(network, directory / "fleet", channels=64) as fleet,
        AsyncExitStack() as stack,
    ):
        with fleet.config_path.open("a", encoding="utf-8") as file:
            file.write(settings)
        redis = await open_redis(RedisConfig(url=fleet.redis_url))
        stack.push_async_callback(redis.aclose)
        if seed:
            await network.seed_tasks(lead_s(options))
        store = ShardStore(redis, PREFIX, SHARDS)
        yield Small(network, fleet, redis, store, stack)
