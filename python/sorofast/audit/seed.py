"""A registry full of tasks as raw ledger entries, for the state a local network begins with.

Registering ten thousand tasks by transactions would take as many signatures; putting their entries takes a
second. What is written is exactly what the contracts themselves would have stored (a test compares it with
contracts deployed by transactions), and the sandbox is told nothing that any other client could not tell
it. The contracts' code is not among it: that goes by ordinary uploads, because only an upload makes the
host measure the module, and a code entry without those measurements is charged several times as much to
start.
"""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stellar_sdk import Address, StrKey, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.errors import UsageError

# Far beyond any demo: 120 days of five-second ledgers.
TTL_LEDGERS = 2_073_600
GAS = 10**12
_TASKS_MAX = 1_000_000
_BUMP_KEYS = 8
# Places in each hundred tasks: of the one that runs once, and of those that wait for one that has run.
_ROOT = 98
_FREE = {24, 49, 74}
_SAMPLE = 4_000
_SENTINELS = {"id": 0xA1A2A3A4A5A6A7A8, "interval": 0xB1B2B3B4B5B6B7B8, "last_run": 0xC1C2C3C4C5C6C7C8}

Entry = tuple[bytes, int | None]


@dataclass(frozen=True, slots=True)
class SeedOptions:
    """What tasks there shall be. `due_per_ledger` overrides `intervals_s` (both ends included).

    A `ledger_close_s` of 0 stands for a network that closes ledgers on demand. The same options give the
    same tasks. With `dependencies` one in twenty waits for others, some of which have never run.
    """

    tasks: int
    ledger_close_s: float = 5.0
    intervals_s: tuple[int, int] = (20, 120)
    due_per_ledger: float | None = None
    seed: int = 0
    targets: int = 8
    resolvers: int = 2
    dependencies: bool = False

    def __post_init__(self) -> None:
        low, high = self.intervals_s
        if not 1 <= self.tasks <= _TASKS_MAX:
            raise UsageError(f"--tasks {self.tasks}: must be 1 to {_TASKS_MAX}")
        if not 1 <= low <= high:
            raise UsageError(
                f"--intervals {low}s-{high}s: the lower bound must be 1s or more, and not above the upper bound"
            )
        if self.due_per_ledger is not None and not 0 < self.due_per_ledger <= self.tasks / 2:
            raise UsageError(
                f"--due-per-ledger {self.due_per_ledger:g}: must be above 0 and at most half of the tasks, "
                "since a task runs at most in every other ledger"
            )


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task to be. `phase` in [0, 1) says where in its first interval it falls due; targets and
    resolvers by index. One that has `never_run` runs once: its interval reaches from 1970 to when it falls due.
    """

    task_id: int
    target: int
    function: str
    key: int | None
    resolver: int | None
    interval_s: int
    phase: float
    blocked_by: tuple[int, ...] = ()
    never_run: bool = False

    def schedule(self, first_due_s: int) -> tuple[int, int]:
        """`interval` and `last_run` with which the first window falls due at `first_due_s` or up to an interval
        later.
        """
        due_s = first_due_s + int(self.phase * self.interval_s)
        return (due_s, 0) if self.never_run else (self.interval_s, due_s - self.interval_s)


@dataclass(frozen=True, slots=True)
class Registry:
    """The addresses (C…) of the seeded contracts, which follow from the seed alone, and their code's
    hashes.
    """

    contract: str
    targets: tuple[str, ...]
    resolvers: tuple[str, ...]
    registry_code: bytes
    target_code: bytes
    resolver_code: bytes

    @classmethod
    def plan(
        cls, options: SeedOptions, *, registry_code: bytes, target_code: bytes, resolver_code: bytes
    ) -> Registry:
        """Made-up addresses: nobody has deployed these contracts, so no rule says what they must be."""

        def address(label: str) -> str:
            return StrKey.encode_contract(
                hashlib.sha256(f"sorofast seed {options.seed} {label}".encode()).digest()
            )

        return cls(
            contract=address("registry"),
            targets=tuple(address(f"target {index}") for index in range(options.targets)),
            resolvers=tuple(address(f"resolver {index}") for index in range(options.resolvers)),
            registry_code=registry_code,
            target_code=target_code,
            resolver_code=resolver_code,
        )


def plan_tasks(options: SeedOptions) -> list[TaskSpec]:
    """The tasks in order of their ids, which run from 1."""
    rng = random.Random(f"sorofast tasks {options.seed}")
    intervals_s = _draw_intervals(options, rng)
    specs: list[TaskSpec] = []
    for index, interval_s in enumerate(intervals_s):
        # One in three writes an entry of its key, the others the one count all callers of their target
        # share; one in ten asks a resolver. That is enough kinds to need many templates, and few enough for
        # each to recur.
        bumps = index % 3 == 0
        never_run, blocked_by = _dependencies(index, options)
        specs.append(
            TaskSpec(
                task_id=index + 1,
                target=rng.randrange(options.targets),
                function="bump" if bumps else "increment",
                key=rng.randrange(_BUMP_KEYS) if bumps else None,
                resolver=rng.randrange(options.resolvers) if options.resolvers and index % 10 == 1 else None,
                interval_s=interval_s,
                phase=rng.random(),
                blocked_by=blocked_by,
                never_run=never_run,
            )
        )
    return specs


def runs_per_ledger(specs: Sequence[TaskSpec], ledger_close_s: float) -> float:
    """How many tasks fall due per ledger on average. Those that run once do not count."""
    return _rate([spec.interval_s for spec in specs if not spec.never_run], ledger_close_s)


def _dependencies(index: int, options: SeedOptions) -> tuple[bool, tuple[int, ...]]:
    """Whether the task has never run, and whom it waits for. In each hundred one runs once, a second waits for it, and
    a third for the second; three wait for one that has run.
    """
    if not options.dependencies:
        return False, ()
    task_id, place = index + 1, index % 100
    if place == _ROOT:
        return True, ()
    if place == _ROOT + 1:
        return False, (task_id - 1, task_id - 3)
    if place == _ROOT - 1 and task_id + 2 <= options.tasks:
        return False, (task_id + 2,)
    return False, (task_id - 1,) if place in _FREE else ()


def contract_entries(registry: Registry, admin: str, tasks: int, latest_ledger: int) -> list[Entry]:
    """Instances of all contracts as their own `init` and `set` leave them, and the registry's count of ids."""
    live_until = latest_ledger + TTL_LEDGERS
    instances = [(registry.contract, registry.registry_code, {"AdminAddress": scval.to_address(admin)})]
    instances += [(target, registry.target_code, {}) for target in registry.targets]
    instances += [
        (resolver, registry.resolver_code, {"On": scval.to_bool(True)}) for resolver in registry.resolvers
    ]
    entries: list[Entry] = [
        (_instance(contract, code, storage, latest_ledger), live_until)
        for contract, code, storage in instances
    ]
    counter = scval.to_vec([scval.to_symbol("Counter")])
    entries.append((_data(registry.contract, counter, scval.to_uint64(tasks), latest_ledger), live_until))
    return entries


