"""Redis's protocol (RESP2), as much of it as a proxy needs: where a value ends, what it is, how it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

READ_BYTES = 256 * 1024
FRAME_BYTES_MAX = 256 * 1024 * 1024


class Error(str):
    """An error reply, without its minus sign."""

    __slots__ = ()


class Status(str):
    """A simple string, such as OK."""

    __slots__ = ()


def end_of(data: bytes | bytearray, at: int = 0) -> int | None:
    """The index after the value that begins at `at`; None while it is incomplete. ValueError for no RESP2."""
    missing = 1
    while missing:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        kind = data[at : at + 1]
        rest = line + 2
        if kind in (b"+", b"-", b":"):
            at = rest
        elif kind == b"$":
            size = int(data[at + 1 : line])
            at = rest if size < 0 else rest + size + 2
            if at > len(data):
                return None
        elif kind == b"*":
            missing += max(0, int(data[at + 1 : line]))
            at = rest
        else:
            raise ValueError(f"no RESP2 value begins with {bytes(kind)!r}")
        missing -= 1
    return at


def decode(data: bytes) -> Any:
    """The value of one whole frame: bytes, int, None, list, `Status` or `Error`."""
    value, _ = _decode(data, 0)
    return value


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    line = data.index(b"\r\n", at)
    kind, text, rest = data[at : at + 1], data[at + 1 : line], line + 2
    if kind == b"+":
        return Status(text.decode()), rest
    if kind == b"-":
        return Error(text.decode()), rest
    if kind == b":":
        return int(text), rest
    size = int(text)
    if size < 0:
        return None, rest
    if kind == b"$":
        return data[rest : rest + size], rest + size + 2
    values = []
    for _ in range(size):
        value, rest = _decode(data, rest)
        values.append(value)
    return values, rest


def encode(value: Any) -> bytes:
    """The inverse of `decode`. None becomes the null array, which is what XREAD answers."""
    if value is None:
        return b"*-1\r\n"
    if isinstance(value, Error):
        return f"-{value}\r\n".encode()
    if isinstance(value, Status):
        return f"+{value}\r\n".encode()
    if isinstance(value, int):
        return f":{value}\r\n".encode()
    if isinstance(value, (bytes, bytearray)):
        return b"$%d\r\n%s\r\n" % (len(value), bytes(value))
    return b"*%d\r\n" % len(value) + b"".join(encode(one) for one in value)


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole values, one by one, until the stream ends."""
    buffer = bytearray()
    while True:
        end = end_of(buffer)
        if end is not None:
            yield bytes(buffer[:end])
            del buffer[:end]
            continue
        if len(buffer) > FRAME_BYTES_MAX:
            raise ValueError(f"a value of more than {FRAME_BYTES_MAX} bytes")
        data = await reader.read(READ_BYTES)
        if not data:
            return
        buffer += data
