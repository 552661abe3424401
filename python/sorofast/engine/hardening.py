"""What a process that holds seeds does before it reads them."""

from __future__ import annotations

import resource

__all__ = ["forbid_core_dumps"]


def forbid_core_dumps() -> None:
    """Keeps a crash from writing this process's memory, seeds included, to disk. Children inherit it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
