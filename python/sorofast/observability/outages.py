"""One line when something fails, one a minute while it goes on failing, one when it is over.

A loop that meets a dead server fails many times a second, and so does every other loop of the process, and every other
process of the run. What the operator needs of that is when it began, that it lasts, and how long it took:

    rpc_unreachable  reason="127.0.0.1:8000 refused the connection" (at once)
    rpc_unreachable  reason=… for_s=60 failures=212
    rpc_back         text="RPC back after 71 s" after_s=71.3 failures=249

What is noted is a *kind* of failure: a short name of the code's own, such as `follow_failed`. What is said is the
*outage* it belongs to: whatever fails because Redis does not answer is one outage, whoever meets it. It is over when
everything that failed of it works again.

What fails and works by turns is told like what only fails: an outage begins and ends aloud once a minute at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from sorofast.clock import Clock
from sorofast.errors import RedisUnreachable, RedisUnreadable, RpcOutOfStep, RpcUnreachable

__all__ = [
    "FOLLOW_FAILED",
    "KINDS_MAX",
    "QUIET_S",
    "REMIND_EVERY_S",
    "RPC_DOWN",
    "Cause",
    "Outages",
    "cause_of",
    "outage_of",
]

REMIND_EVERY_S = 60.0
KINDS_MAX = 64
OTHERS = "other_failures"
QUIET_S = 60.0
"""What a server did not answer and nobody has asked it since is not held against it for longer."""

TAKEN_UP_S = 15.0

Cause = str
"""Which server failed: `rpc`, `rpc_out_of_step`, `redis`, or nothing for what is no server's fault."""

FOLLOW_FAILED = "follow_failed"
"""What the follower notes when it learns nothing of the next ledger."""
RPC_DOWN = "rpc_unreachable"
_OUTAGES: dict[Cause, str] = {"redis": "redis_unreachable", "rpc_out_of_step": "rpc_out_of_step"}
_BACK = {
    RPC_DOWN: ("rpc_back", "RPC back after {:.0f} s"),
    "redis_unreachable": ("redis_back", "Redis back after {:.0f} s"),
    "rpc_out_of_step": ("rpc_in_step_again", "RPC in step again after {:.0f} s"),
    "ledgers_stalled": ("ledgers_close_again", "ledgers close again after {:.0f} s"),
}


def cause_of(error: object) -> Cause:
    """Which server is to blame for it. A Redis that answers is none, whatever stands in one of its keys."""
    if isinstance(error, RedisUnreadable):
        return ""
    if isinstance(error, RpcOutOfStep):
        return "rpc_out_of_step"
    if isinstance(error, RpcUnreachable):
        return "rpc"
    return "redis" if isinstance(error, RedisUnreachable) else ""


def outage_of(kind: str, cause: Cause) -> str:
    """The outage that a failure of this kind and cause belongs to. An RPC that fails in one thing may answer others, so
    that is an outage of its own until somebody has found out that it answers nothing.
    """
    return _OUTAGES.get(cause, kind)


@dataclass(slots=True)
class _Outage:
    began_s: float
    said_s: float
    failed_s: float
    failures: int = 0
    told: bool = True
    over: bool = False
    of_a_server: bool = False
    left_s: float | None = None
    """When the last source that failed of it was no more."""
    failing: set[tuple[str, str]] = field(default_factory=set)
    """(source, kind) of what failed of it and has not been seen to work since."""


