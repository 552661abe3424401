"""Why an embedded server died, out of its log."""

from __future__ import annotations

import pytest

from sorofast.coordination.embedded import last_warning

PID = 4711
START = """4711:C 27 Nov 2026 19:45:42.120 # WARNING Memory overcommit must be enabled!
4711:M 27 Nov 2026 19:45:42.123 * Server initialized
4711:M 27 Nov 2026 19:45:42.123 * Ready to accept connections unix
"""


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (START, None),
        (START + "4711:M 27 Nov 2026 19:50:00.000 * DB saved on disk\n", None),
        (START + "4712:M 27 Nov 2026 19:50:00.000 # somebody else's\n", None),
        (
            START
            + "4711:M 27 Nov 2026 19:50:00.000 # Can't save in background: fork: Cannot allocate memory\n"
            + "4711:M 27 Nov 2026 19:50:01.000 * 1 changes in 60 seconds. Saving...\n"
            + "not a line of its log\n",
            "Can't save in background: fork: Cannot allocate memory",
        ),
        ("4711:M 27 Nov 2026 19:45:42.120 # Bad file format reading the append only file\n",
         "Bad file format reading the append only file"),
        ("", None),
    ],
    ids=["only of its start", "a notice", "another process", "the last", "never served", "nothing"],
)  # fmt: skip
def test_the_last_warning_since_it_began_to_serve_is_the_reason(text: str, warning: str | None) -> None:
    assert last_warning(text, PID) == warning
