"""What the fleet restores, or cannot, for calls that wait for it."""

from __future__ import annotations

from collections.abc import Collection

from sorofast.coordination.restores import RestoreNeed, RestoreStore
from sorofast.coordination.visit import visit_fleet
from sorofast.settings import RedisConfig

__all__ = ["read_needs", "waits_for"]


async def read_needs(config: RedisConfig, shards: int) -> list[RestoreNeed]:
    """What is to be restored by operations of their own. Raises RedisUnreachable and FleetMismatch."""
    async with visit_fleet(config, shards) as redis:
        return list((await RestoreStore(redis, config.prefix).read()).values())


def waits_for(needs: Collection[RestoreNeed], archived: Collection[bytes]) -> str | None:
    """What a run waits for whose simulation would restore these entries (whole ledger keys); None if for nothing."""
    wanted = set(archived)
    found = [need for need in needs if wanted & set(need.keys)]
    if not found:
        return None
    need = next((need for need in found if need.refused), found[0])
    waits = f"{len(need.keys)} archived entries have to be restored by an operation of their own first"
    if not need.refused:
        return f"{waits}, which the fleet sends; the run follows by itself"
    return f"{waits}, and that is held back: {need.refused}"
