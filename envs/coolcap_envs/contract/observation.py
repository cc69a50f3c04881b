"""Observations: what a policy sees, in physical units, and their only encoder.

``encode`` gives features per control group ``[..., N, F]`` and of the plant ``[..., P]``;
``agent_rows`` lays them out for the shared network: one row per group and one for the plant,
each with its own features, the mean and maximum over all groups, the plant's features and its
role. The network's first layer scales by the bounds below, so that a bundle carries everything.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.action import CAP_RESIDUAL_RATIO, PLANT_RESIDUAL_RATIO, Action
from coolcap_envs.contract.columns import Columns
from coolcap_envs.contract.elementwise import Numbers, Row, clip, filled, higher_of
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN, WORKLOAD_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One observed number with the range the network is scaled to; values are clipped to it."""

    name: str
    unit: str
    low: float
    high: float


def _feature(name: str, unit: str, low: float, high: float) -> Feature:
    return Feature(name=name, unit=unit, low=low, high=high)


GROUP_FEATURES: Final[tuple[Feature, ...]] = (
    _feature("gpu_power_ratio", "1", 0.0, 1.5),
    _feature("power_limit_ratio", "1", 0.0, 1.0),
    _feature("power_cap_floor_ratio", "1", 0.0, 1.0),
    _feature("baseline_cap_ratio", "1", 0.0, 1.0),
    _feature("sm_clock_ratio", "1", 0.0, 1.0),
    _feature("gpu_util_ratio", "1", 0.0, 1.0),
    _feature("mem_util_ratio", "1", 0.0, 1.0),
    _feature("gpu_temp_margin_k", "K", -20.0, 80.0),
    _feature("hbm_temp_margin_k", "K", -20.0, 80.0),
    _feature("inlet_temp_margin_k", "K", -10.0, 20.0),
    _feature("work_rate_ratio", "1", 0.0, 1.5),
    _feature("latency_ratio", "1", 0.0, 3.0),
    *(_feature(name, "1", 0.0, 1.0) for name in WORKLOAD_SIGNALS),
)
PLANT_FEATURES: Final[tuple[Feature, ...]] = (
    *(_feature(f"baseline_{lever.name}_ratio", "1", 0.0, 1.0) for lever in PLANT_LEVERS),
    *(_feature(f"{lever.name}_ratio", "1", 0.0, 1.0) for lever in PLANT_LEVERS),
    *(_feature(f"has_{lever.name}", "1", 0.0, 1.0) for lever in PLANT_LEVERS),
    _feature("supply_air_temp_c", "°C", 10.0, 40.0),
    _feature("return_air_temp_c", "°C", 15.0, 60.0),
    _feature("inlet_temp_margin_k", "K", -10.0, 20.0),
    _feature("air_flow_ratio", "1", 0.0, 1.2),
    _feature("chw_supply_temp_c", "°C", 5.0, 45.0),
    _feature("chw_return_temp_c", "°C", 5.0, 60.0),
    _feature("cw_supply_temp_c", "°C", 5.0, 45.0),
    _feature("cdu_supply_temp_c", "°C", 15.0, 50.0),
    _feature("cdu_return_temp_c", "°C", 15.0, 70.0),
    _feature("outdoor_temp_c", "°C", -30.0, 50.0),
    _feature("wet_bulb_temp_c", "°C", -30.0, 35.0),
    _feature("it_power_ratio", "1", 0.0, 1.5),
    _feature("cooling_to_it_power_ratio", "1", 0.0, 1.0),
    _feature("budget_use_ratio", "1", 0.0, 1.5),
    _feature("crah_available_ratio", "1", 0.0, 1.0),
    _feature("chiller_available_ratio", "1", 0.0, 1.0),
    _feature("hour_sin", "1", -1.0, 1.0),
    _feature("hour_cos", "1", -1.0, 1.0),
    _feature("work_value", "1", 0.0, 5.0),
)
"""``work_value`` is the operator's knob: per cent of facility energy that one per cent of
throughput is worth. Ratios of a lever are its place in its allowed range; 0 for absent levers."""

