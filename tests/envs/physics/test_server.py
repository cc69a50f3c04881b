"""Tests of server fans and power supplies."""

import pytest

from coolcap_envs.physics.server import (
    fan_power_w,
    fan_target_ratio,
    lag_ratio,
    supply_loss_w,
)
from coolcap_envs.site import load_site
from support.plants import DECODE, TRAINING, HeldPlant

SERVER = load_site("lab-16").servers["h100-sxm"]


def test_doubling_fan_speed_takes_eight_times_the_power() -> None:
    assert fan_power_w(speed_ratio=1.0, design_power_w=60.0) == pytest.approx(
        8.0 * fan_power_w(speed_ratio=0.5, design_power_w=60.0)
    )


def test_fans_speed_up_with_inlet_temperature_only_above_the_knee() -> None:
    def target(inlet_c: float) -> float:
        return fan_target_ratio(
            power_ratio=0.8,
            inlet_temp_c=inlet_c,
            min_ratio=0.3,
            max_ratio=1.3,
            knee_temp_c=25.0,
            slope_per_k=0.02,
        )

    assert target(18.0) == target(25.0)
    assert target(30.0) == pytest.approx(1.1 * target(25.0))
    assert target(80.0) == 1.3


@pytest.mark.parametrize(("load", "least_efficiency"), [(0.2, 0.94), (0.5, 0.96), (1.0, 0.91)])
def test_the_shipped_power_supply_meets_80_plus_titanium(
    load: float, least_efficiency: float
) -> None:
    rated_w = SERVER["server_supply_rated_w"]
    output_w = load * rated_w
    loss_w = supply_loss_w(
        output_w=output_w,
        fixed_w=SERVER["server_supply_fixed_loss_ratio"] * rated_w,
        linear_ratio=SERVER["server_supply_linear_loss_ratio"],
        square_per_w=SERVER["server_supply_square_loss_ratio"] / rated_w,
    )
    efficiency = output_w / (output_w + loss_w)
    assert least_efficiency - 0.002 <= efficiency < 0.98


def test_a_lag_of_zero_follows_at_once() -> None:
    assert lag_ratio(dt_s=5.0, time_constant_s=0.0) == 1.0


@pytest.mark.parametrize("work_class", [TRAINING, DECODE])
def test_server_power_rises_with_inlet_temperature_as_measured(work_class: int) -> None:
    """+0.35 to +0.5 %/K from 23 to 30 °C (Coroama 2025, arXiv 2509.26163).

    EnergyPlus' example data centre has 6.7 %/K, an invitation to save by over-cooling.
    """
    held = HeldPlant()
    held.hold_groups(work_class=work_class, demand_ratio=1.0)
    it_w, inlet_c = [], []
    for supply_c in (22.5, 29.5):
        held.hold(supply_air_setpoint_c=supply_c)
        held.advance(2.0)
        it_w.append(float(held.plant["it_power_w"]))
        inlet_c.append(float(held.groups["inlet_temp_c"].mean()))
    per_kelvin = (it_w[1] / it_w[0] - 1.0) / (inlet_c[1] - inlet_c[0])
    assert 0.0035 <= per_kelvin <= 0.005
