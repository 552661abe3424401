"""A network's clock, a host's clocks and an engine that sends by a LedgerClock: all of it arithmetic.

One task falls due every second. It is sent when the clock says so, arrives `path_s` later, and lands in the first
ledger that freezes after that. A ledger that froze before the task was due makes it *early*: paid for nothing, and
sent again.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from sorofast.chain.ledger import LedgerClock

START_S = 1_700_000_000
MONOTONIC_LAG_S = START_S - 5_000.0


@dataclass(frozen=True)
class Network:
    """When its ledgers freeze and when each becomes visible, in true seconds."""

    target_s: float
    frozen_s: list[float]
    seen_s: list[float]

    @classmethod
    def of(
        cls,
        target_s: float,
        *,
        ledgers: int = 400,
        jitter_s: float = 0.0,
        visible_s: tuple[float, float] = (0.2, 0.3),
        phase_s: float = 0.4,
        gap_of: Callable[[int, float], float] = lambda _, gap_s: gap_s,
        seed: int = 1,
    ) -> Network:
        """`gap_of` may change the gap before a ledger."""
        rng = random.Random(seed)
        frozen, seen, now = [], [], START_S + phase_s
        for number in range(ledgers):
            frozen.append(now)
            seen.append(max(now + rng.uniform(*visible_s), (seen[-1] if seen else 0) + 0.001))
            now += max(0.001, gap_of(number + 1, target_s + rng.uniform(-jitter_s, jitter_s)))
        return cls(target_s, frozen, seen)


@dataclass
class Tally:
    """What became of the tasks. `late` is in ledgers, by due second; `early` are (ledger, due second)."""

    late: dict[int, int] = field(default_factory=dict)
    early: list[tuple[int, int]] = field(default_factory=list)
    missed: int = 0

    @property
    def on_time(self) -> float:
        """The share that landed in its first eligible ledger."""
        return sum(late == 0 for late in self.late.values()) / len(self.late)

    @property
    def worst(self) -> int:
        return max(self.late.values())


def simulate(
    network: Network,
    clock: LedgerClock,
    *,
    wall_offset_s: Callable[[float], float] = lambda _: 0.0,
    path_s: float = 0.01,
    first_ledger: int = 100,
    frozen_at: list[float] | None = None,
) -> Tally:
    """`wall_offset_s` says by how much the host's wall clock is off, given the seconds since the start.

    `frozen_at`: when the sets really froze, if the network's own clock is wrong about it.
    """
    frozen_at = network.frozen_s if frozen_at is None else frozen_at
    tally = Tally()
    closes = [math.floor(at) for at in network.frozen_s]
    # The last ledgers are for what is still on its way.
    pending = list(range(closes[0] + 1, closes[-8]))
    landing: dict[int, list[int]] = {}

    def send(now_s: float) -> None:
        until = clock.due_until_s(now_s - MONOTONIC_LAG_S)
        while pending and pending[0] <= until:
            landing.setdefault(bisect_left(frozen_at, now_s + path_s), []).append(pending.pop(0))

    for number, seen_s in enumerate(network.seen_s):
        wall_s = seen_s + wall_offset_s(seen_s - START_S)
        clock.observe(first_ledger + number, closes[number], seen_s - MONOTONIC_LAG_S, wall_s)
        for due_s in landing.pop(number, []):
            if closes[number] < due_s:
                tally.early.append((number, due_s))
                clock.early(due_s, first_ledger + number)
                pending.append(due_s)
                pending.sort()
            else:
                tally.late[due_s] = number - bisect_left(closes, due_s)
        send(seen_s)
        next_seen_s = network.seen_s[number + 1] if number + 1 < len(network.seen_s) else seen_s
        now_s = seen_s
        while pending:
            now_s += max(0.01, clock.wait_s(pending[0], now_s - MONOTONIC_LAG_S))
            if now_s >= next_seen_s:
                break
            send(now_s)
    tally.missed = len(pending) + sum(len(tasks) for tasks in landing.values())
    return tally
