"""The ledger oracle: watches every ledger, holds it against the log of bytes sent, and says what must not be.

It reads the chain and that log, never Redis and never what the engine says about itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from helpers.faults import invariants
from helpers.faults.chain_reader import ChainReader
from helpers.faults.history import History, Run, Timeline
from helpers.faults.invariants import Verdicts, Violation
from helpers.faults.sent_log import SentLog
from sorofast.errors import SorofastError
from sorofast.sandbox.client import AdminClient

POLL_S = 0.15
READ_TRIES = 40
BOUND_LEDGERS = 8


class BrokenPromise(AssertionError):
    """What the oracle raises: all violations, one a line."""


@dataclass(frozen=True)
class Judgement:
    """What a scene came to. `late` are ledgers late of our runs, `missed` task ids without a run in time."""

    verdicts: Verdicts
    runs: list[Run]
    late: list[int]
    missed: list[int]
    sends: int
    hashes: int
    ledgers: int
    blocked: set[int]

    @property
    def executed(self) -> int:
        return self.verdicts.executed

    @property
    def early(self) -> int:
        return len(self.verdicts.early)

    @property
    def failed(self) -> int:
        return sum(self.verdicts.failed.values())

    def runs_of(self, task_ids: Iterable[int]) -> list[Run]:
        wanted = set(task_ids)
        return [run for run in self.runs if run.task_id in wanted]

    def summary(self) -> str:
        """One line of counters."""
        late = Counter(self.late)
        return (
            f"{self.ledgers} ledgers, {self.executed} runs of ours, late {dict(sorted(late.items()))}, "
            f"missed {len(self.missed)}, early {self.early}, duplicates {len(self.verdicts.duplicates)}, "
            f"no effect {len(self.verdicts.no_effect)}, failed {self.failed}, "
            f"{self.sends} sends of {self.hashes} envelopes"
        )


class Oracle:
    """An async context manager that watches from `begin()` on.

    `calm(ledger)` says from where on nothing is bent any more; what fell due before counts from there.
    """

    def __init__(
        self,
        admin: AdminClient,
        rpc_url: str,
        passphrase: str,
        registry: str,
        keeper: str,
        log: SentLog,
        *,
        envelope_ledgers: int = 5,
        paid_failures_max: int = invariants.PAID_FAILURES_MAX,
    ) -> None:
        self.violations: list[Violation] = []
        self.calm_from = 0
        self._reader = ChainReader(admin, rpc_url, passphrase, registry, keeper)
        self._log = log
        self._envelope_ledgers = envelope_ledgers
        self._paid_failures_max = paid_failures_max
        self._history: History | None = None
        self._watching: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._closed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, SorofastError):
                await self._watching
        await self._reader.close()

    @property
    def history(self) -> History:
        """What it has read so far."""
        assert self._history is not None, "the oracle has not begun"
        return self._history

    @property
    def latest_ledger(self) -> int:
        """The newest ledger it has judged."""
        return self.history.ledgers[-1].sequence

    async def begin(self) -> None:
        """Reads every task and begins to watch."""
        self._history = await self._reader.begin()
        self._history.sent = self._log.entries
        self._history.envelope_ledgers = self._envelope_ledgers
        self._watching = asyncio.create_task(self._watch(), name="oracle")

    def calm(self, ledger: int) -> None:
        """Nothing is bent after that ledger."""
        self.calm_from = max(self.calm_from, ledger)

    def changed(self, task_ids: Iterable[int], ledger: int) -> None:
        """Those tasks can run from then on for a reason that no event of theirs tells: a resolver that turned."""
        self.history.changes += [(ledger, task_id) for task_id in task_ids]

    async def passed(self, ledger: int, timeout_s: float) -> None:
        """Waits until it has judged that ledger."""
        async with asyncio.timeout(timeout_s), self._closed:
            while self.latest_ledger < ledger:
                self._raise_if_ended()
                await self._closed.wait()

    def runs(self) -> list[Run]:
        """Every run so far, in order."""
        runs = [run for of_task in Timeline(self.history).runs.values() for run in of_task]
        return sorted(runs, key=lambda run: run.ledger)

    async def check(
        self, until: int, *, bound_ledgers: int = BOUND_LEDGERS, early_max: int | None = None
    ) -> Judgement:
        """Reads to the end and raises BrokenPromise for everything that must not be.

        `until` is the last ledger in which the fleet was meant to work.
        """
        await self._read()
        judgement, violations = await self._judge(until, bound_ledgers)
        if early_max is not None and judgement.early > early_max:
            violations.append(
                Violation(
                    "few early runs", until, f"{judgement.early} were paid for early, at most {early_max} may"
                )
            )
        if violations:
            lines = "\n".join(str(violation) for violation in violations[:40])
            raise BrokenPromise(f"{len(violations)} violations; {judgement.summary()}\n{lines}")
        return judgement

    async def look(self, until: int, *, bound_ledgers: int = BOUND_LEDGERS) -> Judgement:
        """The same without raising: what a scenario that expects the worst looks at."""
        await self._read()
        judgement, _ = await self._judge(until, bound_ledgers)
        return judgement

    async def _judge(self, until: int, bound_ledgers: int) -> tuple[Judgement, list[Violation]]:
        timeline = Timeline(self.history)
        windows = list(timeline.windows())
        unrun = sorted({window.task_id for window in windows if window.ran is None})
        idle = await self._reader.idle(unrun)
        how = {"until": until, "bound_ledgers": bound_ledgers, "calm_from": self.calm_from}
        late = [window.ran.ledger - window.eligible for window in windows if window.ran and window.ran.ours]
        judgement = Judgement(
            verdicts=invariants.verdicts(timeline),
            runs=self.runs(),
            late=late,
            missed=[window.task_id for window in invariants.missed(timeline, idle=idle, **how)],
            sends=len(self._log.entries),
            hashes=len(self._log.hashes()),
            ledgers=len(self.history.ledgers) - 1,
            blocked={task for task in self.history.tasks if timeline.free_from(task) is None},
        )
        found = [*self.violations, *invariants.nothing_missed(timeline, idle=idle, **how)]
        return judgement, found

    async def _watch(self) -> None:
        while True:
            await self._read()
            await asyncio.sleep(POLL_S)

    async def _read(self) -> None:
        """Takes in what has closed and judges it. A node that does not answer is asked again, for a while."""
        async with self._reading:
            for attempt in range(READ_TRIES):
                try:
                    if not await self._reader.extend(self.history):
                        return
                    break
                except SorofastError:
                    if attempt + 1 == READ_TRIES:
                        raise
                    await asyncio.sleep(POLL_S)
            self.violations = invariants.always(
                Timeline(self.history), paid_failures_max=self._paid_failures_max
            )
        async with self._closed:
            self._closed.notify_all()

    def _raise_if_ended(self) -> None:
        if self._watching is not None and self._watching.done():
            self._watching.result()


def leaks(secrets: Mapping[str, bytes], files: Iterable[Path], texts: Mapping[str, bytes]) -> list[Violation]:
    """No secret stands in a file or a text it does not belong to. `texts` are argv and the like, by name."""
    found = []
    places = {str(path): path.read_bytes() for path in files if path.is_file()} | dict(texts)
    for place, content in places.items():
        for name, secret in secrets.items():
            if secret and secret in content:
                found.append(Violation("no secret outside its file", 0, f"{name} stands in {place}"))
    return found
