"""What is to land at most once, and how logs, keys and operators write it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TASKS", "Execution", "Subject", "name_of_subject", "subject_of_name"]

TASKS = "tasks"
"""The source of registry tasks. Its executions are written without a source, since most are theirs."""

Subject = tuple[str, int | str]
"""(source, id): what has one execution after another, as a task has runs."""


def name_of_subject(subject: Subject) -> str:
    """`"7"` for task 7, or `"source/id"` for everything but registry tasks."""
    source, name = subject
    return str(name) if source == TASKS else f"{source}/{name}"


def subject_of_name(name: str) -> Subject:
    """The inverse; ValueError for a text that names none."""
    source, slash, subject = name.partition("/")
    if not slash:
        return TASKS, int(name)
    if not source or not subject or source == TASKS:
        raise ValueError(f"{name!r} names no subject: expected a task's number or source/id")
    return source, subject


class Execution(NamedTuple):
    """One run of one subject. `window` says which run: a task's is the `last_run` (unix seconds) it
    replaces. Neither holds a space, and the window no colon.
    """

    source: str
    id: int | str
    window: int | str

    @property
    def subject(self) -> Subject:
        return self.source, self.id

    @property
    def name(self) -> str:
        """`"task:window"`, or `"source/id:window"` for everything but registry tasks."""
        text = f"{self.id}:{self.window}"
        return text if self.source == TASKS else f"{self.source}/{text}"

    def fields(self) -> dict[str, int | str]:
        """What a log line says of it: the task and the window, or source, id and window."""
        if self.source == TASKS:
            return {"task": self.id, "window": self.window}
        return {"source": self.source, "id": self.id, "window": self.window}

    @classmethod
    def parse(cls, name: str) -> Execution:
        """The execution of a name; ValueError for a text that is none."""
        source, slash, rest = name.partition("/")
        if not slash:
            source, rest = TASKS, name
        subject, colon, window = rest.rpartition(":")
        if not (source and subject and colon and window) or " " in name:
            raise ValueError(f"{name!r} is no execution: expected task:window or source/id:window")
        if source == TASKS:
            return cls(source, int(subject), int(window))
        return cls(source, subject, window)
