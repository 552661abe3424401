"""Which kinds of calls share one template, whatever their arguments are.

Two calls of one kind that were both simulated are the evidence. If they touch the same entries, use nearly the same and
are charged the same, the kind is *alike*: a third one is built from the kind's template, without a simulation. If they
differ, or once a run of an alike kind fails for what it was built from or has no effect, the kind is *apart*: each of
its calls learns for itself, until the code behind it changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from structlog.typing import FilteringBoundLogger

from sorofast import _core
from sorofast.chain.xdr import Footprint
from sorofast.coordination.templates import Lesson
from sorofast.engine.declared import Declared
from sorofast.errors import DecodeError

__all__ = ["Kinds", "is_kind", "kind_of", "store_key"]

KINDS_MAX = 1_024
ON_TRIAL_MIN = 16
"""As many calls of a kind may run with its template at once for the first time, or twice as many as have done so. What
goes beyond that is simulated. So many fees are lost at most in one worker before a kind that only seemed alike is found
out.
"""
TRIAL_ROUNDS_MAX = 64
"""After so many ledgers one that has not run gives up its place: its task may be another worker's by now."""
EVIDENCE = 2
"""As many calls of a kind are simulated before it is known whether the others have to be."""

_ARGUMENTS_BITS = 32
_BEYOND_TEMPLATES = 1 << 64


def kind_of(template: int) -> int:
    """The kind of the call that a template is for: its key's upper half."""
    return template >> _ARGUMENTS_BITS


def store_key(kind: int) -> int:
    """The key of what is known of a kind among the fleet's lessons. A template's has 64 bits, this one has 65, so it is
    no call's, not even that of one whose arguments hash to 0.
    """
    return _BEYOND_TEMPLATES | kind


def is_kind(key: int) -> bool:
    """Whether a key of the fleet's lessons is a kind's."""
    return key >= _BEYOND_TEMPLATES


@dataclass(slots=True)
class _Kind:
    """`lesson` is what the fleet is told: with a template and no failures it is alike, with failures apart, else
    undecided. `declared` is what the evidence declares: of the call `template`, or, alike, of the kind's template.
    """

    lesson: Lesson | None = None
    number: int = 0
    template: int = -1
    fee: int = 0
    declared: Declared | None = None
    interned: int = -1
    """The signer's number of the kind's template, by which it is seen whether a call has that one."""
    on_trial: dict[int, int] = field(default_factory=dict)
    """Calls that have got the kind's template and have not run with it yet, and in which round they got it."""
    proved: int = 0
    """How many have, in the whole fleet as far as it was told."""
    untold: int = 0
    """How many of them the fleet has not been told of."""

    @property
    def apart(self) -> bool:
        return self.lesson is not None and self.lesson.failures > 0

    @property
    def alike(self) -> Lesson | None:
        return None if self.apart or self.lesson is None or not self.lesson.template else self.lesson


Raise = Callable[[Declared], bytes | None]
"""Makes the template just learned again, declaring at least so much and a margin; returns it sealed."""


