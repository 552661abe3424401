"""What a worker tells its supervisor: one JSON line per fact, over its stdout. Counts only; never a secret."""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO

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


Report = Up | Loaded | Stopping | LedgerReport
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def decode_report(line: bytes) -> Report:
    """Raises msgspec.DecodeError for anything that is not a report."""
    return _decoder.decode(line)


class Reporter:
    """Writes reports, a line each, unbuffered. A supervisor that is gone is no reason to fail in
    mid-ledger.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def send(self, report: Report) -> None:
        try:
            self._stream.write(_encoder.encode(report) + b"\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            return
