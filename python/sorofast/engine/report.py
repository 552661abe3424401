"""What a worker tells its supervisor: one JSON line per fact, over its stdout. Counts only; never a secret."""

from __future__ import annotations

import os
from collections import Counter

import msgspec

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
    """One worker's part in one ledger. `skipped` counts tasks by reason name, `late` counts runs by ledgers
    late.
    """

    member: str
    ledger: int
    close_time_s: int
    tasks: int = 0
    due: int = 0
    sent: int = 0
    executed: int = 0
    failed: int = 0
    no_effect: int = 0
    expired: int = 0
    errors: int = 0
    in_flight: int = 0
    duration_ms: float = 0.0
    skipped: dict[str, int] = {}
    late: dict[int, int] = {}
    rpc_calls: dict[str, int] = {}

    def merge(self, other: LedgerReport) -> None:
        """Adds another worker's part; the duration is that of the slowest."""
        for name in (
            "tasks",
            "due",
            "sent",
            "executed",
            "failed",
            "no_effect",
            "expired",
            "errors",
            "in_flight",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.duration_ms = max(self.duration_ms, other.duration_ms)
        self.skipped = dict(Counter(self.skipped) + Counter(other.skipped))
        self.late = dict(Counter(self.late) + Counter(other.late))
        self.rpc_calls = dict(Counter(self.rpc_calls) + Counter(other.rpc_calls))


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