class Outages:
    """The outages of one process, or of one run out of what its workers report, each of which is a `source`.

    More than KINDS_MAX at once are told as one, so that a kind made of somebody's input cannot grow this.
    """

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._outages: dict[str, _Outage] = {}

    def failed(
        self,
        kind: str,
        reason: object,
        *,
        outage: str | None = None,
        source: str = "",
        since_s: float | None = None,
        failures: int = 1,
        **fields: object,
    ) -> None:
        """Notes failures. `reason` and `fields` are those of the line, when there is one. `since_s` is the monotonic
        second in which it began to fail, which may be before anybody noticed.
        """
        now_s = self._clock.monotonic()
        cause = cause_of(reason)
        name = self._with_room(outage or outage_of(kind, cause))
        known = self._outages.get(name)
        begins = known is None
        if known is None:
            known = self._outages[name] = _Outage(now_s, now_s, now_s)
        elif known.over and known.told:
            known.began_s, known.failures, known.told = now_s, 0, False
        known.over, known.left_s = False, None
        known.failures += failures
        known.failed_s = now_s
        known.of_a_server = bool(cause) or outage is not None
        if len(known.failing) < KINDS_MAX * KINDS_MAX:
            known.failing.add((source, kind))
        if since_s is not None:
            known.began_s = min(known.began_s, since_s)
        if not begins:
            if now_s - known.said_s < REMIND_EVERY_S:
                return
            known.said_s, known.told = now_s, True
            if known.failures > 1:
                fields |= {"for_s": round(now_s - known.began_s), "failures": known.failures}
        self._log.warning(name, reason=str(reason), **fields)

    def ok(self, kind: str, back: str | None = None, *, source: str = "", **fields: object) -> bool:
        """Takes note that it works; ends the outages of which nothing else fails, each with one line named `back`. True
        if one ended.

        Cheap when there is none.
        """
        ended = False
        for name, outage in self._outages.items():
            if not outage.over and (source, kind) in outage.failing:
                outage.failing.discard((source, kind))
                if not outage.failing:
                    self._end(name, outage, back, fields)
                    ended = True
        if ended:
            self._end_others()
        return ended

    def over(self, name: str, *, at_s: float | None = None) -> bool:
        """Ends an outage, whatever failed of it. True if it lasted."""
        outage = self._outages.get(name)
        if outage is None or outage.over:
            return False
        self._end(name, outage, None, {}, at_s)
        return True

    def forget(self, source: str, kind: str | None = None) -> None:
        """That source is no more, or does not look any more whether this kind works. Who takes its place may find the
        same, so what nothing else fails of ends a little later.
        """
        now_s = self._clock.monotonic()
        for outage in self._outages.values():
            left = {case for case in outage.failing if case[0] != source or kind not in (None, case[1])}
            if not left and outage.failing:
                outage.left_s = now_s
            outage.failing = left

    def sweep(self) -> None:
        """Ends what nobody speaks of any more: outages of servers that nobody has met for QUIET_S, since what failed
        may not be asked again for long, and those whose sources are no more. Call it every few seconds.
        """
        now_s = self._clock.monotonic()
        for name, outage in self._outages.items():
            quiet = outage.of_a_server and now_s - outage.failed_s > QUIET_S
            left = outage.left_s is not None and now_s - outage.left_s > TAKEN_UP_S
            if not outage.over and (quiet or left):
                self._end(name, outage, None, {}, outage.failed_s)

    def lasting(self, name: str) -> bool:
        """Whether that outage's last word was a failure."""
        outage = self._outages.get(name)
        return outage is not None and not outage.over

    def _end(
        self,
        name: str,
        outage: _Outage,
        back: str | None,
        fields: dict[str, object],
        at_s: float | None = None,
    ) -> None:
        outage.over = True
        outage.failing.clear()
        if not outage.told:
            return
        ended_s = self._clock.monotonic() if at_s is None else at_s
        after_s = max(0.0, ended_s - outage.began_s)
        event, text = _BACK.get(name, (back or f"{name}_over", ""))
        if text:
            fields = {"text": text.format(after_s)} | fields
        self._log.info(event, **fields, after_s=round(after_s, 1), failures=outage.failures)

    def _end_others(self) -> None:
        others = self._outages.get(OTHERS)
        if others is None or others.over:
            return
        if all(outage.over for name, outage in self._outages.items() if name != OTHERS):
            self._end(OTHERS, others, None, {})

    def _with_room(self, name: str) -> str:
        """The name itself, or OTHERS when there is no room for one more."""
        if name not in self._outages and len(self._outages) >= KINDS_MAX:
            self._outages = {known: outage for known, outage in self._outages.items() if not outage.over}
            if len(self._outages) >= KINDS_MAX:
                return OTHERS
        return name
