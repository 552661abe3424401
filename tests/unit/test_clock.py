from __future__ import annotations

import pytest

from sorofast.clock import Clock, SystemClock
from sorofast.testing.clock import StubClock


@pytest.mark.parametrize("clock", [SystemClock(), StubClock()], ids=["system", "stub"])
def test_both_clocks_keep_the_protocol(clock: Clock) -> None:
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_600_000_000


def test_a_stub_moves_only_when_told() -> None:
    clock = StubClock(wall_s=100.0, monotonic_s=5.0)
    clock.advance(2.5)
    assert (clock.wall(), clock.monotonic()) == (102.5, 7.5)
    clock.jump_wall(-60.0)
    assert (clock.wall(), clock.monotonic()) == (42.5, 7.5)
    with pytest.raises(ValueError, match="jump_wall"):
        clock.advance(-1)
