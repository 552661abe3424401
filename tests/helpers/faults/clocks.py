"""Wrong clocks: the host's, by libfaketime under a whole run; the network's own is `AdminClient.skew`.

A faked run reads the offset from a file, which may be stepped while it works. Only the wall clock is wrong;
the monotonic one stays true, as it does on a host whose clock is set.
"""

from __future__ import annotations

import ctypes.util
from pathlib import Path

_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
MISSING = (
    "libfaketime is not installed; run scripts/install_test_tools.sh, or install Debian's package libfaketime"
)


def find_libfaketime() -> Path | None:
    """The library for threaded programs, None where it is not installed."""
    for place in _PLACES:
        found = sorted(Path("/").glob(place.removeprefix("/")))
        if found:
            return found[0]
    named = ctypes.util.find_library("faketimeMT")
    return Path(named) if named else None


class HostClock:
    """The wall clock of the processes that are started with `environment`, `offset_s` away from the true one."""

    def __init__(self, directory: Path, library: Path) -> None:
        self._file = directory / "faketime"
        self._library = library
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """For a run and all it starts. The embedded server has an environment of its own and a true clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Each look at the clock looks at the file: a step is seen at once.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, offset_s: float) -> None:
        """From now on the clock is wrong by so much."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+.3f}\n", encoding="utf-8")
        new.replace(self._file)
