"""What the parts of one worker share, and nothing that belongs to a single shard."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from sorofast import _core
from sorofast.chain.ledger import LedgerClock
from sorofast.chain.rpc import RpcClient
from sorofast.clock import Clock
from sorofast.coordination.fleet import Fleet
from sorofast.coordination.shard import ShardState, ShardStore
from sorofast.coordination.streams import LedgerEntry
from sorofast.coordination.suspects import Suspects
from sorofast.coordination.timing import TimingStore
from sorofast.engine.loops import Background
from sorofast.engine.pause import FleetPause
from sorofast.engine.relay import Relay
from sorofast.engine.restores import FleetRestores
from sorofast.engine.skips import Skips
from sorofast.engine.templates import FleetTemplates
from sorofast.engine.verdicts import Heard
from sorofast.errors import RedisUnreachable, RedisUnreadable
from sorofast.executions.outcome import Ended, Outcome
from sorofast.observability.counters import Counts
from sorofast.registry.words import WordsReader
from sorofast.settings import EngineConfig
from sorofast.triggers.base import TriggerSource

__all__ = ["InFlight", "RecentSuccesses", "SourceLoader", "WorkerContext"]

SUCCESSES_MAX = 50_000
# So many envelopes in a row that no ledger took are no chance any more.
BARREN_MIN = 3
LEDGERS_ENOUGH = 3


class RecentSuccesses:
    """Hashes of recent transactions that paid a keeper, oldest forgotten first.

    A worker that takes a shard over fills in what it has not seen itself, from the stream, for the ledgers
    in which the shard's envelopes may have landed.
    """

    def __init__(self) -> None:
        self._ledgers: OrderedDict[bytes, int] = OrderedDict()

    def add(self, tx_hash: bytes, ledger: int) -> None:
        self._ledgers[tx_hash] = ledger
        while len(self._ledgers) > SUCCESSES_MAX:
            self._ledgers.popitem(last=False)

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._ledgers


class InFlight:
    """How many envelopes each shard of this worker has on their way."""

    def __init__(self) -> None:
        self._shards: dict[int, int] = {}

    def set(self, shard: int, number: int) -> None:
        self._shards[shard] = number

    def forget(self, shard: int) -> None:
        """The shard is somebody else's now."""
        self._shards.pop(shard, None)

    def total(self) -> int:
        return sum(self._shards.values())


class SourceLoader(Protocol):
    """Makes one trigger source of a shard that this worker has just been granted.

    `at` is the newest ledger entry this worker has taken; what is read from the chain must be no older. Returns the
    source and the ledger after which the stream's entries are still to be given to it; giving it some twice must do no
    harm.
    """

    def __call__(
        self, context: WorkerContext, shard: int, state: ShardState, at: LedgerEntry
    ) -> Awaitable[tuple[TriggerSource, int]]: ...


@dataclass(slots=True)
class WorkerContext:
    """One worker's connections, secrets and clocks. The signer keeps its seeds to itself."""

    config: EngineConfig
    member: str
    generation: str
    clock: Clock
    rpc: RpcClient
    signer: _core.Signer
    contract: bytes
    fleet: Fleet
    store: ShardStore
    ledgers: LedgerClock
    timing: TimingStore
    pause: FleetPause
    outages: Relay
    skips: Skips
    log: FilteringBoundLogger
    close_redis: Callable[[], Awaitable[None]]
    templates: FleetTemplates
    restores: FleetRestores
    registry_words: WordsReader
    sources: tuple[SourceLoader, ...]
    suspects: Suspects = field(default_factory=Suspects)
    heard: Heard = field(default_factory=Heard)
    rng: random.Random = field(default_factory=random.Random)
    successes: RecentSuccesses = field(default_factory=RecentSuccesses)
    tally: Counts = field(default_factory=Counts)
    in_flight: InFlight = field(default_factory=InFlight)
    background: Background = field(default_factory=Background)
    barren: int = 0
    """How many envelopes in a row expired, since one was included."""

    def redis_failed(self, kind: str, error: RedisUnreachable) -> None:
        """Counts it, and tells it unless it is about one key: those are told where they are read."""
        self.tally.errors += 1
        if not isinstance(error, RedisUnreadable):
            self.outages.failed(kind, error)

    def remember(self, entry: LedgerEntry) -> None:
        """Keeps the hashes of the runs that a ledger proved."""
        for _, tx_hash, _, ledger in entry.successes:
            self.successes.add(tx_hash, ledger)

    def count(self, case: Ended) -> None:
        """Adds an envelope's end to the tally, and says when none is included any more."""
        self._watch_inclusion(case)
        match case.outcome:
            case Outcome.EXECUTED:
                self.tally.executed += 1
                late = self.late(case)
                if late is not None:
                    self.tally.ledgers_late[late] = self.tally.ledgers_late.get(late, 0) + 1
            case Outcome.NO_EFFECT | Outcome.SUPERSEDED:
                self.tally.no_effect += 1
            case Outcome.FAILED:
                self.tally.failed += 1
            case Outcome.EXPIRED:
                self.tally.expired += 1
            case Outcome.REFUSED | Outcome.UNKNOWN:
                self.tally.errors += 1

    def _watch_inclusion(self, case: Ended) -> None:
        if case.included is not None:
            self.barren = 0
            self.outages.ok("nothing_included", "included_again")
        elif (
            case.outcome is Outcome.EXPIRED
            and case.taken
            and not case.foreign
            and self.pause.cause is None
            and self.ledgers.latest[0] - case.record.claimed_ledger >= self._ledgers_enough
        ):
            self.barren += 1
            if self.barren >= BARREN_MIN:
                self.outages.failed(
                    "nothing_included",
                    f"no ledger has taken the last {self.barren} envelopes, and {self.rpc.name} refused none: it may "
                    "be cut off from its network, or the bid too low for a full one",
                    fix="try another node with network.rpc_url, or raise fees.inclusion_fee_stroops",
                )

    @property
    def _ledgers_enough(self) -> int:
        """So many ledgers could have taken an envelope that says something by having been taken by none. While a
        network stands still it runs out of time instead.
        """
        return min(LEDGERS_ENOUGH, self.config.engine.envelope_ledgers)

    async def close(self) -> None:
        """Ends what goes on in the background, then closes what was opened."""
        stuck = await self.background.end()
        if stuck:
            self.log.error("tasks_stuck", tasks=stuck)
        await self.rpc.close()
        await self.close_redis()

    def late(self, case: Ended) -> int | None:
        """How many ledgers late an included envelope was; None where that is not known."""
        included = case.included
        return None if included is None else self.ledgers.ledgers_late(case.record.due_s, included[0])

    @property
    def shards(self) -> int:
        return self.config.engine.shards

    def channels_of(self, shard: int) -> range:
        """The channels a shard owns: every shards-th one, so that N channels spread evenly."""
        return range(shard, self.config.keeper.channels, self.shards)

    def channel_keys(self, channels: range | list[int]) -> bytes:
        """The packed 32-byte accounts of these channels."""
        keys = self.signer.channels
        return b"".join(keys[32 * i : 32 * i + 32] for i in channels)