def task_entries(
    registry: Registry, specs: Sequence[TaskSpec], creator: str, first_due_s: int, latest_ledger: int
) -> Iterator[Entry]:
    """The tasks' entries, the first of them due at `first_due_s` (Unix seconds)."""
    templates: dict[tuple[object, ...], _Template] = {}
    for spec in specs:
        kind = (spec.target, spec.function, spec.key, spec.resolver, spec.blocked_by)
        template = templates.get(kind)
        if template is None:
            template = templates[kind] = _Template(_task(registry, spec, creator, latest_ledger))
        yield (
            template.fill(spec.task_id, *spec.schedule(first_due_s)),
            latest_ledger + TTL_LEDGERS,
        )


class _Template:
    """An encoded task entry in which id, interval and last run are replaced: encoding each by itself takes
    too long.
    """

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._offsets: list[int] = []
        for name, sentinel in _SENTINELS.items():
            pattern = struct.pack(">Q", sentinel)
            if encoded.count(pattern) != 1:
                raise ValueError(f"the task's {name} does not stand in its entry exactly once")
            self._offsets.append(encoded.index(pattern))

    def fill(self, task_id: int, interval_s: int, last_run_s: int) -> bytes:
        entry = bytearray(self._encoded)
        for offset, value in zip(self._offsets, (task_id, interval_s, last_run_s), strict=True):
            struct.pack_into(">Q", entry, offset, value)
        return bytes(entry)


