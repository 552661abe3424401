"""What the fleet has learned about the network's pace, shared by all members: see `chain.guard`."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.scripts import Scripts
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["FleetTiming", "TimingStore"]

_US = 1_000_000


@dataclass(frozen=True, slots=True)
class FleetTiming:
    """Lessons in seconds, as of the ledger that was asked about; `headers` when somebody has learned from the
    network's past headers.
    """

    horizon_s: float
    clock_lag_s: float
    headers: bool


class TimingStore:
    """One round trip a call, which tells and asks; RedisUnreachable as every call."""

    def __init__(self, redis: Redis, prefix: str, unreadable: UnreadableKeys | None = None) -> None:
        self._scripts = Scripts(redis, unreadable)
        self._key = FleetKeys.of(prefix).timing

    async def share(
        self,
        ledger: int,
        horizon_s: float,
        clock_lag_s: float,
        *,
        half_life_ledgers: int,
        headers: bool = False,
    ) -> FleetTiming:
        """Tells the fleet what the caller holds, as of `ledger`, and returns what the fleet holds then."""
        # Rounded down, so that telling each other the same lesson for ever does not keep it alive.
        horizon_us, clock_lag_us = int(horizon_s * _US), int(clock_lag_s * _US)
        reply = await self._scripts.run(
            "share_timing-1",
            [self._key],
            [ledger, horizon_us, clock_lag_us, half_life_ledgers, int(headers)],
        )
        return FleetTiming(int(reply[0]) / _US, int(reply[1]) / _US, reply[2] == b"1")
