"""Bounds of the engine: the raw ones, and those that follow from settings.

Everything here is pure and takes plain numbers. `settings` asks `fleet_problems` when it loads, so a
combination that cannot work is refused before anything starts; the engine derives its windows from the same
functions.
"""

from __future__ import annotations

import math

from sorofast.wording import counted

I128_MAX = 2**127 - 1
"""The greatest amount that a contract can name."""
WORKERS_MAX = 64
SHARDS_MAX = 256
"""The one bound on shards: settings, keys and the fleet's record read it."""
CHANNELS_MAX = 8_192
"""The one bound on channels; the core itself derives up to 10,000. SEP-5 paths are cheap, but each channel holds a
reserve on the ledger and is read when it is in use."""

CHANNELS_PER_SHARD_MIN = 4
"""A channel carries one transaction per ledger and runs fall unevenly on shards; fewer than four starve a
busy one."""

CHANNELS_PER_RUN = 3
"""Channels for each run expected per ledger: an envelope occupies its channel until a later ledger settles
it."""

CHANNELS_BUSY_LEDGERS = 2
"""For so long at most a run occupies its channel where all goes well."""

INFLIGHT_MAX = CHANNELS_MAX

GUARD_MAX_S = 60
"""No network's close times are further apart than that from its validators' clocks."""

ENVELOPE_LEDGERS_MIN = 3
"""Sent after ledger N, in N+1 at best, N+2 after one busy ledger; valid only *below* the bound."""
ENVELOPE_LEDGERS_MAX = 60

INCLUSION_FEE_STROOPS_MIN = 100
"""The network's base fee; less is refused at the door."""
FEE_STROOPS_MAX = 2**32 - 1
"""A transaction's fee field is a u32."""

SECRET_FILE_BYTES_MAX = 4_096
CONFIG_FILE_BYTES_MAX = 1 << 20


def channels_needed(runs_per_ledger: int, shards: int) -> int:
    """How many channels a fleet with this load should have.

    Runs fall on shards and on seconds by chance, so each shard has three standard deviations more than the channels
    that it occupies on average: with fewer, a run in forty waits for one at a handful of runs per ledger.
    """
    busy = CHANNELS_BUSY_LEDGERS * runs_per_ledger / shards
    per_shard = max(CHANNELS_PER_SHARD_MIN, math.ceil(busy + 3 * math.sqrt(busy)))
    return max(per_shard * shards, CHANNELS_PER_RUN * runs_per_ledger)


def fleet_problems(
    *,
    shards: int,
    channels: int,
    inclusion_fee_stroops: int,
    max_fee_stroops: int,
) -> list[tuple[str, str]]:
    """What is wrong with these settings taken together: pairs of the key to change and a sentence."""
    problems = []
    channels_min = CHANNELS_PER_SHARD_MIN * shards
    if channels < channels_min:
        problems.append(
            (
                "keeper.channels",
                f"is {channels}, but {counted(shards, 'shard needs', 'shards need')} at least {channels_min} "
                f"({CHANNELS_PER_SHARD_MIN} each); raise it, or lower engine.shards before the fleet is first started",
            )
        )
    if inclusion_fee_stroops > max_fee_stroops:
        problems.append(
            (
                "fees.inclusion_fee_stroops",
                f"is {inclusion_fee_stroops}, above fees.max_fee_stroops ({max_fee_stroops})",
            )
        )
    return problems
