"""What a fleet shares: leases, the write-ahead log, channels and the ledger stream, all in Redis.

The only package that knows Redis. Everything that changes state is a Lua script in `lua/`, fenced by a
lease's epoch, idempotent, and confined to the keys of one hash slot. redis-py's exceptions are converted here
and do not leave.
"""

from __future__ import annotations
