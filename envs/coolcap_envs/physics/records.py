"""Record types of the batched kernels: one row per environment, or per environment and group.

A record array with a leading batch axis is state that can be copied with one assignment
(``state[i] = other[j]``) and that kernels read by name (``p.cold_temp_c``).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics.parameters import (
    CLASS_PARAMETERS,
    GPU_PARAMETERS,
    PLANT_PARAMETERS,
    SERVER_PARAMETERS,
)

Records = NDArray[Any]
"""A structured array."""
Record = Any
"""One row of it; kernels read and write its fields as attributes."""

SUBSTEP_S: Final = 5.0
"""Physics step. Air and water follow within tens of seconds, so 5 s resolves them."""
PIPE_CELLS: Final = 16
"""Cells of the chilled-water pipe."""


def _dtype(*fields: str, integers: tuple[str, ...] = ()) -> np.dtype[np.void]:
    pairs = [(name, np.float64) for name in fields] + [(name, np.int64) for name in integers]
    return np.dtype(pairs, align=True)


_SPREADS: Final = ("power_spread_ratio", "resistance_spread_ratio")

MODEL_DERIVED: Final = (
    "die_decay",
    "die_capacity_w_per_k",
    "sink_conductance_w_per_k",
    "sink_capacity_w_per_k",
    "fan_lag_ratio",
    "per_design_power",
    "supply_fixed_w",
    "supply_square_per_w",
)
"""Numbers computed once from the others, mostly to keep divisions out of the kernel."""
CLASS_DERIVED: Final = (
    "slope_high",
    "power_at_knee",
    "per_full_power",
    "per_slope_low",
    "per_slope_high",
)

PLANT_PARAMETER_DTYPE: Final = _dtype(*(p.field for p in PLANT_PARAMETERS))
"""Parameters of the plant, shape ``[B]``."""

MODEL_DTYPE: Final = _dtype(
    *(p.field for p in GPU_PARAMETERS if p.name not in _SPREADS),
    *(p.field for p in SERVER_PARAMETERS),
    *MODEL_DERIVED,
)
"""GPU models of a site with their servers, shape ``[B, models]``; watts and kg/s are per GPU."""

GROUP_PARAMETER_DTYPE: Final = _dtype(
    "gpu_count",
    "sm_clock_max_mhz",
    "recirculation_ratio",
    "power_ratio",  # mean of the group's units over the nominal unit
    "pace_power_ratio",  # its hungriest unit: the first a cap slows down, and all wait for it
    "hot_ratio",  # temperature rise of its hottest unit over the mean
    integers=("model",),
)
"""Parameters of the control groups, shape ``[B, N]``."""

CLASS_DTYPE: Final = _dtype(*(p.name for p in CLASS_PARAMETERS), *CLASS_DERIVED)
"""Workload classes of all GPU models of a site, shape ``[B, models * classes]``."""

PLANT_INPUT_DTYPE: Final = _dtype(
    "supply_air_setpoint_c",
    "chw_setpoint_c",
    "cw_setpoint_c",
    "air_flow_setpoint_ratio",
    "crah_available_ratio",
    "chiller_available_ratio",
    "tower_available_ratio",
    "pump_available_ratio",
)
"""What acts on the plant during a control step, shape ``[B]``."""

GROUP_INPUT_DTYPE: Final = _dtype(
    "power_cap_w", "clock_max_ratio", "demand_ratio", integers=("work_class",)
)
"""What acts on a group during a control step, shape ``[B, N]``."""

GROUP_STATE_DTYPE: Final = _dtype(
    "die_temp_c",
    "sink_temp_c",
    "fan_ratio",
    "throttle_ratio",
    "backlog_s",  # reference GPU-seconds per GPU
    "it_energy_j",  # counters of the whole group
    "work_gpu_s",
    "offered_gpu_s",
    "lost_gpu_s",
    "gpu_power_w",  # readings: means over the control step, per GPU
    "it_power_w",  # of the whole group
    "clock_ratio",
    "busy_ratio",
    "util_ratio",
    "memory_busy_ratio",
    "work_rate_ratio",
    "inlet_temp_c",  # readings: at the end of the control step
    "hot_die_temp_c",
    "hot_hbm_temp_c",
    "time_ratio",  # time per unit of work over that at the highest clock
    "latency_ratio",
    integers=("work_class", "stopped"),
)
"""State, counters and readings of the control groups, shape ``[B, N]``."""

PLANT_STATE_DTYPE: Final = _dtype(
    "time_s",
    "cold_temp_c",
    "hot_temp_c",
    "supply_air_temp_c",
    "valve_integral",
    "crah_fan_ratio",
    "valve_ratio",
    "cold_demand_kg_per_s",
    "pipe_shift",
    "pipe_fill_temp_c",
    "chw_wanted_temp_c",
    "chw_leaving_temp_c",
    "chw_supply_temp_c",
    "chw_return_temp_c",
    "chiller_since_change_s",
    "chiller_ramp_ratio",
    "chiller_power_now_w",
    "cw_leaving_temp_c",
    "basin_temp_c",
    "tower_integral",
    "tower_fan_ratio",
    "it_energy_j",  # counters
    "cooling_energy_j",
    "facility_energy_j",
    "makeup_water_kg",
    "cost_usd",
    "carbon_g",
    "it_power_w",  # readings: means over the control step
    "crah_fan_power_w",
    "chiller_power_w",
    "pump_power_w",
    "tower_fan_power_w",
    "loss_power_w",
    "facility_power_w",
    "chiller_load_w",
    "economizer_load_w",
    "inlet_temp_max_c",  # readings: at the end of the control step
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "price_usd_per_kwh",
    "grid_carbon_g_per_kwh",
    "stored_heat_j",
    "energy_residual_ratio",
    integers=("pipe_head", "chiller_running", "step"),
)
"""State, counters and readings of the plant, shape ``[B]``."""

HOURLY_CHANNELS: Final = (
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "price_usd_per_kwh",
    "grid_carbon_g_per_kwh",
)
"""Columns of the hourly series that drive a plant from outside, shape ``[series, hours, 4]``."""
