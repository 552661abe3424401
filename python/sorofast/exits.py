"""How a process ended, in words."""

from __future__ import annotations

import signal

__all__ = ["how_it_ended"]


def how_it_ended(exit_code: int) -> str:
    """By its exit code: "with exit code 3", or for a negative one "by SIGKILL"."""
    if exit_code >= 0:
        return f"with exit code {exit_code}"
    try:
        return f"by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"by signal {-exit_code}"