def _task(registry: Registry, spec: TaskSpec, creator: str, latest_ledger: int) -> bytes:
    nothing = scval.to_void()
    config = {
        "args": scval.to_vec([] if spec.key is None else [scval.to_uint64(spec.key)]),
        "blocked_by": scval.to_vec([scval.to_uint64(task_id) for task_id in spec.blocked_by]),
        "creator": scval.to_address(creator),
        "function": scval.to_symbol(spec.function),
        "gas_balance": scval.to_int128(GAS),
        "interval": scval.to_uint64(_SENTINELS["interval"]),
        "is_active": scval.to_bool(True),
        "last_run": scval.to_uint64(_SENTINELS["last_run"]),
        "resolver": nothing if spec.resolver is None else scval.to_address(registry.resolvers[spec.resolver]),
        "target": scval.to_address(registry.targets[spec.target]),
        "whitelist": scval.to_vec([]),
        "yield_strategy": nothing,
    }
    key = scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(_SENTINELS["id"])])
    return _data(registry.contract, key, scval.to_struct(config), latest_ledger)


def _instance(contract: str, code: bytes, storage: dict[str, stellar_xdr.SCVal], latest_ledger: int) -> bytes:
    """A contract instance; `storage` by the names of unit keys. Without storage there is no map at all, not
    an empty one.
    """
    entries = [
        stellar_xdr.SCMapEntry(key=scval.to_vec([scval.to_symbol(name)]), val=value)
        for name, value in sorted(storage.items())
    ]
    instance = stellar_xdr.SCContractInstance(
        executable=stellar_xdr.ContractExecutable(
            stellar_xdr.ContractExecutableType.CONTRACT_EXECUTABLE_WASM, wasm_hash=stellar_xdr.Hash(code)
        ),
        storage=stellar_xdr.SCMap(entries) if entries else None,
    )
    value = stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_CONTRACT_INSTANCE, instance=instance)
    key = stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)
    return _data(contract, key, value, latest_ledger)


def _data(contract: str, key: stellar_xdr.SCVal, value: stellar_xdr.SCVal, latest_ledger: int) -> bytes:
    """A persistent contract data entry, as a whole LedgerEntry."""
    data = stellar_xdr.ContractDataEntry(
        ext=stellar_xdr.ExtensionPoint(0),
        contract=Address(contract).to_xdr_sc_address(),
        key=key,
        durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        val=value,
    )
    return stellar_xdr.LedgerEntry(
        last_modified_ledger_seq=stellar_xdr.Uint32(latest_ledger),
        data=stellar_xdr.LedgerEntryData(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data),
        ext=stellar_xdr.LedgerEntryExt(0),
    ).to_xdr_bytes()


def _draw_intervals(options: SeedOptions, rng: random.Random) -> list[int]:
    """Whole seconds, every second one a multiple of five: those fall due in the very second a five-second
    ledger freezes.
    """
    if options.due_per_ledger is None:
        low, high = options.intervals_s
        return [_in_range(rng.uniform(low, high), index, low, high) for index in range(options.tasks)]
    close_s = options.ledger_close_s or 1.0
    wanted = options.due_per_ledger
    shares = [rng.uniform(0.5, 1.5) for _ in range(options.tasks)]
    low = max(1, math.ceil(close_s))

    def draw(mean_s: float, count: int) -> list[int]:
        return [_in_range(share * mean_s, index, low, 2**31) for index, share in enumerate(shares[:count])]

    # The rate falls as the mean interval grows, so halving finds the mean that gives the rate; some
    # thousands of the tasks tell it as well as all.
    sample = min(options.tasks, _SAMPLE)
    low_mean, high_mean = close_s, 4 * close_s * options.tasks / wanted + 10
    for _ in range(40):
        mean = (low_mean + high_mean) / 2
        if _rate(draw(mean, sample), close_s) * options.tasks / sample > wanted:
            low_mean = mean
        else:
            high_mean = mean
    return draw(high_mean, options.tasks)


def _in_range(interval_s: float, index: int, low: int, high: int) -> int:
    """Rounded, every second one to a multiple of five if the range has one near."""
    rounded = round(interval_s)
    five = 5 * round(interval_s / 5)
    chosen = five if index % 2 and low <= five <= high else rounded
    return min(max(chosen, low), high)


def _rate(intervals_s: Sequence[int], ledger_close_s: float) -> float:
    # `last_run` is a close time, so a task recurs in whole ledgers.
    close_s = ledger_close_s or 1.0
    return sum(1 / max(1, math.ceil(interval_s / close_s)) for interval_s in intervals_s)