ROLES: Final = ("group", "plant")
ACTION_WIDTH: Final = max(len(GROUP_LEVERS), len(PLANT_LEVERS))
"""Columns of the network's output: group levers in a group's row, plant levers in the plant's."""

ROW_FEATURES: Final[tuple[Feature, ...]] = (
    *(_feature(f"own_{f.name}", f.unit, f.low, f.high) for f in GROUP_FEATURES),
    *(_feature(f"mean_{f.name}", f.unit, f.low, f.high) for f in GROUP_FEATURES),
    *(_feature(f"max_{f.name}", f.unit, f.low, f.high) for f in GROUP_FEATURES),
    *(_feature(f"plant_{f.name}", f.unit, f.low, f.high) for f in PLANT_FEATURES),
    *(_feature(f"role_{role}", "1", 0.0, 1.0) for role in ROLES),
)

GROUP_FEATURE_COLUMN: Final = {f.name: k for k, f in enumerate(GROUP_FEATURES)}
PLANT_FEATURE_COLUMN: Final = {f.name: k for k, f in enumerate(PLANT_FEATURES)}
HOUR_ANGLE_PER_S: Final = 2.0 * np.pi / 86400.0
_LEVERS: Final = len(PLANT_LEVERS)
GROUP_LOW = np.array([f.low for f in GROUP_FEATURES])
GROUP_HIGH = np.array([f.high for f in GROUP_FEATURES])
PLANT_LOW = np.array([f.low for f in PLANT_FEATURES])
PLANT_HIGH = np.array([f.high for f in PLANT_FEATURES])


def _schema_hash() -> str:
    schema = {
        "rows": [[f.name, f.unit, f.low, f.high] for f in ROW_FEATURES],
        "group_levers": [lever.name for lever in GROUP_LEVERS],
        "plant_levers": [lever.name for lever in PLANT_LEVERS],
        "residual_ratios": [CAP_RESIDUAL_RATIO, PLANT_RESIDUAL_RATIO],
    }
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]


SCHEMA_HASH: Final = _schema_hash()
"""Names, units, ranges and order of all that goes into and comes out of a policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a policy sees.

    Attributes:
        groups: Shape ``[..., N, len(GROUP_FEATURES)]``.
        plant: Shape ``[..., len(PLANT_FEATURES)]``.
    """

    groups: FloatArray
    plant: FloatArray


