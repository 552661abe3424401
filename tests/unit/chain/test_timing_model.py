"""The ledger's clock against a model of the network, over sweeps of what closes and host clocks may do.

One task falls due every second: early ones were paid for nothing, and a late one missed its first eligible ledger.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from helpers.network_clock import Network, Tally, simulate
from sorofast.chain.ledger import LedgerClock

STEP_AT_S = 100.0
OFFSETS_S = [3.0, -3.0, 15.0, -15.0, 3_600.0, -3_600.0]


def at_one_second(**options: object) -> Network:
    """1 s ± 200 ms, and a quarter of a second to become visible."""
    return Network.of(1.0, **{"jitter_s": 0.2, "ledgers": 1_000, **options})  # type: ignore[arg-type]


def taught(network: Network, clock_guard_s: float = 0.05) -> LedgerClock:
    """A clock that has read the headers of the 64 ledgers before, which kept the same pace."""
    clock = LedgerClock(network.target_s, clock_guard_s=clock_guard_s)
    clock.learn_headers([(n, int(1000 * at)) for n, at in enumerate(network.frozen_s[:64])])
    return clock


def check(tally: Tally, *, early_max: int = 0, on_time_min: float = 0.0, late_max: int = 1) -> None:
    assert len(tally.early) <= early_max, tally.early
    assert tally.missed == 0
    assert tally.worst <= late_max
    assert tally.on_time >= on_time_min


@pytest.mark.parametrize("phase_s", [0.0, 0.05, 0.4, 0.95])
@pytest.mark.parametrize("visible_s", [(0.01, 0.02), (1.0, 2.0)])
def test_at_five_seconds_every_run_lands_in_its_first_eligible_ledger(
    phase_s: float, visible_s: tuple[float, float]
) -> None:
    network = Network.of(5.0, phase_s=phase_s, visible_s=visible_s)
    check(simulate(network, LedgerClock(5.0)), on_time_min=1.0)


def test_at_five_seconds_and_a_little_the_phase_walks_and_hardly_a_run_is_late() -> None:
    network = Network.of(5.0, visible_s=(1.0, 2.0), gap_of=lambda _, gap_s: gap_s + 0.02)
    check(simulate(network, LedgerClock(5.0)), on_time_min=0.99)


@pytest.mark.parametrize("seed", range(1, 7))
def test_at_one_second_with_jitter_the_share_on_time_is_what_guard_and_path_leave(seed: int) -> None:
    tally = simulate(at_one_second(seed=seed), taught(at_one_second(seed=seed)), path_s=0.01)
    # 1 - (0.05 + 0.01) / 1; a thousand draws scatter by less than two hundredths. Early ones are one in a hundred.
    check(tally, early_max=10, on_time_min=0.925)


@pytest.mark.parametrize("jitter_s", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("target_s", [1.0, 5.0])
def test_closes_that_come_early_cost_a_run_in_a_hundred_at_most(target_s: float, jitter_s: float) -> None:
    network = Network.of(target_s, jitter_s=jitter_s * target_s / 5, visible_s=(0.2, 0.25), ledgers=1_000)
    tally = simulate(network, taught(network))
    check(tally, early_max=len(tally.late) // 100)


@pytest.mark.parametrize("offset_s", OFFSETS_S)
def test_a_wall_clock_that_is_wrong_from_the_start_changes_when_nothing_is_paid_early(
    offset_s: float,
) -> None:
    network = Network.of(1.0, visible_s=(0.2, 0.3), gap_of=lambda _, gap_s: gap_s + 0.013)
    check(simulate(network, LedgerClock(1.0), wall_offset_s=lambda _: offset_s))


@pytest.mark.parametrize("offset_s", OFFSETS_S)
@pytest.mark.parametrize("back", [False, True])
def test_a_wall_clock_that_steps_in_mid_run_makes_nothing_early(offset_s: float, back: bool) -> None:
    network = at_one_second(ledgers=400)
    unwise = simulate(network, taught(network))
    tally = simulate(network, taught(network), wall_offset_s=stepping(offset_s, back=back))
    # What the network's own early closes cost, no clock of the host adds to.
    check(tally, early_max=len(unwise.early))


@pytest.mark.parametrize("offset_s", [0.3, 0.7, 1.0, 1.5, 1.9])
@pytest.mark.parametrize("from_start", [False, True])
def test_an_error_that_visibility_could_explain_costs_one_ledgers_runs_and_then_none(
    offset_s: float, from_start: bool
) -> None:
    network = at_one_second(ledgers=600)
    unwise = simulate(network, taught(network))
    wall = (lambda _: offset_s) if from_start else stepping(offset_s)
    tally = simulate(network, taught(network), wall_offset_s=wall)
    wasted = {ledger for ledger, _ in tally.early} - {ledger for ledger, _ in unwise.early}
    assert len(wasted) <= 2, tally.early
    check(tally, early_max=len(unwise.early) + 4)


def test_a_right_wall_clock_gains_what_visibility_takes() -> None:
    network = at_one_second()
    right, unknown = (
        simulate(network, taught(network), wall_offset_s=lambda _, off=off: off) for off in (0.0, -900.0)
    )
    assert right.on_time > unknown.on_time + 0.1


@pytest.mark.parametrize("target_s", [1.0, 5.0])
@pytest.mark.parametrize("offset_s", [0.0, 15.0, -15.0])
def test_a_network_that_stands_still_for_a_minute_makes_nothing_early_and_nothing_missed(
    target_s: float, offset_s: float
) -> None:
    network = Network.of(target_s, gap_of=lambda number, gap_s: 60.0 if number in (90, 180) else gap_s)
    check(simulate(network, LedgerClock(target_s), wall_offset_s=lambda _: offset_s), late_max=1)


def test_ledgers_ten_seconds_apart_where_five_are_expected_make_nothing_early() -> None:
    network = Network.of(5.0, visible_s=(1.0, 2.0), gap_of=lambda _, gap_s: 2 * gap_s)
    check(simulate(network, LedgerClock(5.0)), on_time_min=0.85)


@pytest.mark.parametrize("target_s", [1.0, 5.0])
def test_ledgers_that_share_a_close_time_cost_the_runs_of_the_first_and_no_more(target_s: float) -> None:
    bursts = 400 // 50
    network = Network.of(target_s, gap_of=lambda number, gap_s: 0.01 if number % 50 < 6 else gap_s)
    check(simulate(network, LedgerClock(target_s)), early_max=bursts * 5, late_max=6)


@pytest.mark.parametrize("set_back_s", [3.0, 10.0])
def test_a_network_whose_own_clock_is_set_back_wastes_runs_for_a_few_ledgers_only(set_back_s: float) -> None:
    """Its close times then creep until its clock has caught up, so whoever extrapolates them runs ahead."""
    network = Network.of(1.0, phase_s=0.4)
    kept = list(network.frozen_s)
    for number in range(100, len(kept)):
        kept[number] = max(kept[number - 1] + 0.001, network.frozen_s[number] - set_back_s)
    tally = simulate(Network(1.0, kept, network.seen_s), LedgerClock(1.0), frozen_at=network.frozen_s)
    assert len({ledger for ledger, _ in tally.early}) <= 6, tally.early
    assert tally.missed == 0


def stepping(offset_s: float, *, back: bool = False) -> Callable[[float], float]:
    """Right until the step, then off; right again later if it goes `back`."""
    return lambda since_s: 0.0 if since_s < STEP_AT_S or (back and since_s > 2 * STEP_AT_S) else offset_s
