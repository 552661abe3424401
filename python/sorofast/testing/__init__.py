"""Helpers for tests of sorofast and of programs built on it."""

from __future__ import annotations

from sorofast.testing.clock import StubClock

__all__ = ["StubClock"]
