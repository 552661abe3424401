"""What the fleet has learned about calls, in Redis: stored once by whoever simulated, read by everybody else.

Not fenced: nothing that lands depends on it being the newest, since a template that is wrong fails or does nothing and
is dropped. Losing it costs simulations.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from sorofast.coordination.keys import FleetKeys
from sorofast.coordination.scripts import Scripts
from sorofast.observability.unreadable import UnreadableKeys

__all__ = ["LESSONS_MAX", "Change", "Lesson", "TemplateStore"]

LESSON_SCHEMA = 1
LESSONS_MAX = 2_048
_READ_MAX = 256


class Lesson(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What one simulation of one call taught."""

    schema: int = LESSON_SCHEMA
    version: str
    """What it was made by and for; one of another version is passed over."""
    template: bytes
    """The template, sealed by the fleet's keeper; empty where only the rest still holds."""
    fee: int
    """What the registry takes from the task's gas for a run, in stroops or its token's smallest unit; 0 if unknown."""
    gated: bool = False
    """The last run of it had no effect, so none is sent before a simulation has seen one run."""
    failures: int = 0
    """How often a run failed because it touched or used something else than the run before."""
    write_bytes: int = 0
    """Bytes that the simulation wrote."""
    write_bytes_pad: int = 0
    """Bytes that the template declares beyond them, for entries that grow."""
    proved: int = 0
    """Of a kind of calls that share a template: about how many ran with it that had none of their own."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one call's lesson; None if it was dropped, or is not one of ours."""

    template: int
    number: int
    lesson: Lesson | None


class TemplateStore:
    """Raises RedisUnreachable."""

    def __init__(self, redis: Redis, prefix: str, unreadable: UnreadableKeys | None = None) -> None:
        keys = FleetKeys.of(prefix)
        self._keys = [keys.templates, keys.template_changes]
        self._scripts = Scripts(redis, unreadable)

    async def store(self, template: int, lesson: Lesson | None, number: int | None = None) -> int:
        """Stores a lesson, or drops it with None, unless it has changed since `number`; returns the change's number,
        0 if nothing was changed.
        """
        packed = b"" if lesson is None else msgspec.msgpack.encode(lesson)
        about = "" if number is None else number
        return int(
            await self._scripts.run(
                "store_template-2", self._keys, [str(template), packed, about, LESSONS_MAX]
            )
        )

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        """(number to go on from, changes after `since` in order), a bounded number of them in one call."""
        reply = await self._scripts.run("read_templates-2", self._keys, [since, _READ_MAX])
        changes = []
        for at in range(1, len(reply), 3):
            try:
                changes.append(Change(int(reply[at]), int(reply[at + 1]), _decode(reply[at + 2])))
            except ValueError:
                continue  # no call of ours; it gives way in time, as whatever changed longest ago does
        return int(reply[0]), changes


def _decode(packed: bytes) -> Lesson | None:
    """None for what another version of ours wrote, or nobody did: it is learned anew."""
    try:
        lesson = msgspec.msgpack.decode(packed, type=Lesson)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return lesson if lesson.schema == LESSON_SCHEMA else None