class Kinds:
    """The kinds of one worker, kept the same as the fleet's. `changed(key)` says that what is known under that key of
    the fleet's lessons has to be written.
    """

    def __init__(
        self,
        signer: _core.Signer,
        contract: bytes,
        version: str,
        changed: Callable[[int], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._signer = signer
        self._contract = contract
        self._version = version
        self._changed = changed
        self._log = log
        self._kinds: OrderedDict[int, _Kind] = OrderedDict()
        # By kind: the calls that were said to have its template in this round and the one before. Runs of them may be
        # planned and not built yet.
        self._lent: dict[int, set[int]] = {}
        self._lent_before: dict[int, set[int]] = {}
        self._round = 0

    def __len__(self) -> int:
        return len(self._kinds)

    # What is known

    def undecided(self, template: int) -> bool:
        """Whether it is not known yet if calls of this kind may share a template."""
        kind = self._kinds.get(kind_of(template))
        return kind is None or not (kind.apart or kind.alike)

    def shared(self, template: int) -> Lesson | None:
        """What a call without a template of its own may use."""
        kind = self._kinds.get(kind_of(template))
        return None if kind is None else kind.alike

    def begin_round(self) -> None:
        """Another ledger: what was planned a whole round ago has been built."""
        self._round += 1
        self._lent_before, self._lent = self._lent, {}

    def lend(self, template: int) -> bool:
        """Gives the call its kind's template, if there is one and not too many try it at this moment; returns whether
        it has it now.
        """
        kind = self._kinds.get(kind_of(template))
        lesson = None if kind is None else kind.alike
        if kind is None or lesson is None:
            return False
        # Equal templates are kept once, under one number. One that was lent before a change has another.
        if self._signer.template(template) != kind.interned:
            if template not in kind.on_trial and not self._may_try(kind):
                return False
            try:
                kind.interned = self._signer.import_template(template, lesson.template)
            except DecodeError as error:
                self._log.info("template_unusable", template=template, error=str(error))
                return False
            kind.on_trial[template] = self._round
        self._lent.setdefault(kind_of(template), set()).add(template)
        return True

    def lesson(self, key: int) -> Lesson:
        """What the fleet shall know under a kind's key; one without template or failures says that all is open."""
        kind = self._kinds.get(key - _BEYOND_TEMPLATES)
        if kind is None or kind.lesson is None:
            return Lesson(version=self._version, template=b"", fee=0)
        return kind.lesson

    def contracts(self) -> set[bytes]:
        """The contracts (32 bytes) whose code the newest kinds depend on."""
        return {
            contract
            for kind in self._kinds.values()
            if kind.lesson is not None and kind.declared is not None
            for contract in kind.declared.footprint.instances
        }

    # Changes

    def learned(self, template: int, lesson: Lesson, declared: Declared, remake: Raise | None = None) -> None:
        """A call was simulated: here, if it can be made again to cover more. What others' lessons say of a kind, those
        others have written.
        """
        kind, here = self._kind(template), remake is not None
        kind.on_trial.pop(template, None)
        for lent in (self._lent, self._lent_before):
            lent.get(kind_of(template), set()).discard(template)
        if kind.declared is not None and kind.declared.footprint.codes != declared.footprint.codes:
            # Whatever is known is of other code.
            if kind.lesson is not None and here:
                self._changed(store_key(kind_of(template)))
            kind.lesson, kind.declared = None, None
            self._withdraw(kind_of(template))
        if kind.apart:
            if kind.declared is None:
                kind.declared = declared
            return
        if lesson.failures or self._waits_for_others(declared.footprint):
            self._part(template, kind, lesson, declared, tell=here)
        elif kind.declared is None or (kind.template == template and not kind.alike):
            kind.template, kind.fee, kind.declared = template, lesson.fee, declared
        elif kind.fee != lesson.fee or not (
            kind.declared.near(declared) or (kind.alike and kind.declared.serves(declared))
        ):
            self._part(template, kind, lesson, declared, tell=here)
        elif not kind.alike:
            self._join(template, kind, lesson, declared, remake)

    def worked(self, template: int) -> None:
        """A run had its effect."""
        kind = self._kinds.get(kind_of(template))
        if kind is None or template not in kind.on_trial:
            return
        kind.on_trial.pop(template, None)
        kind.proved += 1
        kind.untold += 1
        lesson = kind.alike
        # The next start need not begin from nothing; how many exactly matters little.
        if lesson is not None and kind.untold > lesson.proved // 4:
            kind.lesson = msgspec.structs.replace(lesson, proved=lesson.proved + kind.untold)
            kind.untold = 0
            self._changed(store_key(kind_of(template)))

    def failed(self, template: int) -> None:
        """A run failed, maybe for what it was built from."""
        kind = self._kinds.get(kind_of(template))
        if kind is None or kind.apart:
            return
        if kind.alike:
            self._log.warning(
                "arguments_matter",
                template=template,
                consequence="each call of this kind is simulated before its first run from now on",
            )
            self._part(template, kind, kind.alike, kind.declared)
        elif kind.template == template:
            kind.declared = None

    def reopen(self, template: int) -> None:
        """The kind's template is good no longer, through nobody's fault: it is learned anew."""
        kind = self._kinds.get(kind_of(template))
        if kind is not None and kind.alike:
            del self._kinds[kind_of(template)]
            self._withdraw(kind_of(template))
            self._changed(store_key(kind_of(template)))

    def no_effect(self, template: int) -> None:
        """A run had no effect, or would have none. Why may go by the arguments, so no sibling is sent unasked."""
        kind = self._kind(template)
        if not kind.apart:
            self._part(template, kind, kind.alike, kind.declared)

    def code_changed(self, executables: Mapping[bytes, bytes | None]) -> None:
        """Forgets what was learned from other code than these contracts (32 bytes) run now (hash of the wasm)."""
        for number, kind in list(self._kinds.items()):
            if kind.declared is None:
                continue
            footprint = kind.declared.footprint
            found = (executables[contract] for contract in footprint.instances & executables.keys())
            if any(code is not None and code not in footprint.codes for code in found):
                del self._kinds[number]
                self._withdraw(number)
                if kind.lesson is not None:
                    self._changed(store_key(number))

    def follow(self, key: int, lesson: Lesson | None, number: int) -> None:
        """What another member wrote."""
        if lesson is None or lesson.version != self._version:
            return
        kind = self._kinds.get(key - _BEYOND_TEMPLATES)
        if kind is not None and kind.number == number:
            return
        if not lesson.template and not lesson.failures:
            self._kinds.pop(key - _BEYOND_TEMPLATES, None)
            self._withdraw(key - _BEYOND_TEMPLATES)
            return
        declared = self._declared_by(key - _BEYOND_TEMPLATES, lesson.template)
        if lesson.template and declared is None:
            return
        if kind is not None and kind.apart and not lesson.failures and _same_code(kind.declared, declared):
            # Written by a member that did not know better yet.
            self._changed(key)
            return
        kind = self._kind((key - _BEYOND_TEMPLATES) << _ARGUMENTS_BITS)
        mine = kind.alike
        if mine is not None and kind.declared is not None and declared is not None and not lesson.failures:
            # Two members that learned at once: both keep the same one of their templates, whoever writes last.
            ours, theirs = (kind.declared.amounts, mine.template), (declared.amounts, lesson.template)
            if kind.declared.footprint.touches_same(declared.footprint) and ours >= theirs:
                lesson, declared = msgspec.structs.replace(mine, proved=lesson.proved), kind.declared
        if mine is None or mine.template != lesson.template:
            kind.interned = -1
        kind.lesson, kind.number, kind.fee = lesson, number, lesson.fee
        kind.declared = declared or kind.declared
        kind.proved = max(kind.proved, lesson.proved + kind.untold)
        if kind.apart:
            self._withdraw(key - _BEYOND_TEMPLATES)

    def written(self, key: int, number: int) -> None:
        """What is known under a kind's key has been written, as the change of this number."""
        kind = self._kinds.get(key - _BEYOND_TEMPLATES)
        if kind is not None:
            kind.number = number

    def _join(
        self, template: int, kind: _Kind, lesson: Lesson, declared: Declared, remake: Raise | None
    ) -> None:
        """Two calls were seen to be alike: the kind's template covers both."""
        before = kind.declared
        if before is None:
            return
        if declared.covers(before) and before.covers(declared):
            shared: bytes | None = lesson.template
        elif remake is not None:
            shared = remake(before)
        else:
            # Nothing was simulated here that one with a margin could be made from.
            return
        if shared is None:
            return
        covering = self._declared_by(kind_of(template), shared)
        if covering is None:
            return
        kind.lesson = Lesson(version=self._version, template=shared, fee=lesson.fee)
        kind.declared, kind.interned, kind.proved = covering, -1, 0
        kind.untold = 0
        kind.on_trial.clear()
        if remake is not None:
            self._changed(store_key(kind_of(template)))
            self._log.info("arguments_do_not_matter", template=template)

    def _part(
        self,
        template: int,
        kind: _Kind,
        lesson: Lesson | None,
        declared: Declared | None,
        *,
        tell: bool = True,
    ) -> None:
        kept = lesson or Lesson(version=self._version, template=b"", fee=0)
        kind.lesson = msgspec.structs.replace(kept, version=self._version, failures=1, gated=False)
        kind.declared = declared
        kind.on_trial.clear()
        self._withdraw(kind_of(template))
        if tell:
            self._changed(store_key(kind_of(template)))

    def _may_try(self, kind: _Kind) -> bool:
        most = max(ON_TRIAL_MIN, 2 * kind.proved)
        if len(kind.on_trial) >= most:
            since = self._round - TRIAL_ROUNDS_MAX
            kind.on_trial = {template: at for template, at in kind.on_trial.items() if at > since}
        return len(kind.on_trial) < most

    def _withdraw(self, number: int) -> None:
        """What has been planned with the kind's template and not been built is not built from it."""
        for lent in (self._lent, self._lent_before):
            for template in lent.pop(number, ()):
                self._signer.forget(template)

    def _kind(self, template: int) -> _Kind:
        number = kind_of(template)
        kind = self._kinds.setdefault(number, _Kind())
        self._kinds.move_to_end(number)
        while len(self._kinds) > KINDS_MAX:
            self._kinds.popitem(last=False)
        return kind

    def _declared_by(self, kind: int, template: bytes) -> Declared | None:
        """What a sealed template declares. It is under a key of no call while it is looked at."""
        if not template:
            return None
        key = kind << _ARGUMENTS_BITS
        while self._signer.template(key) is not None:
            key += 1
        try:
            self._signer.import_template(key, template)
            return Declared.of(self._signer, key)
        except DecodeError as error:
            self._log.info("template_unusable", template=key, error=str(error))
            return None
        finally:
            self._signer.forget(key)

    def _waits_for_others(self, footprint: Footprint) -> bool:
        """Whether it touches tasks of the registry besides its own, whose number is taken out: which ones they are is
        in no call's kind.
        """
        return footprint.names_numbers(self._contract)


def _same_code(one: Declared | None, other: Declared | None) -> bool:
    return one is None or other is None or one.footprint.codes == other.footprint.codes
