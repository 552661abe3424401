#!/bin/sh
# Prints the Python to use, or one line on stderr that names everything missing and the Debian package it comes in.
set -u
missing=""
need() { missing="${missing:+$missing; }$1"; }

command -v cc >/dev/null 2>&1 || command -v "${CC:-gcc}" >/dev/null 2>&1 || need "a C compiler (Debian package gcc)"

cargo_version=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
set -- ${cargo_version:-0 0}
if [ "$1" -lt 1 ] || { [ "$1" -eq 1 ] && [ "$2" -lt 91 ]; }; then
    need "cargo 1.91 or newer (Debian package rustup, then: rustup default stable)"
fi

python="" old_or_absent=1
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    old_or_absent=0
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ "$old_or_absent" -eq 1 ]; then
    need "Python 3.11 or newer (Debian packages python3 and python3-venv)"
elif [ -z "$python" ]; then
    need "Python's venv module (Debian package python3-venv)"
fi

if [ -n "$missing" ]; then
    echo "sorofast cannot be built here; missing: $missing" >&2
    exit 1
fi
# The interpreter behind it: an activated .venv may be the very one about to be made anew.
"$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
