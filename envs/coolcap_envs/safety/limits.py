"""Limits a site imposes on setpoints; read once, checked whole, never mutated.

Read from ``[limits]``, ``[limits.levers.*]`` and ``[[budgets]]`` of a site file::

    [limits]
    inlet_temp_max_c = 27.0             # the shield keeps every server inlet below this
    gpu_temp_max_c = 85.0
    hbm_temp_max_c = 95.0
    telemetry_age_max_s = 90.0
    power_cap_floor_ratio = 0.4         # of power_limit_max_w; above the device's own floor cliff
    power_cap_rise_max_ratio_per_min = 0.2
    power_margin_ratio = 0.03           # on worst-case power against budgets
    cooling_capacity_ratio = 1.0        # optional: all cooling equipment over it_power_design_w
    source = "…"

    [limits.levers.supply_air_temp_setpoint_c]
    low = 18.0
    high = 27.0
    default = 20.0                      # in force before anybody commands
    rise_max_per_min = 0.1
    fall_max_per_min = 0.5
    source = "…"

    [[budgets]]                         # see coolcap_envs.safety.budget_tables
    name = "site"
    power_w = 21000.0
    racks = ["*"]
"""

from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.telemetry import BoolArray, FloatArray
from coolcap_envs.safety.budget_tables import read_budgets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """Bounds the shield enforces.

    Attributes:
        inlet_temp_max_c: Highest server inlet temperature.
        gpu_temp_max_c: Highest GPU die temperature.
        hbm_temp_max_c: Highest GPU memory temperature.
        telemetry_age_max_s: Readings older than this are not acted on.
        power_cap_min_w: Lowest cap per group, shape ``[N]``.
        power_cap_max_w: Highest cap per group, shape ``[N]``.
        power_cap_rise_max_w_per_min: Fastest release of a cap per group, shape ``[N]``.
        power_margin_ratio: Added to worst-case power before it is held against budgets.
        lever_low: Lowest value per plant lever, NaN where the site lacks it, shape ``[K]``.
        lever_high: Highest value per plant lever, shape ``[K]``.
        lever_default: Value in force before anybody commands, shape ``[K]``.
        lever_rise_max_per_min: Fastest rise per plant lever, shape ``[K]``.
        lever_fall_max_per_min: Fastest fall per plant lever, shape ``[K]``.
        budget_names: Names of the power budgets.
        budget_w: IT power each budget allows, shape ``[number of budgets]``, or
            ``[..., number of budgets]`` where plants of a batch have their own.
        budget_members: Which groups a budget covers, shape ``[number of budgets, N]``.
        budget_burst_ratio: Added to the power of GPUs before it is held against a budget whose
            supply cannot ride through bursts above a cap, shape ``[number of budgets]``.
        cooling_capacity_ratio: Heat all cooling equipment together can take over the design IT
            power; with less of it fit to run, all caps together must fit what is left.
    """

    inlet_temp_max_c: float
    gpu_temp_max_c: float
    hbm_temp_max_c: float
    telemetry_age_max_s: float
    power_cap_min_w: FloatArray
    power_cap_max_w: FloatArray
    power_cap_rise_max_w_per_min: FloatArray
    power_margin_ratio: float
    lever_low: FloatArray
    lever_high: FloatArray
    lever_default: FloatArray
    lever_rise_max_per_min: FloatArray
    lever_fall_max_per_min: FloatArray
    budget_names: tuple[str, ...]
    budget_w: FloatArray
    budget_members: BoolArray
    budget_burst_ratio: FloatArray
    cooling_capacity_ratio: float = 1.0


def _read_levers(table: Table, layout: Layout) -> FloatArray:
    """Return rows low, high, default, rise, fall; columns as ``PLANT_LEVERS``."""
    rows = np.full((5, len(PLANT_LEVERS)), np.nan)
    for k, lever in enumerate(PLANT_LEVERS):
        if not layout.plant_levers[k]:
            continue
        part = table.take_table(lever.name)
        low = part.take_float("low", low=lever.low, high=lever.high, unit=lever.unit)
        high = part.take_float("high", low=lever.low, high=lever.high, unit=lever.unit)
        default = part.take_float("default", low=lever.low, high=lever.high, unit=lever.unit)
        if not low <= default <= high:
            part.complain("default", f"= {default:g} must lie from low to high")
        per_min = f"{lever.unit}/min"
        rise = part.take_float("rise_max_per_min", low=1e-6, high=100.0, unit=per_min)
        fall = part.take_float("fall_max_per_min", low=1e-6, high=100.0, unit=per_min)
        part.take_source()
        part.finish()
        rows[:, k] = low, high, default, rise, fall
    table.finish()
    return rows


def read_limits(table: Table, budgets: list[Table], layout: Layout) -> Limits:
    """Read ``[limits]`` and ``[[budgets]]``; problems are collected in ``table.problems``."""
    inlet = table.take_float("inlet_temp_max_c", low=10.0, high=60.0, unit="°C")
    gpu = table.take_float("gpu_temp_max_c", low=40.0, high=110.0, unit="°C")
    hbm = table.take_float("hbm_temp_max_c", low=40.0, high=120.0, unit="°C")
    age = table.take_float("telemetry_age_max_s", low=1.0, high=3600.0, unit="s")
    floor = table.take_float("power_cap_floor_ratio", low=0.1, high=1.0, unit="(ratio)")
    rise = table.take_float("power_cap_rise_max_ratio_per_min", low=0.001, high=100.0, unit="1/min")
    margin = table.take_float("power_margin_ratio", low=0.0, high=1.0, unit="(ratio)")
    cooling = table.take_float(
        "cooling_capacity_ratio", low=0.1, high=10.0, unit="(ratio)", default=1.0
    )
    table.take_source()
    levers = _read_levers(table.take_table("levers"), layout)
    table.finish()
    allowed = read_budgets(budgets, layout)
    return Limits(
        inlet_temp_max_c=inlet,
        gpu_temp_max_c=gpu,
        hbm_temp_max_c=hbm,
        telemetry_age_max_s=age,
        power_cap_min_w=np.maximum(layout.power_limit_min_w, floor * layout.power_limit_max_w),
        power_cap_max_w=layout.power_limit_max_w.copy(),
        power_cap_rise_max_w_per_min=rise * layout.power_limit_max_w,
        power_margin_ratio=margin,
        lever_low=levers[0],
        lever_high=levers[1],
        lever_default=levers[2],
        lever_rise_max_per_min=levers[3],
        lever_fall_max_per_min=levers[4],
        budget_names=allowed.names,
        budget_w=allowed.power_w,
        budget_members=allowed.members,
        budget_burst_ratio=allowed.burst_ratio,
        cooling_capacity_ratio=cooling,
    )
