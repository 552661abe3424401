"""What a worker goes on renewing."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from sorofast.coordination.leases import Term
from sorofast.engine.context import InFlight, WorkerContext
from sorofast.engine.membership import Membership
from sorofast.engine.relay import Relay
from sorofast.engine.report import Reporter
from sorofast.engine.skips import Skips
from sorofast.errors import RedisUnreachable
from sorofast.testing.clock import StubClock


class Unreachable:
    """A shard whose hand-over finds no Redis."""

    async def hand_over(self) -> None:
        raise RedisUnreachable("nobody answers")


async def test_a_hand_over_that_redis_did_not_take_lets_the_lease_run_out(clock: StubClock) -> None:
    reader, writer = os.pipe()
    try:
        log = structlog.get_logger()
        skips = Skips(Relay(lambda _: None, "m", clock, log), clock, log)
        context = cast(
            "WorkerContext", SimpleNamespace(clock=clock, member="m", in_flight=InFlight(), skips=skips)
        )
        membership = Membership(context, Reporter(writer), lambda: None, asyncio.Event())
        membership.runners[3] = cast("Any", Unreachable())
        membership._terms[3] = Term("s03", "m", 1, 10.0)
        with pytest.raises(RedisUnreachable):
            await membership._let_go(3)
        assert not membership._terms
        assert not membership.runners
    finally:
        os.close(reader)
        os.close(writer)
