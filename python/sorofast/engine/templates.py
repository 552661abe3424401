"""The templates of one worker, kept the same as the fleet's: learned by whoever simulates first, dropped for all by
whoever sees that one is wrong.

A template is dropped when the code behind one of its contracts changes, or when a run of it failed because it touched
or used something else than the run it was learned from. A call that did so twice is not the same from run to run: it is
simulated each time. A call that has none of its own may have that of its kind (`kinds`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

import msgspec
from structlog.typing import FilteringBoundLogger

from sorofast import _core
from sorofast.chain.models import Simulation
from sorofast.chain.xdr import Footprint, footprint_of, read_footprint
from sorofast.coordination.templates import LESSONS_MAX, Lesson, TemplateStore
from sorofast.engine.declared import Declared, raised
from sorofast.engine.kinds import Kinds, is_kind
from sorofast.errors import DecodeError, RedisUnreachable
from sorofast.triggers.base import Due

__all__ = ["FAILURES_MAX", "FleetTemplates", "restores_shared"]

FAILURES_MAX = 2
"""As many runs of a call as fail for another footprint or more resources, after which it is simulated each time."""

WATCHED_MAX = 1_000
CHANGE_ROUNDS_MAX = 2 * LESSONS_MAX // 256
GROWTHS_PADDED = 8
# What a written byte costs at most, rent for a persistent entry's next months included; the network gives back what
# was not rent.
STROOPS_PER_BYTE = 40
# What an instruction more costs at most: several times what the public network asks.
INSTRUCTIONS_PER_STROOP = 100


class _Write(Enum):
    STORE = auto()
    DROP = auto()


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """One change that is to be written. Another one of the same call is another one, even if it is of the same kind."""

    write: _Write


@dataclass(slots=True)
class _Known:
    """A lesson, the number of the change that brought it, and what its template touches."""

    lesson: Lesson
    number: int
    footprint: Footprint


class FleetTemplates:
    """What has to be written waits until `flush`, so that nothing here fails or blocks for want of Redis."""

    def __init__(
        self, store: TemplateStore, signer: _core.Signer, contract: bytes, log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._signer = signer
        self._contract = contract
        self._log = log
        self._known: OrderedDict[int, _Known] = OrderedDict()
        # Dropped, but what is known of how they fail and grow is still needed when they are learned again.
        self._former: OrderedDict[int, _Known] = OrderedDict()
        # A run of them failed, and nobody knows yet whether for the template's sake.
        self._suspects: set[int] = set()
        # For one run each, which restores what the next will find.
        self._single: OrderedDict[int, None] = OrderedDict()
        self._unwritten: OrderedDict[int, _Wanted] = OrderedDict()
        self._since = 0
        self._version = _version_of("", contract)
        # Members that know nothing of kinds pass over what is of a version that is not theirs.
        self._kinds = Kinds(
            signer, contract, _version_of("kinds ", contract), lambda key: self._write(key, _Write.STORE), log
        )

    def __len__(self) -> int:
        return len(self._known)

    # What is known of a call

    def usable(self, due: Due) -> bool:
        """Whether a run of the call may be built without a simulation of its own: it has a template, or now has its
        kind's.
        """
        template = due.template
        known = self._known.get(template)
        if known is None:
            # One that was dropped shows by a simulation of its own whether it is like the others.
            return due.shares and template not in self._former and self._kinds.lend(template)
        return (
            not known.lesson.gated
            and known.lesson.failures < FAILURES_MAX
            and self._signer.template(template) is not None
        )

    def undecided(self, due: Due) -> bool:
        """Whether a few of the call's kind have to be simulated to know if all have to be."""
        return due.shares and self._kinds.undecided(due.template)

    def varies(self, template: int) -> bool:
        """Whether the call is simulated for each run, since it touches or uses something else each time."""
        known = self._known.get(template) or self._former.get(template)
        return known is not None and known.lesson.failures >= FAILURES_MAX

    def fee(self, template: int) -> int:
        """What a run of the call takes from its task's gas; 0 where nobody knows yet. The number of arguments, which a
        registry may charge for, is one for all of a kind.
        """
        known = self._known.get(template) or self._former.get(template)
        lesson = self._kinds.shared(template) if known is None else known.lesson
        return 0 if lesson is None else lesson.fee

    # Changes

    def learn(self, due: Due, simulation: Simulation, fee: int) -> int:
        """Makes a template from a simulation that saw the run; returns its key. That is the call's, or, where the run
        restores archived entries, another one for this run alone. Raises TemplateError or another DecodeError.
        """
        template = due.template
        known = self._known.get(template)
        former = self._former.get(template) if known is None else known
        footprint = read_footprint(simulation.transaction_data)
        key = _single_key(due) if footprint.archived else template
        write_bytes = footprint.write_bytes
        pad = 0
        if former is not None:
            grown = write_bytes - former.lesson.write_bytes if former.lesson.write_bytes else 0
            pad = max(former.lesson.write_bytes_pad, GROWTHS_PADDED * grown)
        self._make(key, due, simulation, pad)
        if footprint.archived:
            if restores_shared(due, footprint):
                self.set_aside(template)
            self._keep_single(key)
            return key
        lesson = Lesson(
            version=self._version,
            template=self._signer.export_template(template),
            fee=fee,
            failures=0 if former is None else former.lesson.failures,
            write_bytes=write_bytes,
            write_bytes_pad=pad,
        )
        keys = self._keys_of(template)
        if template in self._suspects:
            self._suspects.discard(template)
            if former is not None and _differs(former.footprint, keys):
                lesson = self._failed(template, lesson)
        unchanged = known is not None and known.lesson == lesson
        self._keep(template, _Known(lesson, known.number if known is not None else 0, keys))
        if not unchanged:
            self._write(template, _Write.STORE)
        declared = Declared.of(self._signer, template)
        if due.shares and declared is not None:
            self._kinds.learned(
                template,
                lesson,
                declared,
                lambda before: self._covering(due, simulation, lesson, declared, before),
            )
        return template

    def learn_once(self, due: Due, simulation: Simulation) -> int:
        """Makes a template for this run alone from a simulation; returns its key. Raises TemplateError or another
        DecodeError.
        """
        key = _single_key(due)
        self._make(key, due, simulation)
        self._keep_single(key)
        return key

    def _make(self, key: int, due: Due, simulation: Simulation, write_bytes_pad: int = 0) -> None:
        """Gives the signer the template that a simulation makes of the call."""
        self._signer.learn_call(
            key,
            due.call.operation,
            list(due.values),
            simulation.transaction_data,
            list(simulation.auth),
            simulation.min_resource_fee_stroops,
            must_write=due.call.must_write,
            write_bytes_pad=write_bytes_pad,
            fee_pad_stroops=write_bytes_pad * STROOPS_PER_BYTE,
        )

    def set_aside(self, template: int) -> None:
        """What all runs of the call need is archived: they, and those of its kind, would fail until it is back."""
        known = self._known.pop(template, None)
        if known is not None:
            self._remember(template, known)
        self._kinds.reopen(template)

    def restores(self, template: int) -> bool:
        """Whether it is the template of one run alone, which restores archived entries."""
        return template in self._single

    def built(self, template: int) -> None:
        """A run was built from it: if it serves no other, it is forgotten."""
        if template in self._single:
            del self._single[template]
            self._signer.forget(template)

    def worked(self, template: int) -> None:
        """A run of the call had its effect."""
        self._kinds.worked(template)

    def gate(self, template: int) -> None:
        """A run of the call had no effect: none is sent before a simulation has seen one run."""
        self._mark(template, gated=True)
        self._kinds.no_effect(template)

    def drop(self, template: int, *, outgrown: bool) -> None:
        """A run of the call failed. `outgrown` says that it was the template's fault: the run needed more than that
        declares. Otherwise the next simulation tells, by touching the same entries or others.
        """
        self._kinds.failed(template)
        known = self._known.pop(template, None)
        self._signer.forget(template)
        former = self._former.get(template) if known is None else known
        if former is None:
            return
        if outgrown:
            former.lesson = self._failed(template, former.lesson)
        elif known is not None and len(self._suspects) < LESSONS_MAX:
            self._suspects.add(template)
        self._remember(template, former)
        self._write(template, _Write.DROP)

    def code_changed(self, executables: Mapping[bytes, bytes | None]) -> list[bytes]:
        """Drops what was learned from other code than these contracts (32 bytes) run now (hash of the wasm); returns
        the contracts concerned.
        """
        changed: dict[bytes, list[int]] = {}
        for template, known in list(self._known.items()):
            for contract in known.footprint.instances & executables.keys():
                code = executables[contract]
                if code is not None and code not in known.footprint.codes:
                    changed.setdefault(contract, []).append(template)
        for contract, templates in changed.items():
            self._log.warning(
                "code_changed",
                contract=_core.contract_from_bytes(contract),
                templates_dropped=len(templates),
                consequence="the calls that use it are simulated again before they are sent",
            )
            for template in templates:
                self._known.pop(template, None)
                self._former.pop(template, None)
                self._suspects.discard(template)
                self._signer.forget(template)
                self._write(template, _Write.DROP)
        self._kinds.code_changed(executables)
        return list(changed)

    def watched(self) -> list[bytes]:
        """The contracts (32 bytes) behind the newest templates."""
        contracts = dict.fromkeys(sorted(self._kinds.contracts()))
        for known in reversed(self._known.values()):
            contracts.update(dict.fromkeys(sorted(known.footprint.instances)))
            if len(contracts) >= WATCHED_MAX:
                break
        return list(contracts)[:WATCHED_MAX]

    def _covering(
        self, due: Due, simulation: Simulation, lesson: Lesson, declared: Declared, before: Declared
    ) -> bytes | None:
        """The template just learned (`lesson`, `declared`), declaring what `before` does too, and as much again as the
        two differ by: another one of the kind may differ as much.
        """
        more = [
            max(0, theirs - ours) + abs(theirs - ours)
            for ours, theirs in zip(declared.amounts, before.amounts, strict=True)
        ]
        instructions, read_bytes, write_bytes, fee_stroops = more
        spread = 2 * (instructions // INSTRUCTIONS_PER_STROOP + STROOPS_PER_BYTE * (read_bytes + write_bytes))
        try:
            self._signer.learn_call(
                due.template,
                due.call.operation,
                list(due.values),
                raised(simulation.transaction_data, instructions, read_bytes),
                list(simulation.auth),
                simulation.min_resource_fee_stroops,
                must_write=due.call.must_write,
                write_bytes_pad=lesson.write_bytes_pad + write_bytes,
                fee_pad_stroops=lesson.write_bytes_pad * STROOPS_PER_BYTE + fee_stroops + spread,
            )
            return self._signer.export_template(due.template)
        except DecodeError as error:
            self._log.info("template_unusable", template=due.template, error=str(error))
            return None
        finally:
            self._signer.import_template(due.template, lesson.template)

    def _failed(self, template: int, lesson: Lesson) -> Lesson:
        """Counts a run that was paid for and failed because the call was not the same as before."""
        failures = lesson.failures + 1
        if failures == FAILURES_MAX:
            self._log.warning(
                "footprint_varies",
                template=template,
                failures=failures,
                consequence="each run of this call is simulated by itself from now on",
            )
        return msgspec.structs.replace(lesson, failures=failures)

    # Redis

    async def sync(self) -> None:
        """Writes what changed here and takes what others changed. Redis away: the next ledger will do."""
        self._kinds.begin_round()
        try:
            await self.flush()
            for _ in range(CHANGE_ROUNDS_MAX):
                since, changes = await self._store.changes(self._since)
                for change in changes:
                    if is_kind(change.template):
                        self._kinds.follow(change.template, change.lesson, change.number)
                    # Ours may be newer than what was listed, and is written with the next ledger.
                    elif change.template not in self._unwritten:
                        self._follow(change.template, change.lesson, change.number)
                ended = not changes or since == self._since
                self._since = since
                if ended:
                    return
        except RedisUnreachable as error:
            self._log.info("templates_not_synced", error=str(error))

    async def tell(self) -> None:
        """Writes what changed here. Redis away: the next ledger will do."""
        try:
            await self.flush()
        except RedisUnreachable as error:
            self._log.info("templates_not_synced", error=str(error))

    async def flush(self) -> None:
        """Writes what changed here. Raises RedisUnreachable; the rest is kept for the next time."""
        while self._unwritten:
            template, wanted = next(iter(self._unwritten.items()))
            known = self._known.get(template)
            if is_kind(template):
                # Never dropped: a member of an earlier version could make nothing of such a key.
                told = self._kinds.lesson(template)
                self._kinds.written(template, await self._store.store(template, told))
                if told != self._kinds.lesson(template):
                    continue
            elif wanted.write is _Write.STORE and known is not None:
                known.number = await self._store.store(template, known.lesson)
            elif wanted.write is _Write.DROP:
                former = self._former.get(template)
                # How often it failed is the fleet's to know, so a call that did is kept, without a template.
                kept = None if former is None or not former.lesson.failures else former.lesson
                await self._store.store(
                    template, None if kept is None else msgspec.structs.replace(kept, template=b"")
                )
            # What has been learned while Redis was asked is still to be told.
            if self._unwritten.get(template) is wanted:
                del self._unwritten[template]

    def _follow(self, template: int, lesson: Lesson | None, number: int) -> None:
        known = self._known.get(template)
        if known is not None and known.number == number:
            return
        if lesson is not None and lesson.version != self._version:
            return
        if lesson is None or not lesson.template:
            # What it touched is still wanted, to tell whether it touches the same when it is learned again.
            former = self._known.pop(template, None) or self._former.get(template)
            self._signer.forget(template)
            if lesson is not None:
                keys = Footprint() if former is None else former.footprint
                former = _Known(lesson, number, keys)
            elif former is not None:
                # A call whose failures still count is never dropped whole.
                former.lesson = msgspec.structs.replace(former.lesson, failures=0)
            if former is not None:
                self._remember(template, former)
            return
        try:
            self._signer.import_template(template, lesson.template)
            declared = Declared.of(self._signer, template)
            self._keep(template, _Known(lesson, number, self._keys_of(template)))
            if declared is not None:
                self._kinds.learned(template, lesson, declared)
        except DecodeError as error:
            self._log.info("template_unusable", template=template, error=str(error))

    def _keep_single(self, key: int) -> None:
        self._single[key] = None
        while len(self._single) > LESSONS_MAX:
            self._signer.forget(self._single.popitem(last=False)[0])

    def _keys_of(self, template: int) -> Footprint:
        """What a template touches, the numbers of the run taken out."""
        facts = self._signer.template_facts(template)
        return Footprint() if facts is None else footprint_of(facts.read_only, facts.read_write)

    def _keep(self, template: int, known: _Known) -> None:
        self._known[template] = known
        self._known.move_to_end(template)
        self._former.pop(template, None)
        while len(self._known) > LESSONS_MAX:
            oldest, _ = self._known.popitem(last=False)
            self._signer.forget(oldest)

    def _mark(self, template: int, *, gated: bool) -> None:
        known = self._known.get(template)
        if known is not None and known.lesson.gated != gated:
            known.lesson = msgspec.structs.replace(known.lesson, gated=gated)
            self._write(template, _Write.STORE)

    def _remember(self, template: int, known: _Known) -> None:
        self._former[template] = known
        self._former.move_to_end(template)
        while len(self._former) > LESSONS_MAX:
            self._former.popitem(last=False)

    def _write(self, template: int, write: _Write) -> None:
        self._unwritten[template] = _Wanted(write)
        self._unwritten.move_to_end(template)
        while len(self._unwritten) > LESSONS_MAX:
            self._unwritten.popitem(last=False)


def _version_of(what: str, contract: bytes) -> str:
    """What lessons are made by and for."""
    return hashlib.sha256(f"{what}{_core.CORE_VERSION} {contract.hex()}".encode()).hexdigest()[:16]


def restores_shared(due: Due, footprint: Footprint) -> bool:
    """Whether a run restores what others of its call may need too, and not just its own task's entry."""
    if due.call.must_write is None:
        return bool(footprint.archived)
    return bool(footprint.archived_beside(due.call.described.contract, due.values[0]))


def _single_key(due: Due) -> int:
    """Another key than any call's: those are hashes of 64 bits too."""
    source, name, _ = due.execution
    text = f"restores {due.template} {source} {name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _differs(before: Footprint, after: Footprint) -> bool:
    """Whether the same code touches other entries than before."""
    known = bool(before.read_only or before.read_write)
    return known and before.codes == after.codes and not before.touches_same(after)
