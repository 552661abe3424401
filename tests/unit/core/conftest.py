"""How hypothesis runs here: without deadlines, because a busy machine says nothing about a codec."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("sorofast", deadline=None)
settings.load_profile("sorofast")
