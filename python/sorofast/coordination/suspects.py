"""What was in hand when workers died: noted by their supervisor, heeded by every worker of the fleet.

Who was in hand together with others when a worker died is handled alone from then on. If it is the one that kills, it
is alone in hand at the next death, and at the one after; then it is not handled any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from redis.asyncio import Redis

from sorofast.coordination.in_hand import AT_ONCE_MAX, InHand
from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.scripts import Scripts
from sorofast.executions.key import Subject, name_of_subject, subject_of_name
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["DEATHS_MAX", "REMEMBERED_S", "SUSPECTS_MAX", "SuspectStore", "Suspects"]

DEATHS_MAX = 3
"""A subject that was in hand at so many deaths is handled no more."""
REMEMBERED_S = 24 * 3_600
"""What is noted against a subject is forgotten so long after its last death."""
SUSPECTS_MAX = 1_024
REASON_MAX = 100

Item = TypeVar("Item")


class SuspectStore:
    """Raises RedisUnreachable."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        remembered_s: float = REMEMBERED_S,
        unreadable: UnreadableKeys | None = None,
    ) -> None:
        self._key = FleetKeys.of(prefix).suspects
        self._scripts = Scripts(redis, unreadable)
        self._remembered_ms = int(remembered_s * 1000)

    async def note(self, member: str, reason: str, subjects: Sequence[Subject]) -> dict[Subject, int]:
        """Notes what `member` had in hand when it died; returns each one's deaths."""
        if not subjects:
            return {}
        names = [name_of_subject(subject) for subject in subjects[:AT_ONCE_MAX]]
        reply = await self._scripts.run(
            "note_death-1",
            [self._key],
            [member, reason[:REASON_MAX], self._remembered_ms, SUSPECTS_MAX, *names],
        )
        return {subject: int(deaths) for subject, deaths in zip(subjects, reply, strict=False)}

    async def read(self, known: str | None) -> tuple[str, dict[Subject, int] | None]:
        """The version, and the deaths of each suspect unless that version is `known`."""
        reply = await self._scripts.run("read_suspects-1", [self._key], ["-" if known is None else known])
        version = reply[0].decode()
        if version == known:
            return version, None
        found: dict[Subject, int] = {}
        for name, noted in zip(reply[1::2], reply[2::2], strict=True):
            try:
                found[subject_of_name(name.decode())] = int(noted.split(b" ", 1)[0])
            except ValueError:
                continue  # of a version that names them otherwise
        return version, found

    async def clear(self, subject: Subject) -> bool:
        """Holds nothing against the subject any more; False if nothing was."""
        return bool(await self._scripts.run("clear_suspect-1", [self._key], [name_of_subject(subject)]))


class Suspects:
    """What one worker knows of it, and the register in which it notes what it has in hand."""

    def __init__(self, store: SuspectStore | None = None, register: InHand | None = None) -> None:
        self._store = store
        self._register = register or InHand.unread()
        self._version: str | None = None
        self._deaths: Mapping[Subject, int] = {}

    async def refresh(self) -> None:
        """Learns what has changed. Raises RedisUnreachable."""
        if self._store is not None:
            self._version, deaths = await self._store.read(self._version)
            self._deaths = self._deaths if deaths is None else deaths

    def quarantined(self, subject: Subject) -> bool:
        """Whether it is not to be handled."""
        return self._deaths.get(subject, 0) >= DEATHS_MAX

    def suspected(self, subject: Subject) -> bool:
        """Whether it was in hand at a death, so that it is to be handled alone."""
        return subject in self._deaths

    def quarantined_of(self, source: str) -> frozenset[int | str]:
        """The ids of a source's subjects that are not to be handled."""
        return frozenset(
            subject[1]
            for subject, deaths in self._deaths.items()
            if subject[0] == source and deaths >= DEATHS_MAX
        )

    def hold(self, subjects: Iterable[Subject]) -> AbstractContextManager[None]:
        """Notes them as in hand within the block: see `InHand.hold`."""
        return self._register.hold(subjects)

    def parts(self, items: Sequence[Item], subject_of: Callable[[Item], Subject]) -> Iterator[Sequence[Item]]:
        """All items, in order, in parts that may be in hand at once; a suspect is one by itself."""
        if not self._deaths:
            yield from (items[at : at + AT_ONCE_MAX] for at in range(0, len(items), AT_ONCE_MAX))
            return
        start = 0
        for at, item in enumerate(items):
            alone = self.suspected(subject_of(item))
            if at > start and (alone or at - start == AT_ONCE_MAX):
                yield items[start:at]
                start = at
            if alone:
                yield items[at : at + 1]
                start = at + 1
        if start < len(items):
            yield items[start:]
