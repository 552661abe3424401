"""Reports never wait for their reader."""

from __future__ import annotations

import os

from sorofast.engine.report import KEPT_MAX_BYTES, Loaded, Reporter, decode_report

REPORT = Loaded(member="m" * 1_000, shards=list(range(16)), follower=False)


def test_a_reader_that_is_stuck_costs_reports_and_no_time() -> None:
    reader, writer = os.pipe()
    try:
        reporter = Reporter(writer)
        while not reporter.dropped:
            reporter.send(REPORT)
        # What was kept and what the pipe holds still comes out whole, in lines.
        os.set_blocking(reader, False)
        data = bytearray()
        while True:
            try:
                data += os.read(reader, 1 << 16)
            except BlockingIOError:
                before = len(data)
                reporter.send(REPORT)
                try:
                    data += os.read(reader, 1 << 16)
                except BlockingIOError:
                    break
                assert len(data) > before
            if len(data) > 2 * KEPT_MAX_BYTES:
                break
        lines = bytes(data).split(b"\n")
        assert all(decode_report(line) == REPORT for line in lines[:-1])
    finally:
        os.close(reader)
        os.close(writer)


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        Reporter(writer).send(REPORT)
    finally:
        os.close(writer)
