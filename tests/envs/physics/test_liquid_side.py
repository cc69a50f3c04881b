"""Tests of liquid cooling in a whole simulated plant."""

import numpy as np
import pytest

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.gpu_floor import floor_clock_ratio
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site, load_site

JULY_S = 1_735_689_600.0 + 196 * 86_400.0
HOURS = 2


@pytest.fixture(name="site", scope="module")
def _site() -> Site:
    return load_site("dlc-rack-scale")


def settled(
    site: Site, *, coolant_c: list[float], flow: list[float], weather: str = "greensboro"
) -> SimulatedPlant:
    """Return plants that differ in coolant only, after some hours of a July night."""
    plant = SimulatedPlant(site, batch_size=len(coolant_c))
    plant.reset([1] * len(coolant_c), weather=weather, start_time_s=JULY_S)
    levers = np.tile(site.limits.lever_default, (len(coolant_c), 1))
    levers[:, 4], levers[:, 5] = coolant_c, flow
    caps = np.tile(site.layout.power_limit_max_w, (len(coolant_c), 1))
    command = Setpoints(power_cap_w=caps, sm_clock_max_mhz=np.full_like(caps, np.nan), plant=levers)
    assert plant.apply(command).refusals == ()
    plant.advance(HOURS * 3600.0)
    return plant


def hottest_c(plant: SimulatedPlant) -> FloatArray:
    return np.asarray(plant.read_truth().group("gpu_temp_c").max(axis=-1))


def test_gpus_follow_the_coolant_and_its_flow(site: Site) -> None:
    plant = settled(site, coolant_c=[34.0, 38.0, 34.0], flow=[1.0, 1.0, 0.6])
    temps = hottest_c(plant)
    assert temps[1] - temps[0] == pytest.approx(4.0, abs=1.0)
    assert temps[2] > temps[0] + 3.0
    truth = plant.read_truth()
    supply_c = truth.of_plant("cdu_supply_temp_c")
    assert supply_c == pytest.approx([34.0, 38.0, 34.0], abs=0.3)
    rise_k = truth.of_plant("cdu_return_temp_c") - supply_c
    assert rise_k[2] / rise_k[0] == pytest.approx(1.0 / 0.6, rel=0.08)


def test_warm_coolant_saves_fans_and_water_and_costs_leakage(site: Site) -> None:
    cold, warm = range(2)
    plant = settled(site, coolant_c=[28.0, 42.0], flow=[1.0, 1.0], weather="miami")
    before = plant.totals()
    plant.advance(7200.0)
    after = plant.totals()
    cooling = after.cooling_energy_kwh - before.cooling_energy_kwh
    water = after.pad_water_kg - before.pad_water_kg
    it = after.it_energy_kwh - before.it_energy_kwh
    assert cooling[warm] < 0.8 * cooling[cold]
    assert water[warm] < 0.5 * water[cold]
    assert it[warm] > it[cold]


def test_energy_is_conserved_while_pumps_fail_and_come_back(site: Site) -> None:
    plant = settled(site, coolant_c=[30.0, 40.0], flow=[1.0, 0.7])
    for shares in (
        {"cdu": 0.0},
        {"cdu": 0.5, "pump": 0.0},
        {"cdu": 1.0, "pump": 1.0, "tower": 0.0},
    ):
        plant.set_available(**shares)
        for _ in range(10):
            plant.advance(30.0)
            assert np.abs(plant.totals().energy_residual_ratio).max() < 1e-10


def test_without_coolant_gpus_shut_down_within_minutes(site: Site) -> None:
    """Rack-scale GPUs have no air to fall back on."""
    plant = settled(site, coolant_c=[35.0], flow=[1.0])
    plant.set_available(cdu=0.0)
    plant.advance(60.0)
    assert hottest_c(plant)[0] > 87.0
    plant.advance(240.0)
    assert plant.read_truth().group("sm_clock_mhz").max() < 0.6 * site.layout.sm_clock_max_mhz[0]


def test_the_cdu_keeps_coolant_above_the_dew_point_whatever_is_asked(site: Site) -> None:
    levers = site.limits.lever_default.copy()
    plant = settled(site, coolant_c=[22.0], flow=[1.0], weather="miami")
    levers[1], levers[4] = 18.0, 22.0
    caps = site.layout.power_limit_max_w[None, :]
    command = Setpoints(
        power_cap_w=caps, sm_clock_max_mhz=np.full_like(caps, np.nan), plant=levers[None, :]
    )
    plant.apply(command)
    for _ in range(24):
        plant.advance(3600.0)
        truth = plant.read_truth()
        margin_k = truth.of_plant("cdu_supply_temp_c") - truth.of_plant("dew_point_c")
        assert margin_k[0] >= 1.9


def test_warm_chilled_water_leaves_the_hall_moist(site: Site) -> None:
    plant = SimulatedPlant(site, batch_size=2)
    plant.reset([1, 1], weather="miami", start_time_s=JULY_S)
    levers = np.tile(site.limits.lever_default, (2, 1))
    levers[:, 0], levers[:, 1] = 25.0, [8.0, 18.0]
    caps = np.tile(site.layout.power_limit_max_w, (2, 1))
    command = Setpoints(power_cap_w=caps, sm_clock_max_mhz=np.full_like(caps, np.nan), plant=levers)
    plant.apply(command)
    plant.advance(86_400.0)
    dry_c, moist_c = plant.read_truth().of_plant("dew_point_c")
    assert dry_c < 15.0 < moist_c < 23.0


def test_caps_near_the_least_limit_fall_off_the_cliff() -> None:
    def clock(cap_w: float) -> float:
        return float(floor_clock_ratio(cap_w=cap_w, cliff_cap_w=280.0, slope_per_w=0.75 / 80.0))

    assert clock(700.0) == 1.0
    assert clock(280.0) == 1.0
    assert clock(200.0) == pytest.approx(0.25)
    assert clock(240.0) == pytest.approx(0.625)
