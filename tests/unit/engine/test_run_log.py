"""What a run says of its workers' troubles: once, whoever met it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from sorofast.clock import SystemClock
from sorofast.engine import run_log as module
from sorofast.engine.digest import LINES_MAX, SHOWN_MAX, Digest
from sorofast.engine.relay import Relay
from sorofast.engine.report import Failing, Loaded, News, Report, Working, decode_report
from sorofast.engine.run_log import RunLog
from sorofast.engine.skips import Skips
from sorofast.engine.standing import CHANNELS, OVER_AFTER_S, TASKS, Standing
from sorofast.errors import RedisUnreachable, RpcOutOfStep, RpcUnreachable
from sorofast.executions.key import Execution
from sorofast.observability.outages import QUIET_S, REMIND_EVERY_S
from sorofast.testing.clock import StubClock

REFUSED = RpcUnreachable("127.0.0.1:8000 refused the connection")


def lines(log: CapturingLogger) -> list[tuple[str, dict[str, Any]]]:
    return [(call.args[0], call.kwargs) for call in log.calls]


def names(log: CapturingLogger) -> list[str]:
    return [name for name, _ in lines(log)]


def bound(log: CapturingLogger) -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", log)


class Rpc:
    """One that answers, or not."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def ask(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def running(log: CapturingLogger, ask: Callable[[], Awaitable[None]]) -> AsyncIterator[RunLog]:
    made = RunLog(bound(log), SystemClock(), ask)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def log() -> CapturingLogger:
    return CapturingLogger()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK_S", "ASK_EVERY_S", "HELD_TOGETHER_S"):
        monkeypatch.setattr(module, name, 0.05)


def fails(member: str, kind: str, cause: str = "rpc", since_s: float | None = None, **more: Any) -> Failing:
    now_s = SystemClock().monotonic()
    return Failing(
        member=member, kind=kind, cause=cause, reason=f"{kind} of {member}",
        since_s=now_s if since_s is None else since_s, **more,
    )  # fmt: skip


async def test_whoever_of_the_workers_meets_a_dead_rpc_it_is_one_outage_from_the_first_failed_request_on(
    log: CapturingLogger,
) -> None:
    rpc = Rpc()
    rpc.error = REFUSED
    began_s = SystemClock().monotonic() - 7
    async with running(log, rpc.ask) as made:
        made.take(fails("a", "send_unanswered"))
        made.take(fails("b", "follow_failed", since_s=began_s, failures=3))
        await until(lambda: rpc.asked > 2)
        for number in range(20):
            made.take(fails(f"m{number}", "load_failed"))
        made.take(Working(member="b", kind="follow_failed", back="follows_again"))
        assert lines(log) == [("rpc_unreachable", {"reason": str(REFUSED)})]
        rpc.error = None
        await until(lambda: len(log.calls) > 1)
        # What was on its way then ends in an error now, and is no news.
        made.take(fails("c", "lookup_unanswered", since_s=began_s))
        asked = rpc.asked
        await asyncio.sleep(0.2)
    (_, _), (back, fields) = lines(log)
    assert (back, fields["after_s"] >= 7, fields["after_s"] < 9) == ("rpc_back", True, True)
    assert fields["text"] == f"RPC back after {fields['after_s']:.0f} s"
    assert fields["failures"] >= 24
    assert rpc.asked == asked, "it is asked although nothing fails"


async def test_an_rpc_that_answers_others_is_not_said_to_be_away(log: CapturingLogger) -> None:
    rpc = Rpc()
    async with running(log, rpc.ask) as made:
        for member in "abc":
            made.take(fails(member, "simulation_unanswered", fields={"task": 7}))
        await until(lambda: log.calls)
        for member in "ab":
            made.take(Working(member=member, kind="simulation_unanswered", back="again"))
        assert names(log) == ["simulation_unanswered"]
        made.take(Working(member="c", kind="simulation_unanswered", back="again"))
    assert names(log) == ["simulation_unanswered", "again"]
    assert lines(log)[0][1]["task"] == 7
    assert rpc.asked == 1


async def test_a_redis_that_takes_no_writes_is_not_back_because_it_can_be_read(log: CapturingLogger) -> None:
    async with running(log, Rpc().ask) as made:
        made.take(fails("a", "heartbeat", "redis"))
        made.take(fails("a", "read_stream", "redis"))
        made.take(fails("b", "heartbeat", "redis"))
        made.take(Working(member="a", kind="read_stream"))
        made.take(Working(member="a", kind="heartbeat"))
        assert names(log) == ["redis_unreachable"]
        made.take(Working(member="b", kind="heartbeat"))
    assert names(log) == ["redis_unreachable", "redis_back"]


