"""A target that reads as many entries in one call as its argument says, assembled by hand: none of the committed
contracts reads more than a few.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from stellar_sdk import StrKey, scval
from stellar_sdk import xdr as stellar_xdr

from helpers.contract_calls import put_instance, upload
from helpers.faults.scene import Scene
from sorofast.audit.seed import _data

TARGET = StrKey.encode_contract(hashlib.sha256(b"sorofast wide target").digest())

_I64, _FUNCTION = b"\x7e", b"\x60"
# The host's get_contract_data(key, durability).
_GET = (b"l", b"1")
_PROTOCOL = 22
# touch(number: u32): for i in 0..number, reads the persistent entry under the key i; returns nothing. Values are tagged
# in their low byte, a u32 with 4 and below its number; nothing is 2, and persistent is 1.
_BODY = bytes.fromhex(
    "01017e"  # one local, i
    "0240" "0340"  # block, loop
    "2001" "2000" "4220" "88" "5a" "0d01"  # leave if i >= number >> 32
    "2001" "4220" "86" "4204" "84" "4201" "1000" "1a"  # get((i << 32) | 4, 1), dropped
    "2001" "4201" "7c" "2101" "0c00"  # i += 1, again
    "0b0b" "4202" "0b"
)  # fmt: skip


def _sized(content: bytes) -> bytes:
    """Behind its length, a LEB128 number of at most two bytes."""
    length = len(content)
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + content


def _section(number: int, content: bytes) -> bytes:
    return bytes([number]) + _sized(content)


def code() -> bytes:
    """The contract's wasm."""
    types = (
        b"\x02"
        + _FUNCTION
        + b"\x02"
        + _I64 * 2
        + b"\x01"
        + _I64
        + _FUNCTION
        + b"\x01"
        + _I64
        + b"\x01"
        + _I64
    )
    imported = b"\x01" + b"".join(map(_sized, _GET)) + b"\x00\x00"
    exported = b"\x01" + _sized(b"touch") + b"\x00\x01"
    version = _sized(b"contractenvmetav0") + struct.pack(">III", 0, _PROTOCOL, 0)
    return (
        b"\x00asm\x01\x00\x00\x00"
        + _section(1, types)
        + _section(2, imported)
        + _section(3, b"\x01\x01")
        + _section(7, exported)
        + _section(10, b"\x01" + _sized(_BODY))
        + _section(0, version)
    )


def call(entries: int) -> dict[str, stellar_xdr.SCVal]:
    """Fields of a task that reads the target's first `entries` entries."""
    return {
        "target": scval.to_address(TARGET),
        "function": scval.to_symbol("touch"),
        "args": scval.to_vec([scval.to_uint32(entries)]),
    }


async def deploy(s: Scene, sizes: Iterable[int], *, live_until: int | None = None) -> int:
    """Puts the target there, with entries of so many bytes each under the keys 0, 1, 2, …, which are archived unless
    they live until another ledger; returns how many.
    """
    await put_instance(s.network, TARGET, await upload(s.network, code()))
    latest = await s.latest_ledger()
    entries = [
        (_data(TARGET, scval.to_uint32(key), scval.to_bytes(bytes(size)), latest), live_until or latest - 1)
        for key, size in enumerate(sizes)
    ]
    await s.admin.put_entries(entries)
    return len(entries)
