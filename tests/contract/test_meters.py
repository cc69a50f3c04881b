"""Tests of the meters against cases computed by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.telemetry import Telemetry
from support.small_site import telemetry


def snapshot(time_s: float, *, facility: float, it: float, work: float = 0.0) -> Telemetry:
    return telemetry(
        time_s=time_s,
        group={"work_gpu_h": work / 4.0},
        plant={
            "facility_energy_kwh": facility,
            "it_energy_kwh": it,
            "cooling_energy_kwh": facility - it,
            "makeup_water_l": 2.0 * it,
        },
    )


def test_pue_is_the_ratio_of_energies_over_the_window() -> None:
    """Two intervals of PUE 1.5 and 1.1 but of unequal energy: the mean of quotients is 1.3."""
    meter = WindowMeter()
    meter.add(snapshot(0.0, facility=0.0, it=0.0))
    meter.add(snapshot(60.0, facility=15.0, it=10.0))
    meter.add(snapshot(120.0, facility=15.0 + 33.0, it=10.0 + 30.0))
    assert meter.totals.pue == pytest.approx(48.0 / 40.0)
    assert meter.totals.wue_l_per_kwh == pytest.approx(2.0)
    assert meter.totals.cue_kg_per_kwh == pytest.approx(48.0 * 0.4 / 40.0)
    assert meter.totals.cost_usd == pytest.approx(4.8)


def test_energy_per_work_counts_reference_gpu_hours() -> None:
    meter = WindowMeter()
    meter.add(snapshot(0.0, facility=0.0, it=0.0, work=0.0))
    meter.add(snapshot(60.0, facility=9.0, it=6.0, work=12.0))
    assert meter.totals.energy_per_work_kwh_per_gpu_h == pytest.approx(0.75)


def test_a_gap_lowers_the_coverage_and_adds_no_energy() -> None:
    meter = WindowMeter()
    meter.add(snapshot(0.0, facility=0.0, it=0.0))
    meter.add(snapshot(60.0, facility=1.0, it=1.0))
    meter.add(snapshot(360.0, facility=50.0, it=50.0))
    assert meter.totals.facility_energy_kwh == 1.0
    assert meter.totals.coverage_ratio == pytest.approx(60.0 / 360.0)


def test_a_counter_that_runs_backwards_is_a_gap() -> None:
    meter = WindowMeter()
    meter.add(snapshot(0.0, facility=100.0, it=90.0))
    meter.add(snapshot(60.0, facility=1.0, it=1.0))
    assert meter.totals.covered_s == 0.0
    assert math.isnan(meter.totals.pue)


def test_a_missing_counter_is_a_gap() -> None:
    meter = WindowMeter()
    meter.add(snapshot(0.0, facility=0.0, it=0.0))
    meter.add(snapshot(60.0, facility=math.nan, it=1.0))
    meter.add(snapshot(120.0, facility=3.0, it=2.0))
    assert meter.totals.covered_s == 0.0
    assert meter.totals.elapsed_s == 120.0


def test_a_snapshot_seen_twice_changes_nothing() -> None:
    meter = WindowMeter()
    for _ in range(2):
        meter.add(snapshot(0.0, facility=0.0, it=0.0))
        meter.add(snapshot(60.0, facility=1.5, it=1.0))
    assert meter.totals.facility_energy_kwh == 1.5
    assert meter.totals.elapsed_s == 60.0


@given(
    st.lists(st.floats(0.0, 100.0), min_size=3, max_size=12), st.integers(min_value=1, max_value=10)
)
def test_windows_that_follow_each_other_add_up(steps: list[float], cut: int) -> None:
    cut = min(cut, len(steps) - 1)
    energy = [sum(steps[:i]) for i in range(len(steps) + 1)]
    shots = [snapshot(30.0 * i, facility=2.0 * e, it=e) for i, e in enumerate(energy)]
    whole, first, second = WindowMeter(), WindowMeter(), WindowMeter()
    for shot in shots:
        whole.add(shot)
    for shot in shots[: cut + 1]:
        first.add(shot)
    for shot in shots[cut:]:
        second.add(shot)
    merged: Totals = first.totals + second.totals
    assert merged.facility_energy_kwh == pytest.approx(whole.totals.facility_energy_kwh)
    assert merged.elapsed_s == pytest.approx(whole.totals.elapsed_s)
