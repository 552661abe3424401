"""One worker as a process: `python -m sorofast.engine.worker_process [DESCRIPTOR]`, its configuration on stdin, its
reports on stdout. The descriptor is that of the register for what it has in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys

import structlog

from sorofast.coordination.in_hand import InHand
from sorofast.engine.connect import connect
from sorofast.engine.hardening import forbid_core_dumps
from sorofast.engine.loops import cancel_and_wait, run_loop, unless_set
from sorofast.engine.report import Reporter, Stopping, Up
from sorofast.engine.signals import stop_on_signals
from sorofast.engine.worker import Worker
from sorofast.errors import SorofastError
from sorofast.observability.logs import configure
from sorofast.observability.outages import cause_of
from sorofast.settings import EngineConfig

__all__ = ["main"]

CONFIG_MAX_BYTES = 1 << 20
ORPHAN_MAX_S = 5
INTERNAL_ERROR = 1


async def _watch_parent(go: asyncio.Event, orphaned: asyncio.Event) -> None:
    """The supervisor's pipe: a line means start, its end means that the supervisor is gone."""
    reader = asyncio.StreamReader(limit=CONFIG_MAX_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    with contextlib.suppress(OSError, ValueError):
        while await reader.readline():
            go.set()
    orphaned.set()


async def _run(config: EngineConfig, member: str, reporter: Reporter, in_hand: InHand | None) -> None:
    """Works until told to stop, which drains. One whose supervisor is gone does not drain: nobody would see it,
    nor could stop it, and the next run may be there already. It lets go of what it holds and ends.
    """
    go, orphaned = asyncio.Event(), asyncio.Event()
    parent = asyncio.create_task(_watch_parent(go, orphaned), name="parent")
    alarm = asyncio.create_task(_end_soon_after(orphaned, member), name="alarm")
    try:
        await unless_set(orphaned, _one_life(config, member, reporter, go, in_hand))
    finally:
        await cancel_and_wait([parent, alarm])


async def _end_soon_after(orphaned: asyncio.Event, member: str) -> None:
    """Whatever an orphan is stuck in, the system ends it."""
    await orphaned.wait()
    signal.alarm(ORPHAN_MAX_S)
    structlog.get_logger().warning(
        "orphaned",
        member=member,
        pid=os.getpid(),
        reason="the supervisor is gone; the shards of this member are free once it has ended",
        ends_within_s=ORPHAN_MAX_S,
    )


async def _one_life(
    config: EngineConfig, member: str, reporter: Reporter, go: asyncio.Event, in_hand: InHand | None
) -> None:
    context = await connect(config, member, in_hand=in_hand, tell=reporter.send)
    try:
        worker = Worker(context, reporter)
        with stop_on_signals(worker.stop, go):
            reporter.send(Up(member=member, pid=os.getpid()))
            await go.wait()
            if not worker.stop.is_set():
                await worker.run()
    finally:
        await context.close()


def main() -> int:
    """Exit code 0 after a drain, else that of the error, which is also reported to the supervisor in one
    line.
    """
    forbid_core_dumps()
    # A closed terminal is the supervisor's business: it tells its workers. It alone knows whether the run was started
    # to outlive the terminal, since uvloop starts children with every signal as it is by default.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configure()
    reporter = Reporter(sys.stdout.fileno())
    member = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        config = EngineConfig.from_json(_read_config())
        configure(config.log.level, config.log.format)
        in_hand = InHand.attach(int(sys.argv[1])) if len(sys.argv) > 1 else None
        run_loop(_run(config, member, reporter, in_hand))
    except SorofastError as error:
        reporter.send(
            Stopping(member=member, exit_code=error.exit_code, reason=str(error), cause=cause_of(error))
        )
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last stop before the interpreter prints a traceback
        # Nothing else is expected, so this is a mistake of ours: the log gets it whole, as one event without secrets.
        structlog.get_logger().error("internal_error", member=member, exc_info=True)
        reason = f"internal error, {type(error).__name__}: {error}"
        reporter.send(Stopping(member=member, exit_code=INTERNAL_ERROR, reason=reason))
        return INTERNAL_ERROR
    return 0


def _read_config() -> bytes:
    """The first line of stdin, read without buffering ahead, since the rest of the pipe belongs to the
    event loop.
    """
    line = bytearray()
    while len(line) < CONFIG_MAX_BYTES:
        byte = os.read(0, 1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return bytes(line)


if __name__ == "__main__":
    sys.exit(main())
