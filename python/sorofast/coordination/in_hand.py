"""What a worker has in hand while native code or much memory is at work on it, where its supervisor can still read it
when the worker is dead.

The two share a little memory without a name in any file system. Noting is a plain write to it: no call of the system,
and nothing that could wait.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from sorofast.errors import SorofastError
from sorofast.executions.key import Subject, name_of_subject, subject_of_name

__all__ = ["AT_ONCE_MAX", "InHand"]

AT_ONCE_MAX = 256
"""As many subjects may be in hand at once."""
NAME_MAX_BYTES = 200
"""A subject with a longer name is not noted."""

_LENGTH = struct.Struct("<I")
_SIZE = 64 * 1024


class InHand:
    """One worker's register. It holds names of subjects and nothing else."""

    def __init__(self, memory: mmap.mmap, descriptor: int = -1) -> None:
        self.descriptor = descriptor
        self._memory = memory
        self._left = False

    @classmethod
    def create(cls) -> Self:
        """A new register, whose `descriptor` a child may inherit."""
        descriptor = os.memfd_create("sorofast-in-hand", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, _SIZE)
            return cls(mmap.mmap(descriptor, _SIZE), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def attach(cls, descriptor: int) -> Self:
        """The register that was inherited as `descriptor`, which this takes over."""
        try:
            return cls(mmap.mmap(descriptor, _SIZE))
        finally:
            os.close(descriptor)

    @classmethod
    def unread(cls) -> Self:
        """One that nobody reads, for a worker without a supervisor."""
        return cls(mmap.mmap(-1, _SIZE))

    def close(self) -> None:
        self._memory.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @contextmanager
    def hold(self, subjects: Iterable[Subject]) -> Iterator[None]:
        """Within the block these are in hand, instead of what was before; nothing is after it, unless the block ends
        with an exception that nobody expects, as a panic does: then they stay, for that ends the worker.
        """
        self._note(subjects)
        try:
            yield
        except SorofastError:
            self._end()
            raise
        except BaseException:
            self._left = True
            raise
        self._end()

    def read(self) -> list[Subject]:
        """What is in hand. A register that is half written, or that its owner ran over, names what can be read."""
        (length,) = _LENGTH.unpack_from(self._memory)
        stored = self._memory[_LENGTH.size : _LENGTH.size + min(length, _SIZE - _LENGTH.size)]
        found = []
        for name in stored.split(b"\n")[:AT_ONCE_MAX]:
            try:
                found.append(subject_of_name(name.decode()))
            except ValueError:
                continue
        return found

    def _note(self, subjects: Iterable[Subject]) -> None:
        names = [name_of_subject(subject) for subject in subjects]
        if len(names) > AT_ONCE_MAX:
            raise ValueError(f"at most {AT_ONCE_MAX} subjects may be in hand, not {len(names)}")
        if self._left:
            return
        text = "\n".join(names).encode()
        # A character takes at most four bytes.
        if max(map(len, names), default=0) * 4 > NAME_MAX_BYTES:
            encoded = (name.encode() for name in names)
            text = b"\n".join(name for name in encoded if len(name) <= NAME_MAX_BYTES)
        # The length last: until it is there, nothing is.
        self._memory[_LENGTH.size : _LENGTH.size + len(text)] = text
        _LENGTH.pack_into(self._memory, 0, len(text))

    def _end(self) -> None:
        if not self._left:
            _LENGTH.pack_into(self._memory, 0, 0)
