"""Tests of the meters against cases computed by hand."""

import dataclasses
import math

import numpy as np
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


def with_gpus(time_s: float, *, gpu_w: float, it: float, facility: float) -> Telemetry:
    return telemetry(
        time_s=time_s,
        group={"gpu_power_w": gpu_w},
        plant={"facility_energy_kwh": facility, "it_energy_kwh": it},
    )


def test_itue_and_tue_look_inside_the_servers() -> None:
    """8 GPUs at 500 W for 60 s are 8 x 0.5 / 60 = 1/15 kWh; IT uses 0.1, the facility 0.13 kWh."""
    meter = WindowMeter(np.array([2, 2, 2, 2]))
    meter.add(with_gpus(0.0, gpu_w=400.0, it=0.0, facility=0.0))
    meter.add(with_gpus(60.0, gpu_w=600.0, it=0.1, facility=0.13))

    assert meter.totals.gpu_energy_kwh == pytest.approx(8.0 * 500.0 * 60.0 / 3.6e6)
    assert meter.totals.itue == pytest.approx(1.5)
    assert meter.totals.pue == pytest.approx(1.3)
    assert meter.totals.tue == pytest.approx(0.13 / (8.0 * 500.0 * 60.0 / 3.6e6))


def test_itue_leaves_out_the_time_in_which_a_gpu_is_unknown() -> None:
    meter = WindowMeter(np.array([2, 2, 2, 2]))
    meter.add(with_gpus(0.0, gpu_w=500.0, it=0.0, facility=0.0))
    meter.add(with_gpus(60.0, gpu_w=500.0, it=0.1, facility=0.13))
    meter.add(with_gpus(120.0, gpu_w=math.nan, it=0.2, facility=0.26))
    meter.add(with_gpus(180.0, gpu_w=500.0, it=0.3, facility=0.39))

    assert meter.totals.itue == pytest.approx(1.5)
    assert meter.totals.it_energy_kwh == pytest.approx(0.3)


def test_without_gpu_counts_there_is_no_itue() -> None:
    meter = WindowMeter()
    meter.add(with_gpus(0.0, gpu_w=500.0, it=0.0, facility=0.0))
    meter.add(with_gpus(60.0, gpu_w=500.0, it=0.1, facility=0.13))

    assert math.isnan(meter.totals.itue)
    assert math.isnan(meter.totals.tue)


def test_erf_is_reused_over_facility_energy_and_unknown_without_a_meter() -> None:
    plain, metered = WindowMeter(), WindowMeter()
    for time_s, facility, reused in ((0.0, 0.0, 5.0), (60.0, 10.0, 7.5), (120.0, 20.0, 10.0)):
        shot = snapshot(time_s, facility=facility, it=facility / 1.25)
        plain.add(shot)
        metered.add(shot, reused_energy_kwh=reused)

    assert metered.totals.erf == pytest.approx(5.0 / 20.0)
    assert math.isnan(plain.totals.erf)


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 700.0)), min_size=3, max_size=10))
def test_every_total_of_a_cut_window_adds_up(steps: list[tuple[float, float]]) -> None:
    """Any cut at a snapshot gives windows whose sums are those of the whole."""
    it_kwh = np.cumsum([step for step, _ in steps])
    shots = [
        with_gpus(30.0 * i, gpu_w=gpu_w, it=float(it_kwh[i]), facility=1.3 * float(it_kwh[i]))
        for i, (_, gpu_w) in enumerate(steps)
    ]
    counts = np.array([2, 2, 2, 2])

    def totals(part: list[Telemetry]) -> Totals:
        meter = WindowMeter(counts)
        for shot in part:
            meter.add(shot)
        return meter.totals

    whole = totals(shots)
    for cut in range(1, len(shots) - 1):
        merged = totals(shots[: cut + 1]) + totals(shots[cut:])
        for name in (field.name for field in dataclasses.fields(Totals)):
            assert getattr(merged, name) == pytest.approx(getattr(whole, name), abs=1e-9)
