"""Close times in milliseconds, out of ledger headers in XDR.

Whole seconds are all that the RPC's own fields tell; since protocol 30 the header has more. Only the fields on
the way to it are walked, each within its bound.
"""

from __future__ import annotations

import base64
import binascii
import struct

from sorofast.errors import BodyError

__all__ = ["close_time_ms"]

# LedgerHeaderHistoryEntry: hash; LedgerHeader: version, previous hash, then StellarValue: set hash, close time.
_CLOSE_TIME_AT = 32 + 4 + 32 + 32
_UPGRADES_MAX = 6
_UPGRADE_BYTES_MAX = 128
# StellarValueExt arms whose first field is the close time in milliseconds.
_ARMS_WITH_MS = frozenset({3, 4})


def close_time_ms(header_xdr: str) -> int:
    """Close time of a base64 LedgerHeaderHistoryEntry in Unix milliseconds; older headers give whole seconds.

    BodyError when it is none.
    """
    try:
        raw = base64.b64decode(header_xdr, validate=True)
        (seconds,) = struct.unpack_from(">Q", raw, _CLOSE_TIME_AT)
        at = _CLOSE_TIME_AT + 8
        (upgrades,) = struct.unpack_from(">I", raw, at)
        at += 4
        if upgrades > _UPGRADES_MAX:
            raise BodyError(f"a ledger header has {upgrades} upgrades, more than {_UPGRADES_MAX}")
        for _ in range(upgrades):
            (size,) = struct.unpack_from(">I", raw, at)
            if size > _UPGRADE_BYTES_MAX:
                raise BodyError(f"an upgrade in a ledger header has {size} bytes")
            at += 4 + (size + 3) // 4 * 4
        (arm,) = struct.unpack_from(">i", raw, at)
        if arm not in _ARMS_WITH_MS:
            return int(seconds) * 1000
        (milliseconds,) = struct.unpack_from(">Q", raw, at + 4)
    except (binascii.Error, ValueError, struct.error) as error:
        raise BodyError(f"a ledger header does not decode: {error}") from error
    if milliseconds // 1000 != seconds:
        raise BodyError(f"a ledger header closes at {seconds} s and at {milliseconds} ms")
    return int(milliseconds)
