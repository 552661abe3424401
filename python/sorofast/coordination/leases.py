"""Leases: who may write a shard's state, and who is the follower.

Terms. A lease is a hash in Redis: `owner`, `epoch`, `expires_ms`, and for a shard `version`. Being granted
one begins a *term*, named by its epoch, and epochs only grow: taking over, and even being granted one's own
lease again, begins a new term. Renewing and releasing name the exact term, owner and epoch, so a worker that
comes back from the dead can neither prolong nor end the term of the one that replaced it. Owners must be
unique to a process's life (host, pid and something random), never reused.

Time. Expiry is judged by Redis's clock alone; no host's wall clock takes part. The owner measures with its
own monotonic clock, and from the moment *before* it sent the request: Redis counts from a later moment, so
the owner's idea of the end is always the earlier one. It stops trusting `TRUST_MARGIN_S` before that, which
pays for clocks that run at different speeds and for work in hand.

    free ──acquire──▶ trusted ──renew, commit──▶ trusted
                        │ no renewal until trusted_until
                        ▼
                      doubted ──renew, commit──▶ trusted      (nobody took it in between)
                        │ somebody acquires
                        ▼
                      lost                                  (every script answers LeaseLost)

Failure policy. Trust is only about wasted work; safety is the fence. Every script that writes compares owner
and epoch inside Redis, so a paused owner changes nothing however wrong its idea of time is. What it already
sent is harmless for another reason: the same bytes with the same sequence land at most once. An expired lease
that nobody took is still its owner's: the scripts accept and prolong it, since no other term has begun. When
Redis does not answer, an owner goes on settling in its head, claims nothing and sends nothing new; when it
answers again, renewing tells whether the term still stands. A Redis that shows a lower epoch or version than
the owner was told has gone back in time: that is ShardRegressed, not LeaseLost, and the owner is its witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sorofast.clock import Clock
from sorofast.coordination.scripts import Scripts

__all__ = ["LEASE_TTL_S", "RENEW_EVERY_S", "TRUST_MARGIN_S", "Leases", "Term"]

LEASE_TTL_S = 5.0
RENEW_EVERY_S = LEASE_TTL_S / 3
TRUST_MARGIN_S = 1.0

LEASE_TTL_MS = int(LEASE_TTL_S * 1000)


@dataclass(frozen=True, slots=True)
class Term:
    """One owner's time with one lease."""

    name: str
    """The shard's name (`s07`) or `follower`."""
    owner: str
    epoch: int
    trusted_until: float
    """Monotonic seconds of this process; nothing new is claimed or sent after it without a renewal."""

    def trusted(self, monotonic_s: float) -> bool:
        return monotonic_s < self.trusted_until


class Leases:
    """The lease operations that shards and the follower share. Keys come from the caller."""

    def __init__(self, scripts: Scripts, clock: Clock) -> None:
        self._scripts = scripts
        self._clock = clock

    def trust(self, sent_at_s: float) -> float:
        """Until when a term granted or renewed by a request sent at `sent_at_s` (monotonic) is trusted."""
        return sent_at_s + LEASE_TTL_S - TRUST_MARGIN_S

    async def acquire(self, key: str, name: str, owner: str) -> tuple[Term, int] | None:
        """A new term and the version the state is at, or None while somebody else's term runs.

        Granted to its own holder too, as a new term: after a lost reply the holder cannot know its epoch.
        """
        if not owner:
            raise ValueError("a lease's owner needs a name")
        sent_at_s = self._clock.monotonic()
        reply = await self._scripts.run("acquire_lease-1", [key], [owner, LEASE_TTL_MS])
        if reply[0] != b"ok":
            return None
        return Term(name, owner, int(reply[1]), self.trust(sent_at_s)), int(reply[2])

    async def renew(self, terms: Sequence[tuple[str, Term]]) -> list[Term]:
        """(key, term) pairs in, renewed terms out, in one round trip; lost ones, and those whose lease does not read,
        are left out.
        """
        if not terms:
            return []
        sent_at_s = self._clock.monotonic()
        replies = await self._scripts.run_many(
            "renew_lease-1", [([key], [term.owner, term.epoch, LEASE_TTL_MS]) for key, term in terms]
        )
        until = self.trust(sent_at_s)
        return [
            Term(term.name, term.owner, term.epoch, until)
            for (_, term), reply in zip(terms, replies, strict=True)
            if reply == b"ok"
        ]

    async def release(self, keys: Sequence[str], owner: str, epoch: int | None) -> int:
        """Ends the owner's terms on these keys, whatever their epoch when None; returns how many it ended."""
        calls = [([key], [owner, "" if epoch is None else epoch]) for key in keys]
        replies = await self._scripts.run_many("release_lease-1", calls)
        return sum(1 for reply in replies if reply == b"ok")
