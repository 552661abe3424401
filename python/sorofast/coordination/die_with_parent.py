"""Becomes another program that is told to end when the process that started it does, however that one ended.

Run as a script: `python -I -S die_with_parent.py <parent pid> <signals> <program> [argument …]`. The first of the
comma-separated signals, such as SIGTERM, is what tells the program; the others are kept from it for good, so that
what is sent to every process of a group ends only those that decide for themselves, and this one in its turn. A
mask of blocked signals is all of its parent that a program keeps when it sets its own handlers.

A process of its own, because doing this between fork and exec would run Python in a copy of a process whose other
threads are gone. On systems without PR_SET_PDEATHSIG the program runs all the same and may outlive a parent that
was killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, names, program, *arguments = sys.argv[1:]
    tells, *kept_off = (signal.Signals[name] for name in names.split(","))
    signal.pthread_sigmask(signal.SIG_BLOCK, kept_off)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, tells, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its end could be waited for")
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
