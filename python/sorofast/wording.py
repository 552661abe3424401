"""Small things that sentences for people have in common."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 task`, `2 tasks`; `many` where an s does not make it: `counted(2, "entry", "entries")`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
