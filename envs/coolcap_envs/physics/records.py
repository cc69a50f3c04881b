"""Record types: what a plant, a group, a model and a class of work are made of.

The types below name the numbers of one plant or group. A batch holds them in *tiles* of ``LANES``
plants: :func:`in_lanes` makes each field that many numbers, so that kernels read and write the same
field of eight plants as one vector (``p.cold_temp_c``). Every field is 8 bytes wide, which lets
:mod:`coolcap_envs.physics.batch` copy plants without knowing their fields.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics.lane_types import LANES
from coolcap_envs.physics.parameters import (
    CLASS_PARAMETERS,
    GPU_PARAMETERS,
    LIQUID_SERVER_PARAMETERS,
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


def _dtype(*fields: str, words: tuple[str, ...] = ()) -> np.dtype[np.void]:
    pairs = [(name, np.float64) for name in fields] + [(name, np.uint64) for name in words]
    return np.dtype(pairs, align=True)


def in_lanes(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Return the record type of a tile: every field holds one number per lane."""
    names = dtype.names or ()
    return np.dtype([(name, dtype[name], (LANES,)) for name in names])


_OF_UNITS: Final = (
    "power_spread_ratio",
    "resistance_spread_ratio",
    "overshoot_ratio",
    "overshoot_s",
    "cliff_cap_ratio",
    "cliff_clock_ratio",
)
"""Numbers of a GPU model that rows of groups are made from, or that act below a substep."""

MODEL_DERIVED: Final = (
    "die_decay",
    "die_capacity_w_per_k",
    "sink_conductance_w_per_k",
    "sink_capacity_w_per_k",
    "fan_lag_ratio",
    "per_design_power",
    "supply_fixed_w",
    "supply_square_per_w",
    "coolant_w_per_k",  # capacity rate of the coolant per GPU at design flow
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
"""Parameters of a plant."""

MODEL_DTYPE: Final = _dtype(
    *(p.field for p in GPU_PARAMETERS if p.name not in _OF_UNITS),
    *(p.field for p in (*SERVER_PARAMETERS, *LIQUID_SERVER_PARAMETERS)),
    *MODEL_DERIVED,
)
"""A GPU model with its server; watts and kg/s are per GPU."""

GROUP_PARAMETER_DTYPE: Final = _dtype(
    "gpu_count",
    "sm_clock_max_mhz",
    "recirculation_ratio",
    "power_ratio",  # mean of the group's units over the nominal unit
    "pace_power_ratio",  # its hungriest unit: the first a cap slows down, and all wait for it
    "cliff_cap_w",  # cap below which clocks collapse
    "cliff_slope_per_w",  # how fast, towards the least limit
    "hot_ratio",  # temperature rise of its hottest unit over the mean
)
"""Parameters of a control group."""

CLASS_DTYPE: Final = _dtype(*(p.name for p in CLASS_PARAMETERS), *CLASS_DERIVED)
"""A workload class on a GPU model."""

PLANT_INPUT_DTYPE: Final = _dtype(
    "supply_air_setpoint_c",
    "chw_setpoint_c",
    "cw_setpoint_c",
    "air_flow_setpoint_ratio",
    "crah_available_ratio",
    "chiller_available_ratio",
    "tower_available_ratio",
    "pump_available_ratio",
    "cdu_supply_setpoint_c",
    "cdu_flow_setpoint_ratio",
    "cdu_available_ratio",
)
"""What acts on a plant during a control step."""

GROUP_INPUT_DTYPE: Final = _dtype(
    "power_cap_w",
    "clock_max_ratio",
    "demand_ratio",
    "rate_max_ratio",  # bound on the work rate: the pace of a job over several groups, or 0 if lost
    "work_class",
)
"""What acts on a group during a control step."""

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
    "work_class",  # the class whose numbers ``Batch.work`` holds; -1 for none yet
    "stopped",  # 1 after the device shut itself down
)
"""State, counters and readings of a control group."""

PLANT_STATE_DTYPE: Final = _dtype(
    "time_s",
    "cold_temp_c",
    "hot_temp_c",
    "supply_air_temp_c",
    "valve_integral",
    "crah_fan_ratio",
    "valve_ratio",
    "cold_demand_kg_per_s",
    "pipe_flow_cells",  # water that moves on in the substep
    "pipe_shift",
    "pipe_fill_temp_c",
    "pipe_mean_temp_c",
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
    "dew_point_c",
    "humidity_ratio",
    "outdoor_humidity_ratio",
    "cdu_pump_ratio",
    "cdu_valve_integral",
    "cdu_valve_ratio",
    "cdu_supply_temp_c",
    "cdu_return_temp_c",
    "facility_supply_temp_c",
    "facility_return_temp_c",
    "dry_cooler_integral",
    "dry_cooler_fan_ratio",
    "it_energy_j",  # counters
    "cooling_energy_j",
    "facility_energy_j",
    "makeup_water_kg",
    "pad_water_kg",  # of the make-up water, that of dry coolers
    "dry_cooler_heat_j",
    "moisture_heat_j",  # latent heat that make-up air brought
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
    "chiller_running",  # 0 or 1
    words=("pipe_head", "step", "noise_key"),
)
"""State, counters and readings of a plant."""

HOURLY_CHANNELS: Final = (
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "price_usd_per_kwh",
    "grid_carbon_g_per_kwh",
)
"""Columns of the hourly series that drive a plant from outside, shape ``[series, hours, 4]``."""
