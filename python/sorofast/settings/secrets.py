"""Settings that are secrets: which they are, and the files they are read from."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sorofast import limits
from sorofast.errors import SecretError

__all__ = ["SECRET_KEYS", "read_secret_file"]

SECRET_KEYS = frozenset({"keeper.secret", "keeper.channel_seed"})


def read_secret_file(path: Path) -> str:
    """Text of a small file that only its owner may touch; SecretError, without the text, otherwise."""
    try:
        with path.expanduser().open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path} is not a regular file; name a file that holds the secret")
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise SecretError(
                    f"{path} is accessible to other users (mode {mode:04o}); run: chmod 600 {path}"
                )
            data = file.read(limits.SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SecretError(f"{path} cannot be read ({reason}); name a file that holds the secret") from None
    if len(data) > limits.SECRET_FILE_BYTES_MAX:
        raise SecretError(
            f"{path} is longer than {limits.SECRET_FILE_BYTES_MAX} bytes, the limit for a secret file"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not text; name a file that holds the secret") from None
