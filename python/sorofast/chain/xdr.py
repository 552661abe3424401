"""Reads the XDR that workers meet now and then: values, diagnostic events, footprints, a contract's executable.

The SDK would read it too, but takes a second to load, which a worker does not have between two ledgers. What every
ledger brings is read by the Rust core instead. Every read is bounded and raises XdrError.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sorofast.errors import XdrError

__all__ = [
    "Address",
    "DiagnosticEvent",
    "Footprint",
    "HostError",
    "executable_of",
    "footprint_of",
    "instance_key",
    "read_event",
    "read_footprint",
    "read_instance",
    "restore_data",
]

_DEPTH_MAX = 100
_ITEMS_MAX = 100_000
_ACCOUNT_KEY_BYTES = 36
_TYPES = (
    "contract",
    "wasm_vm",
    "context",
    "storage",
    "object",
    "crypto",
    "events",
    "budget",
    "value",
    "auth",
)
_CODES = (
    "arith_domain",
    "index_bounds",
    "invalid_input",
    "missing_value",
    "existing_value",
    "exceeded_limit",
    "invalid_action",
    "internal_error",
    "unexpected_type",
    "unexpected_size",
)
# Values that are nothing but a number: how to unpack them.
_NUMBERS = {3: ">I", 4: ">i", 5: ">Q", 6: ">q", 7: ">Q", 8: ">Q", 21: ">q"}
_WIDE = {9: (16, False), 10: (16, True), 11: (32, False), 12: (32, True)}
# The kind of contract data, and the durability of an instance.
_DATA, _PERSISTENT = 6, 1
_U64 = 5
_INSTANCE_VALUE, _INSTANCE_KEY = 19, 20


class HostError(NamedTuple):
    """An error value: of which kind, and its code by name, or the number that a contract gave its own error."""

    kind: str
    code: str
    number: int | None


class Address(NamedTuple):
    """An address: `contract` for a contract's, and its 32 bytes; otherwise the bytes after its kind."""

    contract: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class DiagnosticEvent:
    """What the host noted down while it ran a call. `contract` is the one that was running, None for none.

    Values are plain Python: numbers, text of symbols and strings, bytes, lists, lists of pairs for maps, `Address`,
    `HostError`, None for void.
    """

    contract: bytes | None
    topics: list[Any]
    data: Any


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a call touches: whole ledger keys, and of them which contracts' instances and which code. `archived` are
    those that it restores.
    """

    read_only: tuple[bytes, ...] = ()
    read_write: tuple[bytes, ...] = ()
    instances: frozenset[bytes] = frozenset()
    codes: frozenset[bytes] = frozenset()
    archived: tuple[bytes, ...] = ()
    read_bytes: int = 0
    """Bytes read from disk, as archived entries are."""
    write_bytes: int = 0

    def touches_same(self, other: Footprint) -> bool:
        """Whether both read and write the same entries; their order goes by the number of the run's task."""
        return set(self.read_only) == set(other.read_only) and set(self.read_write) == set(other.read_write)

    def writes(self, contract: bytes, number: int) -> bool:
        """Whether it may write an entry of the contract whose key holds that number, as a task's does."""
        return any(_is_under(key, contract, number) for key in self.read_write)

    def archived_beside(self, contract: bytes, number: int) -> tuple[bytes, ...]:
        """What it restores but entries of the contract whose key holds that number."""
        return tuple(key for key in self.archived if not _is_under(key, contract, number))

    def names_numbers(self, contract: bytes) -> bool:
        """Whether it touches an entry of the contract whose key holds a number other than 0."""
        start = struct.pack(">II32s", _DATA, 1, contract)
        return any(
            key.startswith(start) and _holds_number(key, len(start))
            for key in (*self.read_only, *self.read_write)
        )


def _holds_number(key: bytes, at: int) -> bool:
    """Whether a u64 other than 0 stands in the key from there on, as XDR in words of four bytes."""
    return any(
        int.from_bytes(key[word : word + 4], "big") == _U64 and any(key[word + 4 : word + 12])
        for word in range(at, len(key) - 11, 4)
    )


