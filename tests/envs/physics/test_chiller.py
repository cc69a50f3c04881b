"""Tests of the chiller."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.chiller import (
    coefficient_of_performance,
    leaving_temp_c,
    part_load_factor,
    wanted_running,
)
from support.reference_data import reference_rows

chilled = st.floats(5.0, 25.0)
condenser = st.floats(16.0, 40.0)


def cop(chw_c: float, cw_c: float, *, part_load: float = 1.0) -> float:
    return coefficient_of_performance(
        chw_leaving_temp_c=chw_c,
        cw_leaving_temp_c=cw_c,
        evaporator_approach_k=1.5,
        condenser_approach_k=1.5,
        lift_min_k=9.0,
        lift_loss_k=20.7,
        carnot_scale=1.22,
        part_load=part_load,
        cop_max=15.0,
    )


def test_a_usual_design_point_has_a_usual_efficiency() -> None:
    """Machines above 1 MW: nominal COP 6.2 to 7.4 (quartiles of LBL Modelica Buildings data)."""
    full = part_load_factor(load_ratio=1.0, best_load_ratio=0.79, curvature=0.82)
    assert 6.2 <= cop(6.7, 33.0, part_load=full) <= 7.4


@given(chilled, chilled, condenser)
def test_warmer_chilled_water_never_costs_more(one: float, other: float, cw_c: float) -> None:
    low, high = sorted((one, other))
    assert cop(low, cw_c) <= cop(high, cw_c)


@given(chilled, condenser, condenser)
def test_warmer_condenser_water_never_costs_less(chw_c: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert cop(chw_c, high) <= cop(chw_c, low)


@given(st.floats(5.0, 45.0), st.floats(5.0, 60.0))
def test_no_setting_makes_the_chiller_a_perpetuum_mobile(chw_c: float, cw_c: float) -> None:
    """Catalogue polynomials extrapolated to 20 °C gave 290, -684 and 34."""
    assert 1.0 < cop(chw_c, cw_c) <= 15.0


def test_lift_below_the_floor_saves_nothing_more() -> None:
    assert cop(20.0, 21.0) == cop(20.0, 22.0)


def _misfit(lift_k: FloatArray, evaporating_k: FloatArray, cop_there: FloatArray) -> float:
    """Return the mean relative error of the best ``s*T/(lift + d)``: linear in T/COP."""
    slope, constant = np.polyfit(lift_k, evaporating_k / cop_there, 1)
    fitted = evaporating_k / (slope * lift_k + constant)
    return float(np.mean(np.abs(fitted / cop_there - 1.0)))


def test_the_form_describes_catalogue_maps_inside_their_bounds() -> None:
    """157 machines at full load, over all temperatures their maps allow: half within 2 %."""
    misfits = []
    for row in reference_rows("cooling/chiller_electric_eir.csv"):
        of = {key: float(value) for key, value in row.items() if key != "name"}
        if of["mCon_flow_nominal"] <= 0.0:
            continue
        chw, cw = np.meshgrid(
            np.linspace(of["TEvaLvgMin_C"], of["TEvaLvgMax_C"], 4),
            np.linspace(max(of["TConEntMin_C"], 16.0), min(of["TConEntMax_C"], 35.0), 6),
        )
        terms = np.stack([np.ones_like(chw), chw, chw**2, cw, cw**2, chw * cw], axis=-1)
        capacity = terms @ np.array([of[f"capFunT_{i}"] for i in range(6)])
        ratio = terms @ np.array([of[f"EIRFunT_{i}"] for i in range(6)])
        if np.min(capacity) < 0.3 or np.min(ratio) < 0.1:
            continue  # the map is no machine even inside its own bounds
        cop_there = of["COP_nominal"] / ratio
        heat_w = -of["QEva_flow_nominal"] * capacity * (1.0 + 1.0 / cop_there)
        leaving_c = cw + heat_w / (of["mCon_flow_nominal"] * 4186.0)
        lift_k, evaporating_k = leaving_c - chw + 3.0, chw - 1.5 + 273.15
        misfits.append(_misfit(lift_k.ravel(), evaporating_k.ravel(), cop_there.ravel()))
    assert len(misfits) > 140
    assert np.median(misfits) < 0.02
    assert np.quantile(misfits, 0.9) < 0.045


def test_the_form_describes_a_chiller_run_by_energyplus() -> None:
    """Carrier 19XR where its catalogue covers the condenser: within 7 % on average."""
    rows = reference_rows("cooling/energyplus/chiller.csv")
    for load in (0.55, 0.8):
        points = np.array(
            [
                [float(row["lift_k"]) + 3.0, float(row["evap_leaving_c"]), float(row["cop"])]
                for row in rows
                if row["object_type"] == "Chiller:Electric:ReformulatedEIR"
                and abs(float(row["load_fraction_of_ref"]) - load) < 0.01
                and 22.63 <= float(row["cond_leaving_c"]) <= 36.94
            ]
        )
        assert len(points) >= 6
        assert _misfit(points[:, 0], points[:, 1] - 1.5 + 273.15, points[:, 2]) < 0.07


def test_without_a_lift_loss_low_lifts_would_look_far_too_good() -> None:
    """At 9 K a constant share of Carnot promises 17, the catalogues less than 13."""
    assert cop(15.0, 18.0) < 13.0


def test_part_load_is_best_at_two_thirds() -> None:
    def factor(x: float) -> float:
        return part_load_factor(load_ratio=x, best_load_ratio=0.65, curvature=0.55)

    assert factor(0.65) == 1.0 > factor(1.0) > factor(0.15)


def test_water_is_cooled_to_its_set_point_within_the_capacity_and_never_heated() -> None:
    def leaving(entering_c: float, capacity_w: float) -> float:
        return leaving_temp_c(
            entering_temp_c=entering_c,
            wanted_temp_c=10.0,
            capacity_w=capacity_w,
            flow_w_per_k=1000.0,
        )

    assert leaving(16.0, 1e6) == 10.0
    assert leaving(16.0, 2000.0) == 14.0
    assert leaving(8.0, 1e6) == 8.0
    assert (
        leaving_temp_c(entering_temp_c=16.0, wanted_temp_c=10.0, capacity_w=1e6, flow_w_per_k=0.0)
        == 16.0
    )


def test_starts_and_stops_keep_bands_and_holding_time() -> None:
    def wanted(*, running: bool, since_s: float, over_k: float) -> bool:
        return wanted_running(
            running=running,
            since_change_s=since_s,
            hold_s=600.0,
            entering_temp_c=10.0 + over_k,
            setpoint_c=10.0,
            start_band_k=1.0,
            stop_band_k=0.1,
        )

    assert wanted(running=False, since_s=700.0, over_k=1.5)
    assert not wanted(running=False, since_s=700.0, over_k=0.5)
    assert not wanted(running=False, since_s=500.0, over_k=1.5)
    assert wanted(running=True, since_s=700.0, over_k=0.5)
    assert not wanted(running=True, since_s=700.0, over_k=0.05)
    assert wanted(running=True, since_s=500.0, over_k=0.05)
