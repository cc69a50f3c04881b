"""Tests of the shield on the levers of liquid cooling."""

import numpy as np
import pytest

from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.shield import Reason, Shielded, project
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site, load_site

COOLANT, FLOW = 4, 5


@pytest.fixture(name="site", scope="module")
def _site() -> Site:
    return load_site("dlc-rack-scale")


@pytest.fixture(name="calm", scope="module")
def _calm(site: Site) -> Telemetry:
    return SimulatedPlant(site, seed=1).read_truth()


def seen(calm: Telemetry, *, gpu_c: float, dew_point_c: float = 9.0) -> Telemetry:
    groups, plant = calm.groups.copy(), calm.plant.copy()
    groups[..., GROUP_COLUMN["gpu_temp_c"]] = 60.0
    groups[3, GROUP_COLUMN["gpu_temp_c"]] = gpu_c
    groups[..., GROUP_COLUMN["hbm_temp_c"]] = 60.0
    plant[PLANT_COLUMN["dew_point_c"]] = dew_point_c
    return Telemetry(
        time_s=calm.time_s,
        groups=groups,
        plant=plant,
        groups_age_s=calm.groups_age_s,
        plant_age_s=calm.plant_age_s,
    )


def shielded(site: Site, telemetry: Telemetry, *, coolant_c: float, flow: float) -> Shielded:
    """Ask for coolant while 32 °C and a flow of 0.8 are in force."""
    limits = site.limits
    now = limits.lever_default.copy()
    now[COOLANT], now[FLOW] = 32.0, 0.8
    asked = now.copy()
    asked[COOLANT], asked[FLOW] = coolant_c, flow
    caps = site.layout.power_limit_max_w
    none = np.full_like(caps, np.nan)
    return project(
        Setpoints(power_cap_w=caps, sm_clock_max_mhz=none, plant=asked),
        telemetry=telemetry,
        in_force=Setpoints(power_cap_w=caps, sm_clock_max_mhz=none, plant=now),
        layout=site.layout,
        limits=limits,
        dt_s=30.0,
    )


def test_cool_gpus_let_coolant_become_warmer_and_slower(site: Site, calm: Telemetry) -> None:
    out = shielded(site, seen(calm, gpu_c=70.0), coolant_c=32.4, flow=0.79)
    assert out.setpoints.plant[COOLANT] == pytest.approx(32.4)
    assert out.setpoints.plant[FLOW] == pytest.approx(0.79)
    assert not out.plant_reasons[[COOLANT, FLOW]].any()


def test_one_gpu_near_its_limit_lets_coolant_not_become_warmer(site: Site, calm: Telemetry) -> None:
    out = shielded(site, seen(calm, gpu_c=84.0), coolant_c=32.4, flow=0.79)
    assert out.setpoints.plant[COOLANT] == 32.0
    assert out.setpoints.plant[FLOW] == 0.8
    assert all(out.plant_reasons[k] & Reason.GPU_TEMP for k in (COOLANT, FLOW))


def test_beyond_the_limit_coolant_goes_cold_as_fast_as_its_slew_allows(
    site: Site, calm: Telemetry
) -> None:
    out = shielded(site, seen(calm, gpu_c=86.0), coolant_c=45.0, flow=0.55)
    fall, rise = site.limits.lever_fall_max_per_min, site.limits.lever_rise_max_per_min
    assert out.setpoints.plant[COOLANT] == pytest.approx(32.0 - 0.5 * fall[COOLANT])
    assert out.setpoints.plant[FLOW] == pytest.approx(0.8 + 0.5 * rise[FLOW])


def test_no_heat_justifies_coolant_below_the_dew_point(site: Site, calm: Telemetry) -> None:
    out = shielded(site, seen(calm, gpu_c=86.0, dew_point_c=29.8), coolant_c=22.0, flow=1.0)
    assert out.setpoints.plant[COOLANT] == pytest.approx(31.8)
    assert out.plant_reasons[COOLANT] & Reason.DEW_POINT


def test_without_any_gpu_temperature_coolant_is_held(site: Site, calm: Telemetry) -> None:
    blind = seen(calm, gpu_c=70.0)
    blind.groups[..., GROUP_COLUMN["gpu_temp_c"]] = np.nan
    out = shielded(site, blind, coolant_c=33.0, flow=0.7)
    assert out.setpoints.plant[COOLANT] == 32.0
    assert out.setpoints.plant[FLOW] == 0.8


def test_levers_of_air_do_not_answer_to_gpus(site: Site, calm: Telemetry) -> None:
    out = shielded(site, seen(calm, gpu_c=86.0), coolant_c=32.0, flow=0.8)
    assert [PLANT_LEVERS[k].name for k in np.flatnonzero(out.plant_reasons & Reason.GPU_TEMP)] == [
        "cdu_supply_temp_setpoint_c",
        "cdu_flow_setpoint_ratio",
    ]