def _is_under(key: bytes, contract: bytes, number: int) -> bool:
    """Whether it is the key of an entry of the contract, and holds that number."""
    start, wanted = struct.pack(">II32s", _DATA, 1, contract), struct.pack(">IQ", _U64, number)
    return key.startswith(start) and wanted in key


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.raw):
            raise XdrError(self.at, f"{count} bytes are wanted and {len(self.raw) - self.at} are left")
        piece, self.at = self.raw[self.at : end], end
        return piece

    def word(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def count(self) -> int:
        count = self.word()
        if count > _ITEMS_MAX:
            raise XdrError(self.at - 4, f"a list of {count} items is none of ours")
        return count

    def opaque(self) -> bytes:
        count = self.word()
        piece = self.take(count)
        self.take(-count % 4)
        return piece

    def address(self) -> Address:
        match self.word():
            case 0:
                return Address(False, self.take(_ACCOUNT_KEY_BYTES)[4:])
            case 1:
                return Address(True, self.take(32))
            case 2:
                return Address(False, self.take(40))
            case 3:
                return Address(False, self.take(_ACCOUNT_KEY_BYTES))
            case 4:
                return Address(False, self.take(32))
            case other:
                raise XdrError(self.at - 4, f"{other} is no kind of address")

    def executable(self) -> bytes | None:
        """The hash of a contract's wasm; None for a token built into the host."""
        return self.take(32) if self.word() == 0 else None

    def value(self, depth: int = 0) -> Any:
        """An SCVal."""
        if depth > _DEPTH_MAX:
            raise XdrError(self.at, f"a value is nested more than {_DEPTH_MAX} deep")
        kind = self.word()
        if kind in _NUMBERS:
            pattern = _NUMBERS[kind]
            return struct.unpack(pattern, self.take(struct.calcsize(pattern)))[0]
        if kind in _WIDE:
            size, signed = _WIDE[kind]
            return int.from_bytes(self.take(size), "big", signed=signed)
        match kind:
            case 0:
                return self.word() != 0
            case 1 | 20:
                return None
            case 2:
                return self._error()
            case 13:
                return self.opaque()
            case 14 | 15:
                return self.opaque().decode(errors="replace")
            case 16:
                return [self.value(depth + 1) for _ in range(self.count())] if self.word() else []
            case 17:
                return self.pairs(depth) if self.word() else []
            case 18:
                return self.address()
            case 19:
                return self.executable(), self.pairs(depth) if self.word() else []
        raise XdrError(self.at - 4, f"{kind} is no kind of value")

    def pairs(self, depth: int = 0) -> list[tuple[Any, Any]]:
        return [(self.value(depth + 1), self.value(depth + 1)) for _ in range(self.count())]

    def _error(self) -> HostError:
        kind, code = self.word(), self.word()
        name = _TYPES[kind] if kind < len(_TYPES) else f"type_{kind}"
        if kind == 0:
            return HostError(name, "", code)
        return HostError(name, _CODES[code] if code < len(_CODES) else f"code_{code}", None)

    def ledger_key(self, instances: set[bytes], codes: set[bytes]) -> bytes:
        start = self.at
        match self.word():
            case 0:
                self.take(_ACCOUNT_KEY_BYTES)
            case 1:
                self.take(_ACCOUNT_KEY_BYTES)
                self._skip_asset()
            case 6:
                owner = self.address()
                is_instance = self.raw[self.at : self.at + 4] == _INSTANCE_KEY.to_bytes(4, "big")
                self.value()
                self.word()
                if owner.contract and is_instance:
                    instances.add(owner.raw)
            case 7:
                codes.add(self.take(32))
            case other:
                raise XdrError(start, f"a key of kind {other} cannot be in a footprint")
        return self.raw[start : self.at]

    def _skip_asset(self) -> None:
        sizes = {0: 0, 1: 4 + _ACCOUNT_KEY_BYTES, 2: 12 + _ACCOUNT_KEY_BYTES, 3: 32}
        kind = self.word()
        if kind not in sizes:
            raise XdrError(self.at - 4, f"{kind} is no kind of asset")
        self.take(sizes[kind])


def _reader(text: str) -> _Reader:
    try:
        return _Reader(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error) as error:
        raise XdrError(0, f"no base64: {error}") from None


def read_event(text: str) -> DiagnosticEvent:
    """A DiagnosticEvent in base64."""
    reader = _reader(text)
    reader.take(8)  # whether the call around it succeeded; the event's extension
    contract = reader.take(32) if reader.word() else None
    reader.take(8)  # system, contract or diagnostic; the body's version
    topics = [reader.value() for _ in range(reader.count())]
    return DiagnosticEvent(contract, topics, reader.value())


def read_footprint(transaction_data: str) -> Footprint:
    """The footprint in a SorobanTransactionData in base64."""
    reader = _reader(transaction_data)
    indices = [reader.word() for _ in range(reader.count())] if reader.word() == 1 else []
    instances: set[bytes] = set()
    codes: set[bytes] = set()
    read_only = tuple(reader.ledger_key(instances, codes) for _ in range(reader.count()))
    read_write = tuple(reader.ledger_key(instances, codes) for _ in range(reader.count()))
    reader.take(4)  # instructions
    read_bytes, write_bytes = reader.word(), reader.word()
    beyond = [index for index in indices if index >= len(read_write)]
    if beyond:
        raise XdrError(4, f"archived entry {beyond[0]} is beyond the read-write keys")
    archived = tuple(read_write[index] for index in indices)
    return Footprint(
        read_only, read_write, frozenset(instances), frozenset(codes), archived, read_bytes, write_bytes
    )


def restore_data(keys: Sequence[bytes]) -> str:
    """The SorobanTransactionData (base64) that asks what restoring these ledger keys takes: no resources, no fee."""
    packed = struct.pack(">III", 0, 0, len(keys)) + b"".join(keys) + struct.pack(">IIIq", 0, 0, 0, 0)
    return base64.b64encode(packed).decode()


def footprint_of(read_only: Sequence[str], read_write: Sequence[str]) -> Footprint:
    """The footprint of these ledger keys in base64."""
    instances: set[bytes] = set()
    codes: set[bytes] = set()
    parts = [
        tuple(_reader(key).ledger_key(instances, codes) for key in keys) for keys in (read_only, read_write)
    ]
    return Footprint(parts[0], parts[1], frozenset(instances), frozenset(codes))


def instance_key(contract: bytes) -> str:
    """LedgerKey (base64) of a contract's instance."""
    return base64.b64encode(struct.pack(">II32sII", _DATA, 1, contract, _INSTANCE_KEY, _PERSISTENT)).decode()


def executable_of(entry: str) -> bytes | None:
    """The hash of the wasm that a contract's instance (LedgerEntryData, base64) runs; None for a built-in contract.

    Reads only as far as that: what a contract stores in its instance may be large.
    """
    return _instance_reader(entry).executable()


def read_instance(entry: str) -> tuple[bytes | None, list[tuple[Any, Any]]]:
    """(hash of the wasm it runs, what it stores) of a contract's instance, a LedgerEntryData in base64.

    The hash is None where a contract built into the host runs.
    """
    reader = _instance_reader(entry)
    return reader.executable(), reader.pairs() if reader.word() else []


def _instance_reader(entry: str) -> _Reader:
    reader = _reader(entry)
    if reader.word() != _DATA:
        raise XdrError(0, "the entry is no contract data")
    reader.word()
    reader.address()
    reader.value()
    reader.word()
    if reader.word() != _INSTANCE_VALUE:
        raise XdrError(reader.at - 4, "the entry is no contract's instance")
    return reader
