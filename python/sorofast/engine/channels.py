"""The channels of one shard: the sequence each is confirmed at, and which are kept out of use for now.

A channel that cannot be used, or whose sequence is not what we left, is quarantined with its reason. It is read again
from the chain after a pause that grows, and returns by itself: at once where reading it again was the cure, else once
an envelope on it has been included. No channel is out of use for good, since whatever was wrong with it may be mended
while we run.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from sorofast.chain.rpc import KEYS_PER_CALL_MAX
from sorofast.engine.context import WorkerContext
from sorofast.errors import DecodeError, RpcError, RpcUnreachable

__all__ = ["NO_ACCOUNT", "Channels"]

PAUSE_LEDGERS_MAX = 64
READ_TIMEOUT_S = 3.0
# One whose balance is what it was is refused again, unless the market has come down: it is tried all the same by then.
UNCHANGED_TIMES_MAX = 4
NO_ACCOUNT = "its account does not exist"
UNUSABLE_CODES = ("txINSUFFICIENT_BALANCE", "txNO_ACCOUNT", "txBAD_AUTH")
FIX_REFUSED = "fund it or create it again with 'sorofast channels create', or give it back its signer"
FIX_MOVED = "find out who else uses it: the channels of a fleet must be nobody else's"


@dataclass(slots=True)
class _Held:
    reason: str
    fix: str
    since_ledger: int
    look_ledger: int
    times: int = 1
    on_trial: bool = False
    balance_stroops: int | None = None


class Channels:
    """`confirmed` are the sequences in Redis, by channel."""

    def __init__(
        self,
        context: WorkerContext,
        shard: int,
        confirmed: Mapping[int, int],
        blocked: Mapping[int, str] | None = None,
    ) -> None:
        """The `blocked` ones carry what nobody here can settle, and why: they are not used before that has changed."""
        self.confirmed = dict(confirmed)
        self.blocked: Mapping[int, str] = blocked or {}
        self._context = context
        self._shard = shard
        self._held: dict[int, _Held] = {}
        # How many envelopes on it in a row no ledger has taken, where there were any.
        self._fruitless: dict[int, int] = {}
        self._news: dict[tuple[str, str], list[int]] = {}
        self._back: list[tuple[int, int]] = []

    def usable(self, channel: int) -> bool:
        held = self._held.get(channel)
        free = channel in self.confirmed and channel not in self.blocked
        return free and (held is None or held.on_trial)

    def fruitless(self, channel: int) -> int:
        """How many envelopes on it in a row came to nothing. Whatever that is due to, others are to be preferred: what
        has waited longest gets the first channel, and must not get the same bad one every time.
        """
        return self._fruitless.get(channel, 0)

    def came_to_nothing(self, channel: int) -> None:
        """No ledger took an envelope on it."""
        self._fruitless[channel] = self.fruitless(channel) + 1

    def reasons(self) -> dict[int, str]:
        """Why which channels are kept out of use. Those on trial are not."""
        held = {channel: held.reason for channel, held in self._held.items() if not held.on_trial}
        return {**held, **self.blocked}

    @staticmethod
    def at_fault(codes: str) -> bool:
        """Whether it is the channel that a node refuses with these codes, and not the call on it."""
        return codes.startswith(UNUSABLE_CODES)

    def refused(self, channel: int, detail: str) -> None:
        """A node refused an envelope on it with these codes."""
        if self.at_fault(detail):
            self._keep_out(channel, f"the node refuses it: {detail}", FIX_REFUSED)

    def moved(self, channel: int) -> None:
        """Its sequence is not what our own envelope left."""
        self._keep_out(channel, "its sequence is not where we left it", FIX_MOVED)

    def missing(self, channel: int) -> None:
        """The chain does not have it."""
        self.confirmed.pop(channel, None)
        self._keep_out(channel, NO_ACCOUNT, FIX_REFUSED)

    def disputed(self, channel: int, refusal: str) -> None:
        """Redis would not take a claim on it, so what we think of it is wrong."""
        self._keep_out(channel, f"Redis refused a claim on it: {refusal}", FIX_MOVED)

    def included(self, channel: int) -> None:
        """An envelope on it was included, perhaps the very one that was refused, so what stood against it is over."""
        self._fruitless.pop(channel, None)
        held = self._held.get(channel)
        if held is not None and (held.on_trial or held.fix is FIX_REFUSED):
            self._release(channel, held)

    def block(self, blocked: Mapping[int, str]) -> None:
        """Takes which channels carry what nobody here can settle; those that do no longer are read again."""
        for channel in self.blocked.keys() - blocked.keys():
            self._keep_out(channel, "somebody else has settled what it carried", FIX_MOVED)
        self.blocked = blocked

    async def read_again(self, busy: Container[int]) -> dict[int, int]:
        """Reads the quarantined channels whose pause is over, and not `busy`; the sequences of those that may be used
        again, for `take_back` once Redis has them.
        """
        ledger = self._context.ledgers.latest[0]
        due = [
            channel
            for channel, held in self._held.items()
            if not held.on_trial and held.look_ledger <= ledger and channel not in busy
        ][:KEYS_PER_CALL_MAX]
        found = await self._read(due, ledger) if due else None
        return {} if found is None else self._judge(due, found)

    def take_back(self, sequences: Mapping[int, int]) -> None:
        """Redis has these sequences, so their channels may carry envelopes again."""
        for channel, sequence in sequences.items():
            held = self._held.get(channel)
            if held is None:
                continue
            self.confirmed[channel] = sequence
            if held.fix is FIX_REFUSED:
                held.on_trial = True
            else:
                self._release(channel, held)

    async def _read(self, channels: list[int], ledger: int) -> dict[int, tuple[int, int]] | None:
        """(balance, sequence) of those that exist; None when nobody answered, which the next ledger tries again."""
        context, keys = self._context, self._context.channel_keys(channels)
        try:
            async with context.rpc.within(READ_TIMEOUT_S):
                batch = await context.rpc.entries(
                    context.contract, context.signer.keeper, b"", keys, ledger_min=ledger
                )
        except (RpcUnreachable, RpcError, DecodeError) as error:
            context.tally.errors += 1
            context.outages.failed("channels_unread", error)
            for channel in channels:
                if channel in self._held:
                    self._held[channel].look_ledger = ledger + 1
            return None
        context.outages.ok("channels_unread", "channels_read_again")
        by_key = {key: (balance, sequence) for key, balance, sequence, _, _ in batch.accounts}
        return {
            channel: by_key[keys[32 * at : 32 * at + 32]]
            for at, channel in enumerate(channels)
            if keys[32 * at : 32 * at + 32] in by_key
        }

    def _judge(self, channels: Iterable[int], found: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        """The sequences of those that may be used again; the others wait longer."""
        sequences: dict[int, int] = {}
        for channel in channels:
            held = self._held.get(channel)
            if held is None or held.on_trial:
                continue
            if channel not in found:
                held.reason, held.fix = NO_ACCOUNT, FIX_REFUSED
                self.confirmed.pop(channel, None)
                self._wait_longer(held)
                continue
            balance_stroops, sequence = found[channel]
            before, held.balance_stroops = held.balance_stroops, balance_stroops
            broke = "txINSUFFICIENT_BALANCE" in held.reason
            if broke and before in (None, balance_stroops) and held.times < UNCHANGED_TIMES_MAX:
                self._wait_longer(held)
                continue
            sequences[channel] = sequence
        return sequences

    def _keep_out(self, channel: int, reason: str, fix: str) -> None:
        ledger = self._context.ledgers.latest[0]
        held = self._held.get(channel)
        if held is None:
            self._held[channel] = _Held(reason, fix, ledger, ledger + 1)
            self._news.setdefault((reason, fix), []).append(channel)
            return
        if held.reason != reason:
            self._news.setdefault((reason, fix), []).append(channel)
        held.reason, held.fix, held.on_trial = reason, fix, False
        self._wait_longer(held)

    def _wait_longer(self, held: _Held) -> None:
        held.times += 1
        pause = min(PAUSE_LEDGERS_MAX, 2 ** (held.times - 1))
        held.look_ledger = self._context.ledgers.latest[0] + pause + self._context.rng.randrange(pause)

    def _release(self, channel: int, held: _Held) -> None:
        del self._held[channel]
        self._back.append((channel, self._context.ledgers.latest[0] - held.since_ledger))

    def say(self) -> None:
        """Tells which went out for which reason, and which came back."""
        news, self._news = self._news, {}
        for (reason, fix), channels in news.items():
            self._context.outages.news(
                "channels_quarantined", reason, "channels", sorted(channels), fields={"fix": fix}
            )
        back, self._back = self._back, []
        if back:
            self._context.outages.news(
                "channels_back",
                "they can be used again",
                "channels",
                sorted(channel for channel, _ in back),
                level="info",
                fields={"after_ledgers": max(ledgers for _, ledgers in back)},
            )
