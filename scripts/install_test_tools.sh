#!/bin/sh
# Installs what some tests need besides `make setup`: libfaketime, for wrong host clocks, and openssl, for a certificate
# that nobody knows. Does nothing where they are there. Without root or apt it says what to do and ends with status 1.
set -u
found() { ls /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1 \
    /usr/lib64/faketime/libfaketimeMT.so.1 /usr/local/lib/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1; }

missing() { { [ -n "$(found)" ] || printf 'libfaketime '; command -v openssl >/dev/null || printf 'openssl '; } }

packages=$(missing)
packages=${packages% }
[ -z "$packages" ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "==> installing for the tests: $packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # each word is a package
    apt-get install --yes --quiet $packages >/dev/null 2>&1 ||
        { apt-get update --quiet >/dev/null && apt-get install --yes --quiet $packages >/dev/null; }
fi
packages=$(missing)
packages=${packages% }
[ -z "$packages" ] && exit 0
echo "missing for the tests: $packages; as root: apt-get install $packages (or your system's packages of these names)" >&2
exit 1
