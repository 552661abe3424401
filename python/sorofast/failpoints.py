"""Named places between plan and record where a test may kill, stop, delay or fail a process.

Nothing happens unless the environment variable SOROFAST_FAILPOINTS is set, and it is meant for tests alone:

    SOROFAST_FAILPOINTS="marks=/tmp/marks;claim.committed=kill@3*1;send.answered=delay:200"

Entries are separated by `;`. One is `NAME=ACTION`, then optionally `?FIELD=VALUE`: only when it is that one that is in
hand there, as in `simulate.judging=kill?task=7`, `@N`: only at the N-th time this process passes there so, and `*N`: at
most so many strikes in all. `marks=DIRECTORY` names a folder, which must be there, in
which every strike leaves a file `NAME.1`, `NAME.2`, … before it acts; with it `*N` counts the strikes of all
processes that share the folder, so that a worker which takes a killed one's place is spared.

Actions: `kill` (SIGKILL to this process), `stop` (SIGSTOP to this process), `delay:MILLISECONDS`, `error`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sorofast.errors import ConfigError, SorofastError

__all__ = ["FIELDS", "NAMES", "VARIABLE", "check", "failpoint", "failpoint_sync"]

VARIABLE = "SOROFAST_FAILPOINTS"

NAMES = {
    "simulate.judging": "a simulation's answer is about to be read and learned from",
    "build.signing": "envelopes are about to be built and signed",
    "read.decoding": "entries that the node has answered with are about to be decoded",
    "ingest.rows": "what a ledger changed is about to be taken into a task table",
    "plan.simulated": "a simulation has been answered, nothing is planned from it yet",
    "build.done": "envelopes are signed and nowhere but in this process",
    "claim.before": "the script that claims and settles is about to be called",
    "claim.committed": "the log holds the claims, and nothing has been sent",
    "send.before": "an envelope's bytes are about to leave",
    "send.answered": "the node has answered, and nobody here knows it yet",
    "settle.judged": "it is known which envelopes have ended",
    "settle.looked_up": "the node has said what became of an envelope",
    "settle.before": "the script that settles is about to be called",
    "settle.committed": "the log has settled, and this process does not know it yet",
    "snapshot.before": "a shard's table is about to be stored",
    "handover.before": "a shard is about to be handed over",
    "follow.read": "the follower has read a ledger, and has not published it",
    "follow.published": "the follower has published a ledger, and has not noted it",
}
"""What is true when a process passes there."""

FIELDS = {
    "simulate.judging": {"task"},
    "build.signing": {"task"},
    "read.decoding": {"task"},
    "ingest.rows": {"task"},
}
"""What a place tells of what is in hand there; others tell nothing."""

_MARKS_MAX = 10_000
_ENTRY = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<action>kill|stop|error|delay:(?P<delay_ms>\d{1,6}))"
    r"(?:\?(?P<field>[a-z_]+)=(?P<value>[A-Za-z0-9_./-]{1,64}))?"
    r"(?:@(?P<pass>[1-9]\d{0,8}))?(?:\*(?P<limit>[1-9]\d{0,8}))?"
)


@dataclass(slots=True)
class _Point:
    action: str
    delay_ms: int
    field: str | None
    value: str
    at_pass: int | None
    limit: int
    passes: int = 0
    strikes: int = 0


@dataclass(slots=True)
class _Plan:
    points: dict[str, _Point] = field(default_factory=dict)
    marks: Path | None = None


# Read once: this is what every pass pays where no test is at work.
_text = os.environ.get(VARIABLE, "")
_plan: _Plan | None = None


def check(text: str) -> None:
    """Raises ConfigError, in one line, for what the variable must not hold."""
    _parse(text)


async def failpoint(name: str) -> None:
    """Passes the place `name`, one of NAMES. SorofastError where it is told to fail."""
    if _text:
        point = _struck(name, {})
        if point is not None and point.action == "delay":
            await asyncio.sleep(point.delay_ms / 1000)


def failpoint_sync(name: str, **in_hand: Iterable[object]) -> None:
    """The same where nothing may be awaited: a delay there holds up the whole process. `in_hand` are the place's
    FIELDS, looked at only where a test asks for one of them.
    """
    if _text:
        point = _struck(name, in_hand)
        if point is not None and point.action == "delay":
            time.sleep(point.delay_ms / 1000)


def _struck(name: str, in_hand: Mapping[str, Iterable[object]]) -> _Point | None:
    """Kills, stops or raises; returns the point that struck, for the caller to wait where that is its action."""
    global _plan
    if _plan is None:
        _plan = _parse(_text)
    if name not in NAMES:
        raise SorofastError(f"failpoints.NAMES has no {name!r}")
    point = _plan.points.get(name)
    if point is None or not _is_meant(point, in_hand):
        return None
    point.passes += 1
    if point.at_pass is not None and point.passes != point.at_pass:
        return None
    if not _may_strike(name, point, _plan.marks):
        return None
    match point.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "error":
            raise SorofastError(f"{VARIABLE} has {name} fail here")
    return point


def _is_meant(point: _Point, in_hand: Mapping[str, Iterable[object]]) -> bool:
    return point.field is None or any(str(value) == point.value for value in in_hand.get(point.field, ()))


def _may_strike(name: str, point: _Point, marks: Path | None) -> bool:
    """Takes one of the strikes that are left. A mark is made before anything happens: a killed process makes none."""
    if marks is None:
        point.strikes += 1
        return point.strikes <= point.limit
    for number in range(point.strikes + 1, point.limit + 1):
        point.strikes = number
        try:
            handle = os.open(marks / f"{name}.{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        os.write(handle, str(os.getpid()).encode())
        os.close(handle)
        return True
    return False


def _parse(text: str) -> _Plan:
    plan = _Plan()
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        if entry.startswith("marks="):
            plan.marks = Path(entry.removeprefix("marks="))
            if not plan.marks.is_dir():
                raise ConfigError(f"{VARIABLE}: {entry}: there is no such folder")
            continue
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ConfigError(
                f"{VARIABLE}: {entry!r} is no failpoint; write NAME=kill, stop, error or delay:MILLISECONDS, "
                "then ?FIELD=VALUE for what is in hand, @N for the N-th pass and *N for at most N strikes, with ; "
                "between entries"
            )
        name = found["name"]
        if name not in NAMES:
            raise ConfigError(f"{VARIABLE}: there is no failpoint {name!r}; there are {', '.join(NAMES)}")
        if found["field"] and found["field"] not in FIELDS.get(name, ()):
            raise ConfigError(f"{VARIABLE}: {name} does not tell which {found['field']} is in hand")
        if name in plan.points:
            raise ConfigError(f"{VARIABLE}: {name} stands there twice")
        plan.points[name] = _Point(
            action=found["action"].partition(":")[0],
            delay_ms=int(found["delay_ms"] or 0),
            field=found["field"],
            value=found["value"] or "",
            at_pass=int(found["pass"]) if found["pass"] else None,
            limit=int(found["limit"] or _MARKS_MAX),
        )
    return plan
