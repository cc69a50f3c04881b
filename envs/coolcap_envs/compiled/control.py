"""What the compiled control step keeps per tile beside the plants: rule, actions, readings, reward.

Tables are in lanes, as those of :class:`coolcap_envs.physics.batch.Batch`, and shaped ``[T]`` or
``[T, N]``. What is the same for all plants of a site stands in plain records.
"""

from dataclasses import asdict, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    PLANT_FEATURES,
    plant_limits,
)
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.batch import aligned_zeros
from coolcap_envs.physics.lane_types import LANES
from coolcap_envs.physics.records import Record, Records, in_lanes
from coolcap_envs.physics.sensors import GROUP_READING_DTYPE, PLANT_READING_DTYPE
from coolcap_envs.reward import Weights
from coolcap_envs.safety.budget_tree import levels_of
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import COOLING
from coolcap_envs.safety.trim_respond import Tuning

_LEVER_NAMES: Final = tuple(lever.name for lever in PLANT_LEVERS)
_LEVERS: Final = len(PLANT_LEVERS)


def _floats(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.float64) for name in names])


LEVER_DTYPE: Final = _floats(*_LEVER_NAMES)
"""A number per plant lever."""
LEVER_BITS_DTYPE: Final = np.dtype([(name, np.uint64) for name in _LEVER_NAMES])
"""Reasons of the shield per plant lever."""
GROUP_CONTROL_DTYPE: Final = np.dtype(
    [
        *((name, np.float64) for name in ("action", "baseline_cap_w", "asked_cap_w", "cap_w")),
        *((name, np.float64) for name in ("other_w", "top_w", "fall_w")),
        *((name, np.float64) for name in ("work_gpu_s", "it_energy_j")),  # before the step
        *((name, np.float64) for name in ("before_w", "is_short", "reward")),
        ("reasons", np.uint64),
    ]
)
"""What control holds of a group."""
PLANT_CONTROL_DTYPE: Final = _floats(
    "work_value", "hour_sin", "hour_cos", "facility_energy_j", "shielded_count"
)
"""What control holds of a plant; energy is that before the step."""
REWARD_DTYPE: Final = _floats(
    "total", "plant", "energy", "work", "correction", "inlet_temp", "gpu_temp", "latency"
)
"""A site's reward with its terms and costs."""
TUNING_DTYPE: Final = _floats(*(f.name for f in fields(Tuning)))
"""Numbers of the rule, for each plant its own."""
GROUP_FEATURE_DTYPE: Final = _floats(*(f.name for f in GROUP_FEATURES))
PLANT_FEATURE_DTYPE: Final = _floats(*(f.name for f in PLANT_FEATURES))

GROUP_LIMIT_DTYPE: Final = _floats(
    "power_limit_max_w",
    "power_cap_min_w",
    "power_cap_max_w",
    "rise_w",
    "gpu_count",
    "sm_clock_max_mhz",
    "share",
)
"""Limits and layout of a group; ``rise_w`` is for one step, ``share`` is of the site's GPUs."""
_PER_LEVER: Final = ("lever_low", "lever_high", "rise", "fall", "cooling", "has_lever")
SITE_LIMIT_DTYPE: Final = np.dtype(
    [
        *((name, np.float64, (_LEVERS,)) for name in _PER_LEVER),
        *(
            (name, np.float64)
            for name in (
                "inlet_temp_max_c",
                "gpu_temp_max_c",
                "hbm_temp_max_c",
                "power_margin_ratio",
                "it_power_design_w",
                "budget_max_w",
                "chw_span_k",
                "correction",
                "costs",
                "step_s",
            )
        ),
    ]
)
"""Limits of a site and weights of the reward; slews are for one step."""


class Control(NamedTuple):
    """Everything the compiled control step needs beside the plants.

    Attributes:
        groups: ``GROUP_CONTROL_DTYPE``, ``[T, N]``.
        plant: ``PLANT_CONTROL_DTYPE``, ``[T]``.
        action: Actions on levers, or setpoints, ``LEVER_DTYPE``, ``[T]``.
        action_values: The same memory, ``[T, K, LANES]``.
        baseline: Levers of the rule, ``[T]``.
        asked: Levers before the shield, ``[T]``.
        allowed: Levers after it, ``[T]``.
        lever_reasons: ``LEVER_BITS_DTYPE``, ``[T]``.
        tuning: ``TUNING_DTYPE``, ``[T]``.
        budgets_w: A field per budget, ``[T]``.
        group_readings: What instruments show, ``[T, N]``.
        plant_readings: The same of the plant, ``[T]``.
        group_features: The observation, ``[T, N]``.
        group_feature_values: The same memory, ``[T, N, F, LANES]``.
        plant_features: The observation of the plant, ``[T]``.
        plant_feature_values: The same memory, ``[T, P, LANES]``.
        reward: ``REWARD_DTYPE``, ``[T]``.
        group_limits: ``GROUP_LIMIT_DTYPE``, ``[N]``.
        limits: ``SITE_LIMIT_DTYPE``, ``[1]``.
        has_lever: Which levers there are, ``[K]``.
        order: Budgets from the smallest up, ``[S]``.
        members: Which groups a budget covers, ``[S, N]``.
        burst: 1 plus bursts above caps of each budget, ``[S]``.
        rank: Place of each group's priority among those of a budget, ``[S, N]``.
        class_count: Number of priorities under each budget, ``[S]``.
    """

    groups: Records
    plant: Records
    action: Records
    action_values: FloatArray
    baseline: Records
    asked: Records
    allowed: Records
    lever_reasons: Records
    tuning: Records
    budgets_w: Records
    group_readings: Records
    plant_readings: Records
    group_features: Records
    group_feature_values: FloatArray
    plant_features: Records
    plant_feature_values: FloatArray
    reward: Records
    group_limits: Record
    limits: Record
    has_lever: NDArray[np.bool_]
    order: NDArray[np.int64]
    members: NDArray[np.bool_]
    burst: FloatArray
    rank: FloatArray
    class_count: FloatArray


