"""Code that says one thing to a simulation and does another on the ledger, put together by hand.

A simulation runs at the last closed ledger's time, and the run that it lets go lands at a later one. So what a contract
makes of the time can lead a keeper to pay for nothing.
"""

from __future__ import annotations

import functools

from helpers.contract_calls import wasm_of

EVERY_S = 5
"""It says yes in seconds that this divides: a run which lands one to four seconds later finds a no, and who asks every
second ledger hears a yes now and then.
"""

_TYPES = bytes([2, 0x60, 0, 1, 0x7E, 0x60, 1, 0x7E, 1, 0x7E])  # () -> i64, (i64) -> i64
_IMPORT = bytes([1, 1]) + b"x" + bytes([1]) + b"4" + bytes([0, 0])  # get_ledger_timestamp
_FUNCTIONS = bytes([2, 1, 0])
# A small number is a value of eight bits of tag and the number above them; 1 is true and 0 is false, 2 is nothing.
_IS_YES = bytes([0x10, 0, 0x42, 8, 0x88, 0x42, EVERY_S, 0x82, 0x50])
_CHECK_CONDITION = bytes([0]) + _IS_YES + bytes([0xAD, 0x0B])
_RUN = bytes([0]) + _IS_YES + bytes([0x45, 0x04, 0x40, 0x00, 0x0B, 0x42, 2, 0x0B])


@functools.cache
def changes_its_mind() -> bytes:
    """A resolver, `check_condition(args)`, that says yes every fifth second, and a target, `run()`, that works then
    and traps otherwise.
    """
    exports = b"".join(
        bytes([len(name)]) + name + bytes([0, number])
        for number, name in ((1, b"check_condition"), (2, b"run"))
    )
    bodies = b"".join(bytes([len(body)]) + body for body in (_CHECK_CONDITION, _RUN))
    sections = [
        (1, _TYPES),
        (2, _IMPORT),
        (3, _FUNCTIONS),
        (7, bytes([2]) + exports),
        (10, bytes([2]) + bodies),
    ]
    module = b"\0asm\1\0\0\0" + b"".join(bytes([kind, len(body)]) + body for kind, body in sections)
    return module + _meta_of(wasm_of("counter"))


def _meta_of(wasm: bytes) -> bytes:
    """The section that says which version of the host the code is for."""
    name = b"\x11contractenvmetav0"
    at = wasm.index(name)
    length = wasm[at - 1]
    return wasm[at - 2 : at + length]
