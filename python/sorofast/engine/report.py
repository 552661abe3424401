"""What a worker tells its supervisor: one JSON line per fact, over its stdout. Counts only; never a secret."""

from __future__ import annotations

import os

import msgspec

from sorofast.observability.counters import Counts

__all__ = ["LedgerReport", "Loaded", "Reporter", "Stopping", "Up", "decode_report"]


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


class LedgerReport(msgspec.Struct, tag="ledger"):
    """One worker's part in one ledger: how many tasks and envelopes it holds, and what it did since the last."""

    member: str
    ledger: int
    close_time_s: int
    tasks: int = 0
    in_flight: int = 0
    duration_ms: float = 0.0
    counts: Counts = msgspec.field(default_factory=Counts)

    def merge(self, other: LedgerReport) -> None:
        """Adds another worker's part; the duration is that of the slowest."""
        self.tasks += other.tasks
        self.in_flight += other.in_flight
        self.duration_ms = max(self.duration_ms, other.duration_ms)
        self.counts.merge(other.counts)


KEPT_MAX_BYTES = 1 << 20

Report = Up | Loaded | Stopping | LedgerReport
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
