"""Tests of economizer, losses, water and local loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.economizer import precooled_temp_c
from coolcap_envs.physics.electrical import distribution_loss_w, ups_loss_w
from coolcap_envs.physics.local_loop import actuator_target, integral_next, slewed
from coolcap_envs.physics.water import evaporation_kg_per_s, makeup_kg_per_s
from coolcap_envs.site import load_site


def precooled(return_c: float, tower_c: float, setpoint_c: float = 10.0) -> float:
    return precooled_temp_c(
        return_temp_c=return_c,
        tower_water_temp_c=tower_c,
        setpoint_c=setpoint_c,
        effectiveness=0.8,
        chw_w_per_k=1000.0,
        cw_w_per_k=2000.0,
        min_difference_k=1.0,
    )


def test_an_economizer_takes_its_effectiveness_of_the_difference() -> None:
    assert precooled(20.0, 15.0) == pytest.approx(20.0 - 0.8 * 5.0)


@given(st.floats(5.0, 35.0), st.floats(5.0, 35.0))
def test_an_economizer_never_warms_nor_passes_the_tower_or_the_set_point(
    return_c: float, tower_c: float
) -> None:
    after = precooled(return_c, tower_c)
    assert after <= return_c
    assert after >= min(return_c, max(tower_c, 10.0)) - 1e-9


@pytest.mark.parametrize("site", ["lab-16", "air-1mw"])
@pytest.mark.parametrize("load", [0.5, 0.9])
def test_distribution_of_power_loses_four_to_eight_per_cent(site: str, load: float) -> None:
    q = load_site(site).parameters
    it_w = load * load_site(site).layout.it_power_design_w
    cable_w = distribution_loss_w(load_w=it_w, loss_share=q["electrical_distribution_loss_ratio"])
    ups_w = ups_loss_w(
        load_w=it_w + cable_w,
        rated_w=q["electrical_ups_rated_w"],
        fixed_share=q["electrical_ups_fixed_loss_ratio"],
        linear_share=q["electrical_ups_linear_loss_ratio"],
        square_share=q["electrical_ups_square_loss_ratio"],
    )
    assert 0.04 <= (cable_w + ups_w) / it_w <= 0.08


def test_a_kilowatt_hour_of_heat_evaporates_a_good_litre() -> None:
    """0.8 of the heat: 1.19 L/kWh; with four cycles of concentration 1.58 L are drawn."""
    evaporated = evaporation_kg_per_s(heat_w=1000.0, latent_share=0.8)
    assert evaporated * 3600.0 == pytest.approx(1.19, rel=0.01)
    drawn = makeup_kg_per_s(
        evaporation=evaporated,
        water_flow_kg_per_s=0.0,
        drift_share=0.0,
        concentration_cycles=4.0,
    )
    assert drawn * 3600.0 == pytest.approx(1.58, rel=0.01)


def test_drift_replaces_blowdown() -> None:
    without = makeup_kg_per_s(
        evaporation=0.01, water_flow_kg_per_s=1.0, drift_share=0.0, concentration_cycles=4.0
    )
    with_drift = makeup_kg_per_s(
        evaporation=0.01, water_flow_kg_per_s=1.0, drift_share=0.001, concentration_cycles=4.0
    )
    assert with_drift == pytest.approx(without)


def test_a_tower_that_is_warmed_evaporates_nothing() -> None:
    assert evaporation_kg_per_s(heat_w=-100.0, latent_share=0.8) == 0.0


def test_an_actuator_moves_no_faster_than_its_stroke() -> None:
    assert slewed(value=0.2, wanted=1.0, step_max=0.05) == pytest.approx(0.25)
    assert slewed(value=0.2, wanted=0.19, step_max=0.05) == pytest.approx(0.19)


def test_a_controller_in_saturation_does_not_wind_up() -> None:
    integral = 0.5
    for _ in range(1000):
        integral = integral_next(
            integral=integral, error_k=50.0, gain_per_k=0.1, integral_time_s=60.0, dt_s=5.0
        )
    assert integral == 1.0
    assert actuator_target(integral=integral, error_k=-20.0, gain_per_k=0.1) == 0.0
