"""What a worker tells its supervisor: one JSON line per fact, over its stdout. Never a secret.

Nine workers that meet the same dead server have one thing to say. So what troubles a worker is told to the supervisor,
which says it for all of them (`engine.run_log`).
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from sorofast.observability.counters import Counts

__all__ = [
    "Failing",
    "LedgerReport",
    "Loaded",
    "News",
    "Reporter",
    "Stopping",
    "Up",
    "Working",
    "decode_report",
]


class Up(msgspec.Struct, tag="up", frozen=True):
    """The worker has its interpreter, its signer and its connections, and waits for the word to start."""

    member: str
    pid: int


class Loaded(msgspec.Struct, tag="loaded", frozen=True):
    """The shards the worker holds and has loaded, sorted; sent whenever they change."""

    member: str
    shards: list[int]
    follower: bool


class Stopping(msgspec.Struct, tag="stopping", frozen=True):
    """The worker ends with `exit_code`; `reason` is for the operator."""

    member: str
    exit_code: int
    reason: str
    cause: str = ""
    """Which server it could not go on without (`observability.outages.Cause`)."""


class Failing(msgspec.Struct, tag="failing", frozen=True):
    """A kind of failure has begun, or goes on: so many `failures` since the last report of it. `since_s` is the second
    of this host's monotonic clock in which the first request that failed was made.
    """

    member: str
    kind: str
    cause: str
    reason: str
    since_s: float
    failures: int = 1
    fields: dict[str, Any] = {}


class Working(msgspec.Struct, tag="working", frozen=True):
    """What failed works again, or is not looked at any more where it was not `seen` to. `back` names the line that says
    so.
    """

    member: str
    kind: str
    back: str | None = None
    seen: bool = True
    fields: dict[str, Any] = {}


class News(msgspec.Struct, tag="news", frozen=True):
    """Something that happened to `items` (tasks, channels, shards, as `what` says), to be told together with the same
    that happened elsewhere.
    """

    member: str
    event: str
    reason: str
    what: str
    items: list[int | str]
    level: str = "warning"
    fields: dict[str, Any] = {}


class LedgerReport(msgspec.Struct, tag="ledger"):
    """One worker's part in one ledger: how many tasks and envelopes it holds, and what it did since the last."""

    member: str
    ledger: int
    close_time_s: int
    tasks: int = 0
    in_flight: int = 0
    duration_ms: float = 0.0
    counts: Counts = msgspec.field(default_factory=Counts)
    standing: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """How many things are in a bad state now, by state and reason (`engine.standing`)."""

    def merge(self, other: LedgerReport) -> None:
        """Adds another worker's part; the duration is that of the slowest."""
        self.tasks += other.tasks
        self.in_flight += other.in_flight
        self.duration_ms = max(self.duration_ms, other.duration_ms)
        self.counts.merge(other.counts)


KEPT_MAX_BYTES = 1 << 20

Report = Up | Loaded | Stopping | Failing | Working | News | LedgerReport
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def decode_report(line: bytes) -> Report:
    """Raises msgspec.DecodeError for anything that is not a report."""
    return _decoder.decode(line)


class Reporter:
    """Writes reports to a pipe, a line each, without ever waiting for its reader.

    A supervisor that is stuck or gone must not stop a worker from renewing its leases: what the pipe does
    not take is kept up to a bound, and beyond it reports are dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._kept = bytearray()
        os.set_blocking(descriptor, False)

    def send(self, report: Report) -> None:
        line = _encoder.encode(report) + b"\n"
        if len(self._kept) + len(line) > KEPT_MAX_BYTES:
            self.dropped += 1
        else:
            self._kept += line
        try:
            while self._kept:
                del self._kept[: os.write(self._descriptor, self._kept)]
        except (BlockingIOError, BrokenPipeError):
            return