async def test_a_worker_that_died_holds_no_outage_open_and_one_that_takes_its_place_goes_on_with_it(
    log: CapturingLogger, clock: StubClock
) -> None:
    made = RunLog(bound(log), clock, Rpc().ask)
    made.take(fails("a", "ledgers_stalled", "", since_s=0.0))
    made.gone("a")
    clock.advance(10)
    made.take(fails("b", "ledgers_stalled", "", since_s=0.0))
    made._tick()
    assert names(log) == ["ledgers_stalled"]
    made.take(Working(member="b", kind="ledgers_stalled", seen=False))
    clock.advance(20)
    made._tick()
    assert names(log) == ["ledgers_stalled", "ledgers_close_again"]


async def test_what_a_worker_holds_is_told_once_a_second_and_the_last_of_it_always(
    log: CapturingLogger,
) -> None:
    async with running(log, Rpc().ask) as made:
        for count in range(9):
            made.held(0, Loaded(member="a", shards=list(range(count)), follower=False))
        await until(lambda: log.calls)
        made.held(0, Loaded(member="a", shards=[], follower=False))
    assert lines(log) == [
        ("shards_held", {"slot": 0, "shards": list(range(8)), "follower": False}),
        ("shards_held", {"slot": 0, "shards": [], "follower": False}),
    ]


# The worker's side


@pytest.fixture
def told() -> list[Report]:
    return []


@pytest.fixture
def relay(told: list[Report], clock: StubClock) -> Relay:
    return Relay(told.append, "m", clock, bound(CapturingLogger()))


def test_a_loop_that_fails_all_the_time_tells_the_supervisor_once_a_second(
    relay: Relay, told: list[Report], clock: StubClock
) -> None:
    for _ in range(40):
        relay.failed("follow_failed", RpcUnreachable("gone", took_s=2.0), after_ledger=7)
        clock.advance(0.25)
    failing = [one for one in told if isinstance(one, Failing)]
    assert len(failing) == len(told) == 10
    assert sum(one.failures for one in failing) == 37
    assert {(one.cause, one.since_s, one.fields["after_ledger"]) for one in failing} == {("rpc", -2.0, 7)}
    assert relay.ok("follow_failed", "follows_again")
    assert not relay.ok("follow_failed", "follows_again")
    assert told[-1] == Working(member="m", kind="follow_failed", back="follows_again")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RpcUnreachable("x"), "rpc"),
        (RpcOutOfStep.behind("x", 1, 2), "rpc_out_of_step"),
        (RedisUnreachable("x"), "redis"),
        ("in words", ""),
    ],
)
def test_the_server_that_fails_is_told_with_it(
    relay: Relay, told: list[Report], error: object, cause: str
) -> None:
    relay.failed("k", error, source="triggers")
    (one,) = told
    assert isinstance(one, Failing)
    assert (one.cause, one.fields) == (cause, {"trigger": "triggers"})
    assert decode_report(msgspec.json.encode(one)) == one


def test_what_a_server_did_not_answer_once_is_not_in_force_for_ever(
    relay: Relay, told: list[Report], clock: StubClock
) -> None:
    relay.failed("send_unanswered", REFUSED)
    relay.failed("ledgers_stalled", "no ledger")
    assert [one.kind for one in relay.in_force()] == ["send_unanswered", "ledgers_stalled"]
    clock.advance(QUIET_S + 1)
    assert [one.kind for one in relay.in_force()] == ["ledgers_stalled"]


# Many at once


def news(event: str, *items: int | str, reason: str = "target_panics", **more: Any) -> News:
    return News(member="m", event=event, reason=reason, what="tasks", items=list(items), **more)


def test_a_thousand_tasks_that_fail_for_one_reason_are_a_line_and_then_one_a_minute(
    log: CapturingLogger, clock: StubClock
) -> None:
    digest = Digest(bound(log), clock)
    for second in range(180):
        for number in range(20):
            digest.take(news("task_skipped", 20 * second + number))
        clock.advance(1.0)
        digest.tick()
    assert len(log.calls) <= 3 * (LINES_MAX + 1)
    assert all(len(fields["tasks"]) <= SHOWN_MAX for _, fields in lines(log))
    digest.flush()
    assert sum(fields.get("number", len(fields["tasks"])) for _, fields in lines(log)) == 3_600


