"""The files that a sandbox's state is kept in, and fault plans are read from."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from sorofast.errors import UsageError

PLAN_BYTES_MAX = 1024 * 1024


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and leaves no trace when it does not.
    UsageError when it cannot be written.
    """
    path = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} cannot be written: it is not a regular file")
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"{path} cannot be written: it is read-only")
    directory = path.parent
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=directory)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A file to read and its length in bytes. UsageError when it cannot be read, or has no length to tell."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} cannot be read: it is not a regular file")
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size


def read_fault_plan(path: Path) -> dict[str, Any]:
    """A fault plan from a file: JSON if it is named so or begins with a brace, else TOML. UsageError says where
    it is wrong; what the plan means is the sandbox's to judge.
    """
    with opened(path) as (file, size):
        if size > PLAN_BYTES_MAX:
            raise UsageError(f"{path} is longer than {PLAN_BYTES_MAX} bytes, the limit for a fault plan")
        content = file.read(PLAN_BYTES_MAX)
    is_json = path.suffix.lower() == ".json" or content.lstrip().startswith(b"{")
    kind = "JSON" if is_json else "TOML"
    try:
        plan: object = msgspec.json.decode(content) if is_json else tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as {kind}: {error}") from error
    except RecursionError:
        raise UsageError(f"{path} cannot be read as {kind}: it is nested too deeply") from None
    if not isinstance(plan, dict):
        raise UsageError(f'{path} is not a fault plan; expected an object such as {{"rules": []}}')
    return plan