def _place(value: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """Return where a setpoint lies in its allowed range, 0 to 1; 0 for absent levers."""
    return filled((value - low) / (high - low), 0.0)


def hold_features(features: Row, low: Row, high: Row, count: int) -> None:
    """Hold features to their ranges; what is missing becomes the lower bound."""
    for k in range(count):
        features[k] = clip(filled(features[k], low[k]), low[k], high[k])


def write_group_features(
    features: Row, row: Row, baseline_cap_w: Numbers, group: Row, limits: Row
) -> None:
    """Write the features of a group, not yet held to their ranges.

    Args:
        features: Gets them, by name.
        row: Readings of the group, by name.
        baseline_cap_w: Cap of the rule.
        group: ``power_limit_max_w``, ``power_cap_min_w``, ``sm_clock_max_mhz`` of the group.
        limits: ``gpu_temp_max_c``, ``hbm_temp_max_c``, ``inlet_temp_max_c`` of the site.
    """
    per_w = 1.0 / group.power_limit_max_w
    features.gpu_power_ratio = row.gpu_power_w * per_w
    features.power_limit_ratio = row.power_limit_w * per_w
    features.power_cap_floor_ratio = group.power_cap_min_w * per_w
    features.baseline_cap_ratio = baseline_cap_w * per_w
    features.sm_clock_ratio = row.sm_clock_mhz / group.sm_clock_max_mhz
    features.gpu_util_ratio = row.gpu_util_ratio
    features.mem_util_ratio = row.mem_util_ratio
    features.gpu_temp_margin_k = limits.gpu_temp_max_c - row.gpu_temp_c
    features.hbm_temp_margin_k = limits.hbm_temp_max_c - row.hbm_temp_c
    features.inlet_temp_margin_k = limits.inlet_temp_max_c - row.inlet_temp_c
    features.work_rate_ratio = row.work_rate_ratio
    features.latency_ratio = row.latency_ratio
    features.training_ratio = row.training_ratio
    features.prefill_ratio = row.prefill_ratio
    features.decode_ratio = row.decode_ratio
    features.memory_bound_ratio = row.memory_bound_ratio


def write_plant_features(
    features: Row,
    row: Row,
    baseline: Row,
    hour_sin: Numbers,
    hour_cos: Numbers,
    work_value: Numbers,
    limits: Row,
) -> None:
    """Write the features of a plant, not yet held to their ranges.

    Args:
        features: Gets them, by name or place.
        row: Readings of the plant, by name or place.
        baseline: Levers of the rule, by place.
        hour_sin: Sine of the time of day as an angle.
        hour_cos: Cosine of the same.
        work_value: Per cent of energy one per cent of throughput is worth.
        limits: ``lever_low``, ``lever_high``, ``has_lever`` by place; ``inlet_temp_max_c``,
            ``it_power_design_w`` and ``budget_max_w``.
    """
    for k in range(_LEVERS):
        low, high = limits.lever_low[k], limits.lever_high[k]
        features[k] = _place(baseline[k], low, high)
        features[_LEVERS + k] = _place(row[k], low, high)
        features[2 * _LEVERS + k] = limits.has_lever[k]
    features.supply_air_temp_c = row.supply_air_temp_c
    features.return_air_temp_c = row.return_air_temp_c
    features.inlet_temp_margin_k = limits.inlet_temp_max_c - row.inlet_temp_max_c
    features.air_flow_ratio = row.air_flow_ratio
    features.chw_supply_temp_c = row.chw_supply_temp_c
    features.chw_return_temp_c = row.chw_return_temp_c
    features.cw_supply_temp_c = row.cw_supply_temp_c
    features.cdu_supply_temp_c = row.cdu_supply_temp_c
    features.cdu_return_temp_c = row.cdu_return_temp_c
    features.outdoor_temp_c = row.outdoor_temp_c
    features.wet_bulb_temp_c = row.wet_bulb_temp_c
    it_power_w = row.it_power_w
    cooling_w = (
        row.crah_fan_power_w + row.chiller_power_w + row.pump_power_w + row.tower_fan_power_w
    )
    features.it_power_ratio = it_power_w / limits.it_power_design_w
    features.cooling_to_it_power_ratio = cooling_w / higher_of(it_power_w, 1.0)
    features.budget_use_ratio = it_power_w / limits.budget_max_w
    features.crah_available_ratio = row.crah_available_ratio
    features.chiller_available_ratio = row.chiller_available_ratio
    features.hour_sin = hour_sin
    features.hour_cos = hour_cos
    features.work_value = work_value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantLimits:
    """What :func:`write_plant_features` needs of layout and limits."""

    lever_low: FloatArray
    lever_high: FloatArray
    has_lever: FloatArray
    inlet_temp_max_c: float
    it_power_design_w: float
    budget_max_w: float | FloatArray


def plant_limits(layout: Layout, limits: Limits) -> PlantLimits:
    """Return them."""
    budgets_w = limits.budget_w
    return PlantLimits(
        lever_low=limits.lever_low,
        lever_high=limits.lever_high,
        has_lever=layout.plant_levers.astype(np.float64),
        inlet_temp_max_c=limits.inlet_temp_max_c,
        it_power_design_w=layout.it_power_design_w,
        budget_max_w=(budgets_w.max(axis=-1) if budgets_w.shape[-1] else layout.it_power_design_w),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupLimits:
    """What :func:`write_group_features` needs of a group."""

    power_limit_max_w: FloatArray
    power_cap_min_w: FloatArray
    sm_clock_max_mhz: FloatArray


def encode(
    telemetry: Telemetry,
    *,
    baseline: Setpoints,
    layout: Layout,
    limits: Limits,
    work_value: float | FloatArray,
) -> Observation:
    """Encode telemetry for a policy.

    Readings that are missing become the feature's lower bound where a site cannot have them
    (absent levers, no CDU); whether telemetry may be acted on at all is decided before, in
    :mod:`coolcap_envs.safety.fallback`.

    Args:
        telemetry: Newest readings.
        baseline: What the feedback rule would set now.
        layout: The site's layout.
        limits: The site's limits.
        work_value: Per cent of energy one per cent of throughput is worth, scalar or ``[...]``.
    """
    groups = np.empty((*telemetry.groups.shape[:-1], len(GROUP_FEATURES)))
    features = Columns(groups, GROUP_FEATURE_COLUMN)
    write_group_features(
        features=features,
        row=Columns(telemetry.groups, GROUP_COLUMN),
        baseline_cap_w=baseline.power_cap_w,
        group=_GroupLimits(
            power_limit_max_w=layout.power_limit_max_w,
            power_cap_min_w=limits.power_cap_min_w,
            sm_clock_max_mhz=layout.sm_clock_max_mhz,
        ),
        limits=limits,
    )
    hold_features(features, GROUP_LOW, GROUP_HIGH, len(GROUP_FEATURES))

    hour_angle = telemetry.time_s * HOUR_ANGLE_PER_S
    plant = np.empty((*telemetry.plant.shape[:-1], len(PLANT_FEATURES)))
    features = Columns(plant, PLANT_FEATURE_COLUMN)
    write_plant_features(
        features=features,
        row=Columns(telemetry.plant, PLANT_COLUMN),
        baseline=Columns(baseline.plant, PLANT_LEVER_COLUMN),
        hour_sin=np.sin(hour_angle),
        hour_cos=np.cos(hour_angle),
        work_value=work_value,
        limits=plant_limits(layout, limits),
    )
    hold_features(features, PLANT_LOW, PLANT_HIGH, len(PLANT_FEATURES))
    return Observation(groups=groups, plant=plant)


def agent_rows(observation: Observation) -> Rows:
    """Return rows of ``ROW_FEATURES`` for the shared network, shape ``[..., N + 1, D]``.

    The last row is the plant's; the groups' mean stands in for own features there, so that every
    row lies in the same bounds.
    """
    groups = observation.groups
    mean = groups.mean(axis=-2, keepdims=True)
    most = groups.max(axis=-2, keepdims=True)
    own = np.concatenate([groups, mean], axis=-2)
    width = groups.shape[-1]
    rows = np.empty((*own.shape[:-1], len(ROW_FEATURES)), dtype=np.float32)
    rows[..., :width] = own
    rows[..., width : 2 * width] = mean
    rows[..., 2 * width : 3 * width] = most
    rows[..., 3 * width : -2] = observation.plant[..., None, :]
    rows[..., :-1, -2:] = (1.0, 0.0)
    rows[..., -1, -2:] = (0.0, 1.0)
    return rows


def split_rows(values: NDArray[np.float32]) -> Action:
    """Return the action held in network outputs of shape ``[..., N + 1, ACTION_WIDTH]``."""
    wide = values.astype(np.float64)
    return Action(
        groups=wide[..., :-1, : len(GROUP_LEVERS)], plant=wide[..., -1, : len(PLANT_LEVERS)]
    )


def action_mask(layout: Layout) -> NDArray[np.float32]:
    """Return 1 where an output of the network moves a lever of the site, ``[N + 1, WIDTH]``.

    The clock lever has no driver yet, so that a group's row moves its power cap only.
    """
    mask = np.zeros((layout.group_count + 1, ACTION_WIDTH), dtype=np.float32)
    mask[:-1, 0] = 1.0
    mask[-1, : len(PLANT_LEVERS)] = layout.plant_levers
    return mask
