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

from coolcap_envs.contract.action import RESIDUAL_RATIO, Action
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
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

_GROUP_LOW = np.array([f.low for f in GROUP_FEATURES])
_GROUP_HIGH = np.array([f.high for f in GROUP_FEATURES])
_PLANT_LOW = np.array([f.low for f in PLANT_FEATURES])
_PLANT_HIGH = np.array([f.high for f in PLANT_FEATURES])


def _schema_hash() -> str:
    schema = {
        "rows": [[f.name, f.unit, f.low, f.high] for f in ROW_FEATURES],
        "group_levers": [lever.name for lever in GROUP_LEVERS],
        "plant_levers": [lever.name for lever in PLANT_LEVERS],
        "residual_ratio": RESIDUAL_RATIO,
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


def _place(value: FloatArray, limits: Limits) -> FloatArray:
    """Return where plant setpoints lie in their allowed range, 0 to 1; 0 for absent levers."""
    span = limits.lever_high - limits.lever_low
    return np.nan_to_num((value - limits.lever_low) / span, nan=0.0)


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
    watts = layout.power_limit_max_w
    group = telemetry.group
    inlet_margin = limits.inlet_temp_max_c - group("inlet_temp_c")
    groups = np.stack(
        [
            group("gpu_power_w") / watts,
            group("power_limit_w") / watts,
            np.broadcast_to(limits.power_cap_min_w / watts, inlet_margin.shape),
            baseline.power_cap_w / watts,
            group("sm_clock_mhz") / layout.sm_clock_max_mhz,
            group("gpu_util_ratio"),
            group("mem_util_ratio"),
            limits.gpu_temp_max_c - group("gpu_temp_c"),
            limits.hbm_temp_max_c - group("hbm_temp_c"),
            inlet_margin,
            group("work_rate_ratio"),
            group("latency_ratio"),
            *(group(name) for name in WORKLOAD_SIGNALS),
        ],
        axis=-1,
    )
    groups = np.clip(np.where(np.isnan(groups), _GROUP_LOW, groups), _GROUP_LOW, _GROUP_HIGH)

    of = telemetry.of_plant
    it_power_w = of("it_power_w")
    cooling_w = (
        of("crah_fan_power_w")
        + of("chiller_power_w")
        + of("pump_power_w")
        + of("tower_fan_power_w")
    )
    hour_angle = telemetry.time_s * (2.0 * np.pi / 86400.0)
    budget_w = limits.budget_w.max(axis=-1) if limits.budget_w.size else layout.it_power_design_w
    scalars = np.stack(
        [
            of("supply_air_temp_c"),
            of("return_air_temp_c"),
            limits.inlet_temp_max_c - of("inlet_temp_max_c"),
            of("air_flow_ratio"),
            of("chw_supply_temp_c"),
            of("chw_return_temp_c"),
            of("cw_supply_temp_c"),
            of("cdu_supply_temp_c"),
            of("cdu_return_temp_c"),
            of("outdoor_temp_c"),
            of("wet_bulb_temp_c"),
            it_power_w / layout.it_power_design_w,
            cooling_w / np.maximum(it_power_w, 1.0),
            it_power_w / budget_w,
            of("crah_available_ratio"),
            of("chiller_available_ratio"),
            np.sin(hour_angle),
            np.cos(hour_angle),
            np.broadcast_to(np.asarray(work_value, dtype=np.float64), it_power_w.shape),
        ],
        axis=-1,
    )
    in_force = telemetry.plant[..., : len(PLANT_LEVERS)]
    has = np.broadcast_to(layout.plant_levers.astype(np.float64), in_force.shape)
    plant = np.concatenate(
        [_place(baseline.plant, limits), _place(in_force, limits), has, scalars], axis=-1
    )
    plant = np.clip(np.where(np.isnan(plant), _PLANT_LOW, plant), _PLANT_LOW, _PLANT_HIGH)
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
