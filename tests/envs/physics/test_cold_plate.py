"""Tests of cold plates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.cold_plate import leaving_temp_c, plate_conductance_w_per_k
from coolcap_envs.physics.constants import PG25_DENSITY_KG_PER_L, PG25_SPECIFIC_HEAT_J_PER_KG_K

OCP_K_PER_W = {
    0.4: 0.0389,
    0.5: 0.0325,
    0.6: 0.0300,
    0.8: 0.0265,
    1.0: 0.0245,
    1.2: 0.0230,
    1.6: 0.0214,
    2.0: 0.0204,
    2.4: 0.0197,
}
"""Resistance case to inlet against L/min: OCP 1 kW OAM cold plate, 25 % propylene glycol."""
FITTED_K_PER_W = 0.0161


def capacity_w_per_k(flow_l_per_min: float) -> float:
    return flow_l_per_min / 60.0 * PG25_DENSITY_KG_PER_L * PG25_SPECIFIC_HEAT_J_PER_KG_K


@pytest.mark.parametrize(("flow_l_per_min", "resistance_k_per_w"), OCP_K_PER_W.items())
def test_one_resistance_describes_a_published_plate_at_all_flows(
    flow_l_per_min: float, resistance_k_per_w: float
) -> None:
    found = 1.0 / plate_conductance_w_per_k(
        resistance_k_per_w=FITTED_K_PER_W, coolant_w_per_k=capacity_w_per_k(flow_l_per_min)
    )
    margin = 0.03 if flow_l_per_min > 0.7 else 0.10
    assert found == pytest.approx(resistance_k_per_w, rel=margin)


@given(st.floats(0.001, 0.1), st.floats(0.0, 1000.0), st.floats(0.0, 1000.0))
def test_more_coolant_never_takes_less_heat(resistance: float, one: float, other: float) -> None:
    low, high = (
        plate_conductance_w_per_k(resistance_k_per_w=resistance, coolant_w_per_k=c)
        for c in sorted((one, other))
    )
    assert low <= high + 1e-9


@given(st.floats(0.001, 0.1), st.floats(0.1, 1000.0), st.floats(20.0, 90.0))
def test_coolant_never_leaves_warmer_than_the_plate(
    resistance: float, coolant: float, plate_c: float
) -> None:
    heat_w = plate_conductance_w_per_k(resistance_k_per_w=resistance, coolant_w_per_k=coolant) * (
        plate_c - 20.0
    )
    leaving_c = leaving_temp_c(entering_temp_c=20.0, heat_w=heat_w, coolant_w_per_k=coolant)
    assert 20.0 <= leaving_c <= plate_c + 1e-9


def test_one_and_a_half_litres_per_minute_and_kilowatt_warm_glycol_by_ten_kelvin() -> None:
    leaving_c = leaving_temp_c(
        entering_temp_c=30.0, heat_w=1000.0, coolant_w_per_k=capacity_w_per_k(1.5)
    )
    assert leaving_c == pytest.approx(40.0, abs=0.1)


def test_still_coolant_takes_no_heat() -> None:
    assert plate_conductance_w_per_k(resistance_k_per_w=0.016, coolant_w_per_k=0.0) == 0.0
    assert leaving_temp_c(entering_temp_c=30.0, heat_w=0.0, coolant_w_per_k=0.0) == 30.0
