"""sorofast: a keeper engine for large task registries on Stellar's Soroban."""

from __future__ import annotations

from sorofast.errors import SorofastError

__version__ = "0.1.0"

__all__ = ["SorofastError", "__version__"]
