"""Whether the RPC answers for the chain that the fleet has followed so far.

An address may lead to another server from one day to the next: one that lags, one of another network, or the same test
network after it was reset, which counts its ledgers from the beginning. Its answers fit nothing that the fleet has
written down. So a new follower, and one whose RPC was away or shows a leap, looks twice before it publishes anything:
the network's passphrase has to be ours, and one of the last ledgers that the fleet has seen has to have closed about
when the fleet saw it close. Two networks have a ledger of that number at the same time by nothing but malice; and what
the fleet saw may have been told wrong, which must not stop it for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sorofast.chain.models import Health
from sorofast.chain.rpc import RpcClient
from sorofast.clock import Clock
from sorofast.errors import LAG_LEDGERS_MAX, DecodeError, RpcError, RpcOutOfStep

__all__ = ["KNOWN_MAX", "SameChain"]

ASK_NETWORK_EVERY_S = 10.0
KNOWN_MAX = 5
"""So many of the last ledgers are known: one node that told a close time wrong is outvoted."""
MISHEARD_S = 10
"""Whoever stands before the nodes may tell the close time of the ledger before. Of a network that was reset the ledger
of a number closes later by all the time that the old one lived.
"""
WHAT_TO_DO = (
    "nothing is run meanwhile; point network.rpc_url at the network of this fleet, or give the fleet a redis.prefix of "
    "its own for another one"
)


class SameChain:
    """`check` before a ledger is published, `taken` after it, `doubt` when the server may have become another one."""

    def __init__(self, rpc: RpcClient, passphrase: str, clock: Clock) -> None:
        self._rpc = rpc
        self._passphrase = passphrase
        self._clock = clock
        # (ledger, close time), the newest last.
        self._known: deque[tuple[int, int]] = deque(maxlen=KNOWN_MAX)
        self._sure = False
        self._asked_s: float | None = None
        self._stranger = ""

    def remember(self, seen: Iterable[tuple[int, int]]) -> None:
        """(ledger, close time) of what the fleet has seen last, in order, whoever followed then."""
        self._known.clear()
        self._known.extend(seen)
        self._sure = False

    def taken(self, health: Health) -> None:
        self._known.append((health.latest_ledger, health.close_time_s))

    def doubt(self) -> None:
        self._sure = False

    async def check(self, health: Health) -> None:
        """Raises RpcOutOfStep for a server that is far behind, or of another chain; what the network may raise."""
        if not self._known:
            self._sure = True
            return
        ledger, _ = self._known[-1]
        if health.latest_ledger < ledger - LAG_LEDGERS_MAX:
            self._sure = False
            await self._same_network()
            raise RpcOutOfStep.behind(self._rpc.name, health.latest_ledger, ledger, WHAT_TO_DO)
        if self._sure or health.latest_ledger <= ledger:
            return
        self._asked_s = None
        await self._same_network()
        wrong: tuple[int, int] | None = None
        for number, close_time_s in reversed(self._known):
            there_s = await self._closed_there(number, health)
            if there_s is None:
                continue
            if abs(there_s - close_time_s) <= MISHEARD_S:
                wrong = None
                break
            wrong = wrong or (number, there_s - close_time_s)
        if wrong is not None:
            number, later_s = wrong
            raise RpcOutOfStep(
                f"{self._rpc.name} has another ledger {number} than the fleet has seen, closed {abs(later_s)} s "
                f"{'later' if later_s > 0 else 'earlier'}: it is of another or a reset network; {WHAT_TO_DO}"
            )
        self._sure = True

    async def _same_network(self) -> None:
        """Asks for the passphrase now and then; raises RpcOutOfStep while it is not ours."""
        now_s = self._clock.monotonic()
        if self._asked_s is None or now_s - self._asked_s >= ASK_NETWORK_EVERY_S:
            served = str((await self._rpc.get_network()).get("passphrase"))
            self._asked_s = now_s
            self._stranger = "" if served == self._passphrase else served
        if self._stranger:
            raise RpcOutOfStep(
                f"{self._rpc.name} serves another network now, {self._stranger!r}; {WHAT_TO_DO}"
            )

    async def _closed_there(self, ledger: int, health: Health) -> int | None:
        """The close time the server has of that ledger; None where it cannot tell."""
        if ledger < health.oldest_ledger:
            return None
        try:
            closes_ms = await self._rpc.close_times_ms(ledger, 1)
        except (RpcError, DecodeError):
            return None
        return next((at_ms // 1000 for number, at_ms in closes_ms if number == ledger), None)
