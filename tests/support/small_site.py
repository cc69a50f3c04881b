"""A site small enough to calculate by hand, and telemetry of it, for tests."""

import dataclasses
import tomllib

import numpy as np

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import read_site_limits

SMALL_SITE = """
[layout]
name = "small"
it_power_design_w = 5000.0
plant_levers = [
  "supply_air_temp_setpoint_c", "chw_supply_temp_setpoint_c", "cw_supply_temp_setpoint_c",
  "air_flow_setpoint_ratio",
]

[[layout.nodes]]
name = "node-{}"
count = 2
nodes_per_rack = 1
gpu_model = "test"
gpus_per_node = 2
groups_per_node = 2
power_limit_min_w = 100.0
power_limit_max_w = 500.0
power_limit_default_w = 500.0
sm_clock_max_mhz = 2000.0
source = "made up for tests"

[limits]
inlet_temp_max_c = 27.0
gpu_temp_max_c = 85.0
hbm_temp_max_c = 95.0
telemetry_age_max_s = 90.0
power_cap_floor_ratio = 0.4
power_cap_rise_max_ratio_per_min = 0.2
power_margin_ratio = 0.03
source = "made up for tests"

[limits.levers.supply_air_temp_setpoint_c]
low = 16.0
high = 26.0
default = 20.0
rise_max_per_min = 0.2
fall_max_per_min = 1.0
source = "made up for tests"

[limits.levers.chw_supply_temp_setpoint_c]
low = 7.0
high = 20.0
default = 10.0
rise_max_per_min = 0.2
fall_max_per_min = 1.0
source = "made up for tests"

[limits.levers.cw_supply_temp_setpoint_c]
low = 16.0
high = 30.0
default = 24.0
rise_max_per_min = 0.5
fall_max_per_min = 0.5
source = "made up for tests"

[limits.levers.air_flow_setpoint_ratio]
low = 0.4
high = 1.0
default = 0.8
rise_max_per_min = 0.2
fall_max_per_min = 0.05
source = "made up for tests"

[[budgets]]
name = "site"
power_w = 2600.0
racks = ["*"]

[[budgets]]
name = "first rack"
power_w = 1200.0
racks = ["rack-01"]
"""

GROUP_READINGS = {
    "gpu_power_w": 400.0,
    "it_power_w": 480.0,
    "power_limit_w": 500.0,
    "sm_clock_mhz": 1800.0,
    "gpu_util_ratio": 0.9,
    "mem_util_ratio": 0.4,
    "gpu_temp_c": 60.0,
    "hbm_temp_c": 70.0,
    "inlet_temp_c": 22.0,
    "work_rate_ratio": 1.0,
    "latency_ratio": 0.0,
    "training_ratio": 1.0,
    "prefill_ratio": 0.0,
    "decode_ratio": 0.0,
    "memory_bound_ratio": 0.0,
    "it_energy_kwh": 1.0,
    "work_gpu_h": 2.0,
}
PLANT_READINGS = {
    "supply_air_temp_setpoint_c": 20.0,
    "chw_supply_temp_setpoint_c": 10.0,
    "cw_supply_temp_setpoint_c": 24.0,
    "air_flow_setpoint_ratio": 0.8,
    "supply_air_temp_c": 20.0,
    "return_air_temp_c": 32.0,
    "inlet_temp_max_c": 22.0,
    "dew_point_c": 10.0,
    "air_flow_ratio": 0.8,
    "chw_supply_temp_c": 10.0,
    "chw_return_temp_c": 15.0,
    "cw_supply_temp_c": 24.0,
    "cw_return_temp_c": 29.0,
    "outdoor_temp_c": 20.0,
    "wet_bulb_temp_c": 15.0,
    "it_power_w": 1920.0,
    "crah_fan_power_w": 60.0,
    "chiller_power_w": 200.0,
    "pump_power_w": 40.0,
    "tower_fan_power_w": 20.0,
    "loss_power_w": 100.0,
    "facility_power_w": 2340.0,
    "it_energy_kwh": 10.0,
    "cooling_energy_kwh": 2.0,
    "facility_energy_kwh": 13.0,
    "makeup_water_l": 5.0,
    "crah_available_ratio": 1.0,
    "chiller_available_ratio": 1.0,
    "price_usd_per_kwh": 0.1,
    "grid_carbon_g_per_kwh": 400.0,
}


def small_site(text: str = SMALL_SITE) -> tuple[Layout, Limits]:
    """Return layout and limits of the small site."""
    root = Table(tomllib.loads(text), path="", problems=[])
    layout, limits = read_site_limits(root)
    root.finish()
    assert not root.problems, root.problems
    return layout, limits


def telemetry(
    *,
    group: dict[str, float | FloatArray] | None = None,
    plant: dict[str, float] | None = None,
    time_s: float = 0.0,
    age_s: float = 1.0,
    group_count: int = 4,
) -> Telemetry:
    """Return plausible telemetry of the small site with some readings replaced."""
    groups = np.full((group_count, len(GROUP_SIGNALS)), np.nan)
    for name, value in {**GROUP_READINGS, **(group or {})}.items():
        groups[:, GROUP_COLUMN[name]] = value
    readings = np.full(len(PLANT_SIGNALS), np.nan)
    for name, number in {**PLANT_READINGS, **(plant or {})}.items():
        readings[PLANT_COLUMN[name]] = number
    return Telemetry(
        time_s=np.array(time_s),
        groups=groups,
        plant=readings,
        groups_age_s=np.full(group_count, age_s),
        plant_age_s=np.full(len(PLANT_SIGNALS), age_s),
    )


def without_budgets(limits: Limits) -> Limits:
    """Return ``limits`` with budgets that never bind."""
    return dataclasses.replace(limits, budget_w=np.full_like(limits.budget_w, 1e9))