def _values(table: Records) -> FloatArray:
    values: FloatArray = table.reshape(-1).view(np.float64).reshape(*table.shape, -1, LANES)
    return values


def make_control(
    layout: Layout, limits: Limits, weights: Weights, *, tiles: int, step_s: float
) -> Control:
    """Return the tables of a site's control, all rules with the published tuning.

    Args:
        layout: The site's layout.
        limits: The site's limits; budgets are set per plant later.
        weights: Of the reward.
        tiles: Number of tiles.
        step_s: Control period.
    """
    groups, budgets = layout.group_count, len(limits.budget_w)

    def table(dtype: np.dtype[np.void], *shape: int) -> Records:
        return aligned_zeros((tiles, *shape), in_lanes(dtype))

    tuning = table(TUNING_DTYPE)
    for name, value in asdict(Tuning()).items():
        tuning[name] = value
    rank = np.zeros((budgets, groups))
    classes = np.zeros(budgets)
    for s in range(budgets):
        members = limits.budget_members[s]
        found = np.unique(layout.priority[members])
        rank[s] = np.searchsorted(found, layout.priority)
        classes[s] = found.size
    order = [b for level in levels_of(limits.budget_members) for b in level.budgets.tolist()]
    action = table(LEVER_DTYPE)
    group_features = table(GROUP_FEATURE_DTYPE, groups)
    plant_features = table(PLANT_FEATURE_DTYPE)
    return Control(
        groups=table(GROUP_CONTROL_DTYPE, groups),
        plant=table(PLANT_CONTROL_DTYPE),
        action=action,
        action_values=_values(action),
        baseline=table(LEVER_DTYPE),
        asked=table(LEVER_DTYPE),
        allowed=table(LEVER_DTYPE),
        lever_reasons=table(LEVER_BITS_DTYPE),
        tuning=tuning,
        budgets_w=table(_floats(*(f"budget_{s}" for s in range(max(budgets, 1))))),
        group_readings=table(GROUP_READING_DTYPE, groups),
        plant_readings=table(PLANT_READING_DTYPE),
        group_features=group_features,
        group_feature_values=_values(group_features),
        plant_features=plant_features,
        plant_feature_values=_values(plant_features),
        reward=table(REWARD_DTYPE),
        group_limits=_group_limits(layout, limits, step_s),
        limits=_site_limits(layout, limits, weights, step_s),
        has_lever=layout.plant_levers.copy(),
        order=np.array(order, dtype=np.int64),
        members=limits.budget_members.copy(),
        burst=1.0 + limits.budget_burst_ratio,
        rank=rank,
        class_count=classes,
    )


def _group_limits(layout: Layout, limits: Limits, step_s: float) -> Records:
    row = np.zeros(layout.group_count, GROUP_LIMIT_DTYPE)
    row["power_limit_max_w"] = layout.power_limit_max_w
    row["power_cap_min_w"] = limits.power_cap_min_w
    row["power_cap_max_w"] = limits.power_cap_max_w
    row["rise_w"] = limits.power_cap_rise_max_w_per_min * (step_s / 60.0)
    row["gpu_count"] = layout.gpu_count
    row["sm_clock_max_mhz"] = layout.sm_clock_max_mhz
    row["share"] = layout.gpu_count / layout.gpu_count.sum()
    return row


def _site_limits(layout: Layout, limits: Limits, weights: Weights, step_s: float) -> Records:
    row = np.zeros(1, SITE_LIMIT_DTYPE)
    of_features = plant_limits(layout, limits)
    row["lever_low"], row["lever_high"] = limits.lever_low, limits.lever_high
    row["rise"] = limits.lever_rise_max_per_min * (step_s / 60.0)
    row["fall"] = limits.lever_fall_max_per_min * (step_s / 60.0)
    row["cooling"] = COOLING
    row["has_lever"] = of_features.has_lever
    row["inlet_temp_max_c"] = limits.inlet_temp_max_c
    row["gpu_temp_max_c"] = limits.gpu_temp_max_c
    row["hbm_temp_max_c"] = limits.hbm_temp_max_c
    row["power_margin_ratio"] = limits.power_margin_ratio
    row["it_power_design_w"] = layout.it_power_design_w
    row["budget_max_w"] = of_features.budget_max_w
    chw = _LEVER_NAMES.index("chw_supply_temp_setpoint_c")
    row["chw_span_k"] = limits.lever_high[chw] - limits.lever_low[chw]
    row["correction"], row["costs"] = weights.correction, weights.costs
    row["step_s"] = step_s
    return row
