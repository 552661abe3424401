"""What every engine of a fleet must agree on, made from its configuration."""

from __future__ import annotations

from hashlib import sha256

from sorofast import _core
from sorofast.coordination.fleet import FLEET_SCHEMA, FleetMeta
from sorofast.settings import EngineConfig

__all__ = ["fleet_meta"]


def fleet_meta(config: EngineConfig, signer: _core.Signer) -> FleetMeta:
    """Holds public keys only: the fingerprint is a hash over the keeper's and the channels' accounts."""
    return FleetMeta(
        schema=FLEET_SCHEMA,
        shards=config.engine.shards,
        network=config.network.passphrase,
        contract=config.contract.id,
        channels=config.keeper.channels,
        channel_fingerprint=sha256(signer.keeper + signer.channels).hexdigest()[:32],
    )