def test_a_few_tasks_have_a_line_each_with_what_each_of_them_says(
    log: CapturingLogger, clock: StubClock
) -> None:
    digest = Digest(bound(log), clock)
    digest.take(news("task_skipped", 7, fields={"error": "one"}))
    digest.take(news("task_skipped", 9, fields={"error": "two"}))
    clock.advance(2)
    digest.tick()
    assert lines(log) == [
        ("task_skipped", {"task": 7, "reason": "target_panics", "error": "one"}),
        ("task_skipped", {"task": 9, "reason": "target_panics", "error": "two"}),
    ]


def test_a_task_that_is_skipped_is_not_told_again_by_the_worker_that_takes_over(
    log: CapturingLogger, clock: StubClock
) -> None:
    digest = Digest(bound(log), clock)

    def after_a_minute(event: str, reason: str) -> list[str]:
        digest.take(news(event, 7, reason=reason))
        clock.advance(REMIND_EVERY_S + 1)
        digest.tick()
        return names(log)

    assert after_a_minute("task_skipped", "target_panics") == ["task_skipped"]
    assert after_a_minute("task_skipped", "target_panics") == ["task_skipped"]
    assert after_a_minute("task_skipped", "gas_below_fee") == ["task_skipped"] * 2
    assert after_a_minute("task_runs_again", "gas_below_fee")[2:] == ["task_runs_again"]
    assert after_a_minute("task_skipped", "gas_below_fee")[3:] == ["task_skipped"]


def test_the_same_told_by_all_workers_is_one_line(log: CapturingLogger, clock: StubClock) -> None:
    digest = Digest(bound(log), clock)
    for member in "abcd":
        digest.take(News(member=member, event="stream_gap", reason="r", what="ledgers", items=[105]))
    digest.flush()
    digest.flush()
    assert lines(log) == [("stream_gap", {"ledgers": [105], "reason": "r"})]


def test_what_is_in_a_bad_state_is_counted_once_a_minute_and_told_when_it_is_over(
    log: CapturingLogger, clock: StubClock
) -> None:
    standing = Standing(bound(log), clock)
    for _ in range(150):
        standing.take("a", {TASKS: {"target_panics": 30}, CHANNELS: {}})
        standing.take("b", {TASKS: {"target_panics": 4, "gas_below_fee": 3}})
        standing.tick()
        clock.advance(1)
    standing.take("a", {})
    standing.forget("b")
    for _ in range(int(OVER_AFTER_S) - 1):
        standing.tick()
        clock.advance(1)
    # One that was only tried is no end.
    standing.take("b", {TASKS: {"gas_below_fee": 1}})
    standing.tick()
    standing.take("b", {})
    for _ in range(int(OVER_AFTER_S) + 1):
        standing.tick()
        clock.advance(1)
    assert lines(log) == [
        *[
            (
                "tasks_still_skipped",
                {
                    "number": 37,
                    "reasons": {"target_panics": 34, "gas_below_fee": 3},
                    "for_s": int(minute * REMIND_EVERY_S),
                },
            )
            for minute in (1, 2)
        ],
        ("no_task_skipped", {"after_s": 164.0}),
    ]


def test_a_task_that_fails_at_every_try_is_told_when_it_begins_and_when_it_runs(
    relay: Relay, told: list[Report], clock: StubClock
) -> None:
    skips = Skips(relay, clock, bound(CapturingLogger()))
    for _ in range(10):
        skips.note(3, Execution("tasks", 7, 1_000), "target_panics", "it says why")
        clock.advance(30)
    assert skips.counts() == {"target_panics": 1}
    skips.note(3, Execution("tasks", 7, 1_000), "gas_below_fee", "deposit gas")
    skips.runs(("tasks", 7))
    skips.runs(("tasks", 7))
    skips.runs(("tasks", 8))
    events = [(one.event, one.reason, one.items) for one in told if isinstance(one, News)]
    assert events == [
        ("task_skipped", "target_panics", [7]),
        ("task_skipped", "gas_below_fee", [7]),
        ("task_runs_again", "gas_below_fee", [7]),
    ]
    assert skips.counts() == {}
    skips.note(3, Execution("tasks", 7, 1_000), "target_panics", "x")
    skips.let_go(3)
    assert skips.counts() == {}
