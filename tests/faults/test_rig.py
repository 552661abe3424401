"""The rig itself, with the real fleet in it: a calm scene is judged well, and what bends it bends."""

from __future__ import annotations

import pytest


@pytest.mark.timeout(120)
async def test_a_calm_scene_is_judged_well(scenario) -> None:
    async with scenario() as s:
        await s.pass_ledgers(6)
        report = await s.judged(ledgers=6)
    print(report.summary())
    assert report.executed >= 24
    assert not report.missed
