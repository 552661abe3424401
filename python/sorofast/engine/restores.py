"""What the fleet wants restored by an operation of its own, as one worker knows it and tells the others.

A run restores what is archived of it by itself, up to a number of entries. What goes beyond is a need: written down for
the whole fleet by whoever saw it in a simulation, and done by one shard (`triggers/restores.py`), while the calls that
need it wait. What a simulation sees is all that counts, so a need that got lost is written down again, and one that
stayed behind finds nothing to restore.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from sorofast.chain.ledger import LedgerClock
from sorofast.chain.limits import TransactionLimits, read_limits
from sorofast.chain.rpc import RpcClient
from sorofast.coordination.restores import KEYS_MAX, NEEDS_MAX, RestoreNeed, RestoreStore, need_id
from sorofast.engine.loops import Background
from sorofast.engine.relay import OutageNotes
from sorofast.errors import DecodeError, RedisUnreachable, RedisUnreadable, RpcError, RpcUnreachable
from sorofast.executions.key import Subject, name_of_subject

__all__ = ["LOOK_LEDGERS", "FleetRestores"]

LOOK_LEDGERS = 2
"""What waits for a restore is simulated again every so many ledgers."""
REFUSED_LEDGERS_MAX = 64
FORGOTTEN_LEDGERS = 512
"""A need is taken off after so long, in case that nobody has it any more; who has writes it down again."""
LIMITS_LEDGERS = 720


class FleetRestores:
    """What has to be written waits until `sync`, but for a new need."""

    def __init__(
        self,
        store: RestoreStore,
        rpc: RpcClient,
        ledgers: LedgerClock,
        log: FilteringBoundLogger,
        outages: OutageNotes,
        background: Background,
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._ledgers = ledgers
        self._log = log
        self._outages = outages
        self._background = background
        self._needs: dict[int, RestoreNeed] = {}
        # None for those to be taken off.
        self._unwritten: dict[int, RestoreNeed | None] = {}
        self.limits: TransactionLimits | None = None
        """What one transaction may read and write; None until the node has told."""
        self._ask_ledger = 0
        self._reading: asyncio.Task[None] | None = None

    @property
    def needs(self) -> Mapping[int, RestoreNeed]:
        """Every need by its number."""
        return self._needs

    # What calls need

    def under_way(self, keys: Sequence[bytes]) -> bool:
        """Whether any of these entries is to be restored already, and nothing speaks against it."""
        wanted, ledger = set(keys), self._ledgers.latest[0]
        return any(not need.refused_at(ledger) and wanted & set(need.keys) for need in self._needs.values())

    async def ask(self, keys: Sequence[bytes], subject: Subject) -> int:
        """Has these entries (whole ledger keys) restored, for the subject among others. Returns the ledger in which
        it makes sense to see whether they are. Raises RedisUnreachable.
        """
        ledger, close_s = self._ledgers.latest
        wanted = tuple(sorted(set(keys)))[:KEYS_MAX]
        number = need_id(wanted)
        again = ledger + LOOK_LEDGERS
        for known, need in self._needs.items():
            covers = not need.refused_at(ledger) and set(wanted) <= set(need.keys)
            if covers or known == number:
                return max(again, need.refused_until)
        if len(self._needs) >= NEEDS_MAX and not self._make_room():
            self._log.info("restores_wait", entries=len(wanted), waiting=len(self._needs))
            return again
        need = RestoreNeed(
            keys=wanted, wanted_by=name_of_subject(subject), asked_ledger=ledger, asked_s=close_s
        )
        await self._store.add(number, need)
        self._needs[number] = need
        self._log.info("restore_wanted", id=f"{number:016x}", entries=len(wanted), wanted_by=need.whose)
        return again

    def _make_room(self) -> bool:
        """What was held back most often gives way: no number of needs that cannot be met may keep out one that can."""
        refused = [(need.attempts, number) for number, need in self._needs.items() if need.refused]
        if refused:
            self.drop(max(refused)[1])
        return bool(refused)

    # What the shard says that does it

    def part_of(self, number: int) -> tuple[bytes, ...]:
        """The entries of a need that no earlier one restores."""
        need, ledger = self._needs[number], self._ledgers.latest[0]
        place = (need.asked_ledger, number)
        earlier: set[bytes] = set()
        for known, other in self._needs.items():
            if (other.asked_ledger, known) < place and not other.refused_at(ledger):
                earlier.update(other.keys)
        return tuple(key for key in need.keys if key not in earlier)

    def refuse(self, number: int, why: str) -> None:
        """It cannot be done now. It is looked at again after a pause that grows each time."""
        need = self._needs.get(number)
        if need is None:
            return
        pause = min(REFUSED_LEDGERS_MAX, LOOK_LEDGERS * 2 ** min(need.attempts, 10))
        until = self._ledgers.latest[0] + pause
        self._put(
            number,
            msgspec.structs.replace(need, attempts=need.attempts + 1, refused=why, refused_until=until),
        )
        self._log.warning(
            "restore_held_back",
            id=f"{number:016x}",
            wanted_by=need.whose,
            error=why,
            then=f"looked at again in {pause} ledgers; what needs it waits, and shows `archived`",
        )

    def rest(self, number: int, until_s: int) -> None:
        """What did not work rests until that second, as far as those who wait for it have to know."""
        need, (ledger, close_s) = self._needs.get(number), self._ledgers.latest
        if need is not None and not need.refused_at(ledger):
            pause = math.ceil((until_s - close_s) / self._ledgers.target_s)
            until = ledger + max(1, min(REFUSED_LEDGERS_MAX, pause))
            why = need.refused or "the operation that restores them did not work before, and rests"
            self._put(number, msgspec.structs.replace(need, refused=why, refused_until=until))

    def worked(self, number: int) -> None:
        """One operation of it has landed."""
        need = self._needs.get(number)
        if need is not None and need.attempts:
            self._put(number, msgspec.structs.replace(need, attempts=0, refused="", refused_until=0))

    def drop(self, number: int) -> None:
        """Nothing of it is archived any more, or nobody needs it."""
        if self._needs.pop(number, None) is not None:
            self._unwritten[number] = None

    def expired(self, need: RestoreNeed) -> bool:
        """Whether it has stood for long."""
        return need.asked_ledger + FORGOTTEN_LEDGERS < self._ledgers.latest[0]

    # Redis

    async def sync(self) -> None:
        """Writes what changed here and takes what others changed. Redis away: the next ledger will do."""
        self._look_at_limits()
        try:
            while self._unwritten:
                number, need = next(iter(self._unwritten.items()))
                if need is None:
                    await self._store.drop(number)
                else:
                    await self._store.write(number, need)
                if self._unwritten.get(number) is need:
                    del self._unwritten[number]
            found = await self._store.read()
        except RedisUnreadable:
            return  # told where it was read
        except RedisUnreachable as error:
            self._outages.failed("sync_restores", error)
            return
        self._outages.ok("sync_restores")
        for number, need in self._unwritten.items():
            if need is None:
                found.pop(number, None)
            else:
                found[number] = need
        self._needs = found

    def _look_at_limits(self) -> None:
        """Asks for them behind everything else, once in a long while; until there is an answer, with every ledger."""
        ledger = self._ledgers.latest[0]
        if ledger < self._ask_ledger or (self._reading is not None and not self._reading.done()):
            return
        self._ask_ledger = ledger + 1
        self._reading = self._background.begin(self._read_limits(), "limits")

    async def _read_limits(self) -> None:
        try:
            self.limits = await read_limits(self._rpc)
        except (RpcUnreachable, RpcError, DecodeError) as error:
            self._outages.failed("limits_unread", error)
            return
        self._ask_ledger = self._ledgers.latest[0] + LIMITS_LEDGERS
        self._outages.ok("limits_unread", "limits_read")

    def _put(self, number: int, need: RestoreNeed) -> None:
        self._needs[number] = self._unwritten[number] = need
