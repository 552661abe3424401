#!/bin/sh
# Installs what some tests need besides `make setup`: libfaketime, for wrong host clocks. Does nothing where it is there.
# Without root or apt it says what to do and ends with status 1.
set -u
found() { ls /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1 \
    /usr/lib64/faketime/libfaketimeMT.so.1 /usr/local/lib/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1; }

[ -n "$(found)" ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo '==> installing libfaketime, for tests with wrong clocks'
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --quiet libfaketime >/dev/null 2>&1 ||
        { apt-get update --quiet >/dev/null && apt-get install --yes --quiet libfaketime >/dev/null; }
fi
[ -n "$(found)" ] && exit 0
echo 'libfaketime is missing; as root: apt-get install libfaketime (or your system'"'"'s package of that name)' >&2
exit 1
