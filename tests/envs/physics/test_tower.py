"""Tests of the cooling tower."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.tower import APPROACH_MIN_K, fan_power_w, leaving_temp_c
from support.reference_data import reference_rows

wet_bulbs = st.floats(-30.0, 30.0)
airs = st.floats(0.0, 1.0)


def test_leaving_water_agrees_with_energyplus() -> None:
    """YorkCalc at full and modulated fan, within 0.05 K and so within 2 % of the approach."""
    rows = [
        row
        for row in reference_rows("cooling/energyplus/tower.csv")
        if row["tower_model"] == "YorkCalc"
    ]
    assert len(rows) >= 20
    for row in rows:
        leaving_c = leaving_temp_c(
            entering_temp_c=float(row["water_in_c"]),
            wet_bulb_c=float(row["wb_c"]),
            water_flow_ratio=1.0,
            air_flow_ratio=float(row["air_flow_ratio"]),
        )
        assert leaving_c == pytest.approx(float(row["water_out_c"]), abs=0.05)


def test_another_tower_model_is_met_within_half_a_kelvin_at_full_fan() -> None:
    for row in reference_rows("cooling/energyplus/tower.csv"):
        if row["mode"] == "full fan":
            leaving_c = leaving_temp_c(
                entering_temp_c=float(row["water_in_c"]),
                wet_bulb_c=float(row["wb_c"]),
                water_flow_ratio=1.0,
                air_flow_ratio=1.0,
            )
            assert leaving_c == pytest.approx(float(row["water_out_c"]), abs=0.5)


@given(wet_bulbs, st.floats(0.0, 60.0), airs)
def test_water_is_never_cooled_below_the_wet_bulb_nor_warmed(
    wet_bulb_c: float, above_k: float, air: float
) -> None:
    entering_c = wet_bulb_c + above_k
    leaving_c = leaving_temp_c(
        entering_temp_c=entering_c, wet_bulb_c=wet_bulb_c, water_flow_ratio=1.0, air_flow_ratio=air
    )
    assert min(entering_c, wet_bulb_c + APPROACH_MIN_K) <= leaving_c <= entering_c


@given(wet_bulbs, st.floats(2.0, 40.0), airs, airs)
def test_more_air_never_cools_less(
    wet_bulb_c: float, above_k: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    leaving = [
        leaving_temp_c(
            entering_temp_c=wet_bulb_c + above_k,
            wet_bulb_c=wet_bulb_c,
            water_flow_ratio=1.0,
            air_flow_ratio=air,
        )
        for air in (low, high)
    ]
    assert leaving[1] <= leaving[0] + 1e-9


@pytest.mark.parametrize("wet_bulb_c", [-20.0, 0.0, 15.0, 26.0])
@pytest.mark.parametrize("air", [0.0, 0.2, 0.6, 1.0])
def test_warmer_water_never_leaves_colder(wet_bulb_c: float, air: float) -> None:
    """Also beyond the range of the correlation, whose polynomial turns there."""
    leaving = [
        leaving_temp_c(
            entering_temp_c=float(entering_c),
            wet_bulb_c=wet_bulb_c,
            water_flow_ratio=1.0,
            air_flow_ratio=air,
        )
        for entering_c in np.linspace(wet_bulb_c - 2.0, wet_bulb_c + 60.0, 300)
    ]
    assert np.all(np.diff(leaving) >= -1e-9)


def test_fan_power_is_cubic_and_cycles_below_the_lowest_speed() -> None:
    def power_w(speed: float) -> float:
        return fan_power_w(speed_ratio=speed, design_power_w=1000.0, min_speed_ratio=0.2)

    assert power_w(1.0) == pytest.approx(1000.0)
    assert power_w(0.5) == pytest.approx(125.0)
    assert power_w(0.1) == pytest.approx(0.5 * power_w(0.2))
    assert power_w(0.0) == 0.0
