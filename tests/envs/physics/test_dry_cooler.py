"""Tests of dry coolers and their pads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_EVAPORATION_HEAT_J_PER_KG,
    WATER_SPECIFIC_HEAT_J_PER_KG_K,
)
from coolcap_envs.physics.crah import counterflow_effectiveness
from coolcap_envs.physics.dry_cooler import (
    air_entering_temp_c,
    conductance_ratio,
    crossflow_effectiveness,
    evaporation_kg_per_s,
    leaving_temp_c,
    makeup_kg_per_s,
    wetted_share,
)

temps = st.floats(-20.0, 50.0)
rates = st.floats(1.0, 1e6)


def test_a_published_dry_cooler_is_met_with_one_conductance() -> None:
    """BAC TDFS1238N: 2931 kW from 46.1 to 40.6 °C in air of 35 °C; outlet air must stay below."""
    heat_w = 2.931e6
    water = heat_w / (46.1 - 40.6)
    air = 0.75 * water
    effectiveness = crossflow_effectiveness(conductance_w_per_k=7.49e5, c_one=water, c_two=air)
    leaving_c = leaving_temp_c(
        entering_temp_c=46.1,
        air_temp_c=35.0,
        setpoint_c=20.0,
        effectiveness=effectiveness,
        water_w_per_k=water,
        air_w_per_k=air,
    )
    assert leaving_c == pytest.approx(40.6, abs=0.15)
    assert 35.0 + heat_w / air < 46.1
    assert water / WATER_SPECIFIC_HEAT_J_PER_KG_K == pytest.approx(127.0, rel=0.02)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("ntu", [0.5, 1.0, 2.0, 4.0])
def test_cross_flow_lies_between_parallel_and_counter_flow(ratio: float, ntu: float) -> None:
    cross = crossflow_effectiveness(conductance_w_per_k=ntu, c_one=1.0, c_two=1.0 / ratio)
    counter = counterflow_effectiveness(conductance_w_per_k=ntu, c_one=1.0, c_two=1.0 / ratio)
    parallel = (1.0 - math.exp(-ntu * (1.0 + ratio))) / (1.0 + ratio)
    assert parallel - 1e-3 <= cross <= counter


@given(rates, rates, rates)
def test_effectiveness_is_a_share(ua: float, one: float, other: float) -> None:
    assert 0.0 <= crossflow_effectiveness(conductance_w_per_k=ua, c_one=one, c_two=other) <= 1.0


@given(temps, st.floats(0.0, 20.0), st.floats(0.0, 1.0))
def test_pads_cool_towards_the_wet_bulb_and_never_below(
    outdoor_c: float, depression_k: float, wetted: float
) -> None:
    wet_bulb_c = outdoor_c - depression_k
    behind_c = air_entering_temp_c(
        outdoor_temp_c=outdoor_c, wet_bulb_c=wet_bulb_c, effectiveness=0.8, wetted=wetted
    )
    assert wet_bulb_c - 1e-9 <= behind_c <= outdoor_c


def test_pads_stay_dry_while_dry_air_suffices_and_warmer_set_points_save_water() -> None:
    def share(outdoor_c: float, setpoint_c: float) -> float:
        return wetted_share(
            outdoor_temp_c=outdoor_c, setpoint_c=setpoint_c, start_below_k=6.0, ramp_k=4.0
        )

    assert share(20.0, 32.0) == 0.0
    assert share(28.0, 32.0) == pytest.approx(0.5)
    assert share(35.0, 32.0) == 1.0
    assert share(28.0, 36.0) < share(28.0, 32.0)


@given(temps, temps, temps, st.floats(0.0, 1.0), rates, rates)
def test_water_is_never_warmed_nor_cooled_past_air_or_set_point(
    entering_c: float,
    air_c: float,
    setpoint_c: float,
    effectiveness: float,
    water: float,
    air: float,
) -> None:
    leaving_c = leaving_temp_c(
        entering_temp_c=entering_c,
        air_temp_c=air_c,
        setpoint_c=setpoint_c,
        effectiveness=effectiveness,
        water_w_per_k=water,
        air_w_per_k=air,
    )
    assert leaving_c <= entering_c
    assert leaving_c >= min(entering_c, max(air_c, setpoint_c)) - 1e-9


def test_water_evaporated_is_the_heat_taken_from_the_air() -> None:
    evaporated = evaporation_kg_per_s(air_kg_per_s=100.0, cooled_k=8.0)
    heat_w = 100.0 * AIR_SPECIFIC_HEAT_J_PER_KG_K * 8.0
    assert evaporated * WATER_EVAPORATION_HEAT_J_PER_KG == pytest.approx(heat_w)
    assert makeup_kg_per_s(evaporation=3.0, concentration_cycles=4.0) == pytest.approx(4.0)


def test_conductance_is_that_of_design_at_design_flows() -> None:
    assert conductance_ratio(air_flow_ratio=1.0, water_flow_ratio=1.0) == 1.0
    assert conductance_ratio(air_flow_ratio=0.25, water_flow_ratio=1.0) == pytest.approx(0.5)
