"""What repeats during an outage is told once at its start, once a minute, and once at its end."""

from __future__ import annotations

from typing import Any, cast

import pytest
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from sorofast.errors import RedisUnreachable, RedisUnreadable, RpcUnreachable
from sorofast.observability.outages import KINDS_MAX, OTHERS, QUIET_S, Outages
from sorofast.testing.clock import StubClock


@pytest.fixture
def log() -> CapturingLogger:
    return CapturingLogger()


@pytest.fixture
def outages(log: CapturingLogger, clock: StubClock) -> Outages:
    return Outages(cast("FilteringBoundLogger", log), clock)


def lines(log: CapturingLogger) -> list[tuple[str, str, dict[str, Any]]]:
    return [(call.method_name, call.args[0], call.kwargs) for call in log.calls]


def test_an_outage_of_41_seconds_is_two_lines(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for _ in range(41 * 4):
        outages.failed("follow_failed", RpcUnreachable("nobody answers"), after_ledger=7)
        clock.advance(0.25)
    assert outages.lasting("follow_failed")
    assert outages.ok("follow_failed", "rpc_back")
    assert lines(log) == [
        ("warning", "follow_failed", {"reason": "nobody answers", "after_ledger": 7}),
        ("info", "rpc_back", {"after_s": 41.0, "failures": 164}),
    ]
    assert not outages.lasting("follow_failed")


def test_a_long_one_says_so_once_a_minute_with_the_newest_reason(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for second in range(601):
        outages.failed("stream_unreadable", f"reason {second}")
        clock.advance(1.0)
    assert len(log.calls) == 1 + 10
    assert lines(log)[-1] == (
        "warning", "stream_unreadable", {"reason": "reason 600", "for_s": 600, "failures": 601},
    )  # fmt: skip


def test_what_never_failed_says_nothing_when_it_works(outages: Outages, log: CapturingLogger) -> None:
    assert not outages.ok("follow_failed")
    outages.failed("lookup_failed", "x")
    assert not outages.ok("follow_failed")
    assert len(log.calls) == 1


def test_kinds_are_told_apart_and_each_ends_by_itself(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    outages.failed("a", "1")
    clock.advance(5)
    outages.failed("b", "2")
    clock.advance(5)
    assert outages.ok("a")
    assert outages.ok("b")
    assert [(name, fields.get("after_s")) for _, name, fields in lines(log)] == [
        ("a", None), ("b", None), ("a_over", 10.0), ("b_over", 5.0),
    ]  # fmt: skip


def test_the_next_outage_of_a_kind_begins_anew(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for _ in range(3):
        outages.failed("a", "x")
        clock.advance(1)
        outages.ok("a")
        clock.advance(60)
    assert [name for _, name, _ in lines(log)] == ["a", "a_over"] * 3
    assert {fields["failures"] for _, name, fields in lines(log) if name == "a_over"} == {1}


def test_what_fails_and_works_by_turns_is_two_lines_a_minute(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for _ in range(4 * 600):
        outages.failed("lookup_failed", "timeout")
        clock.advance(0.125)
        assert outages.ok("lookup_failed")
        clock.advance(0.125)
    told = lines(log)
    assert len(told) == 2 * 10
    counted = [fields["failures"] for _, name, fields in told if name == "lookup_failed_over"]
    assert counted == [1] + [240] * 9


def test_an_outage_that_follows_the_last_one_closely_is_told_within_a_minute(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    outages.failed("a", "first")
    clock.advance(10)
    outages.ok("a")
    for _ in range(120):
        clock.advance(0.5)
        outages.failed("a", "second")
    outages.ok("a")
    assert lines(log)[2:] == [
        ("warning", "a", {"reason": "second", "for_s": 50, "failures": 100}),
        ("info", "a_over", {"after_s": 59.5, "failures": 120}),
    ]


def test_kinds_without_end_do_not_fill_the_memory_nor_the_log(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for number in range(10_000):
        outages.failed(f"kind {number}", "x")
    assert len(log.calls) == KINDS_MAX + 1
    assert outages.lasting(OTHERS)
    clock.advance(3)
    for number in range(10_000):
        outages.ok(f"kind {number}")
    assert lines(log)[-1] == ("info", f"{OTHERS}_over", {"after_s": 3.0, "failures": 10_000 - KINDS_MAX})
    assert not outages.lasting(OTHERS)


def test_whatever_fails_of_redis_is_one_outage_and_over_when_all_of_it_works_again(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    for kind in ("heartbeat", "read_stream", "assign_shards"):
        outages.failed(kind, RedisUnreachable(f"{kind} failed"), source="a")
    clock.advance(5)
    outages.failed("heartbeat", RedisUnreachable("still"), source="b")
    for kind in ("read_stream", "assign_shards", "heartbeat"):
        assert not outages.ok(kind, source="a")
    assert outages.lasting("redis_unreachable")
    assert outages.ok("heartbeat", source="b")
    assert lines(log) == [
        ("warning", "redis_unreachable", {"reason": "heartbeat failed"}),
        ("info", "redis_back", {"text": "Redis back after 5 s", "after_s": 5.0, "failures": 4}),
    ]


def test_an_outage_counts_from_the_first_request_that_failed(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    clock.advance(100)
    outages.failed("a", "x", since_s=90.0)
    clock.advance(31)
    outages.ok("a")
    assert lines(log)[-1][2]["after_s"] == 41.0


def test_what_nobody_asks_a_server_any_more_is_not_an_outage_for_ever(
    outages: Outages, log: CapturingLogger, clock: StubClock
) -> None:
    outages.failed("send_unanswered", RpcUnreachable("gone"), source="a")
    outages.failed("wall_clock_wrong", "by an hour", source="a")
    clock.advance(QUIET_S + 1)
    outages.sweep()
    assert [name for _, name, _ in lines(log)] == [
        "send_unanswered",
        "wall_clock_wrong",
        "send_unanswered_over",
    ]
    assert lines(log)[-1][2]["after_s"] == 0.0


def test_a_key_that_does_not_read_is_no_redis_that_is_away(outages: Outages, log: CapturingLogger) -> None:
    outages.failed("load_failed", RedisUnreadable("a list where the log should be"), shard=3)
    outages.failed("heartbeat", RedisUnreachable("nobody answers"))
    assert outages.ok("heartbeat")
    assert [(event, fields.get("reason")) for _, event, fields in lines(log)] == [
        ("load_failed", "a list where the log should be"),
        ("redis_unreachable", "nobody answers"),
        ("redis_back", None),
    ]
    assert outages.lasting("load_failed")
