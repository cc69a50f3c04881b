"""Reward: useful work done, facility power saved, limits kept; every term is dimensionless.

A site's reward for one step is ``work_value * work - energy - correction - costs``. Energy is all
power at the facility's meter; PUE appears nowhere, because warmer air always lowers it. The same
terms are factored for learners that treat groups and the plant as agents: a group answers for its
own work, latency and temperature, and its power with the cooling that power needs. The plant
answers for the whole site's work and energy, and for temperatures: how warm it keeps the hall also
moves server fans and the leakage of GPUs, which cooling power alone does not show.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

WORK_VALUE_DEFAULT: Final = 2.0
"""Two per cent of energy for one per cent of throughput: slowing down to save must pay twice."""

_J_PER_KWH: Final = 3.6e6
_S_PER_H: Final = 3600.0
EXCESS_SCALE_K: Final = 1.0
"""Excess temperature that costs 1: as much as the whole site at design power."""
LATENCY_EXCESS_MAX: Final = 1.0
"""Beyond twice the latency target more is not worse: a queue that overflows is one failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How terms that are not the objective count in the reward.

    Attributes:
        correction: Of what the shield took away from an action, as a share of the lever's range.
        costs: Of each constraint cost; 0 for learners that treat constraints themselves.
    """

    correction: float = 0.05
    costs: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The reward of one step with its terms; N is the number of groups, batch axes ``...``.

    Attributes:
        total: The site's reward, shape ``[...]``.
        groups: Each group's own reward, shape ``[..., N]``.
        plant: The plant's own reward, shape ``[...]``.
        terms: ``energy``, ``work`` and ``correction``, each ``[...]`` and not yet weighted.
        costs: ``inlet_temp`` and ``gpu_temp`` in ``EXCESS_SCALE_K``; ``latency``, 1 for a missed
            target and up to 2 for one missed by its double; each ``[...]``, 0 within limits.
    """

    total: FloatArray
    groups: FloatArray
    plant: FloatArray
    terms: dict[str, FloatArray]
    costs: dict[str, FloatArray]


def _excess(value: FloatArray, limit: float) -> FloatArray:
    return np.maximum(np.nan_to_num(value, nan=-np.inf) - limit, 0.0)


def corrections(
    asked: Setpoints, allowed: Setpoints, limits: Limits
) -> tuple[FloatArray, FloatArray]:
    """Return how far the shield moved caps ``[..., N]`` and levers ``[..., K]``, in ranges."""
    cap_span_w = limits.power_cap_max_w - limits.power_cap_min_w
    caps = np.abs(asked.power_cap_w - allowed.power_cap_w) / cap_span_w
    levers = np.abs(asked.plant - allowed.plant) / (limits.lever_high - limits.lever_low)
    return np.nan_to_num(caps), np.nan_to_num(levers)


def evaluate(
    before: Telemetry,
    after: Telemetry,
    *,
    asked: Setpoints,
    allowed: Setpoints,
    layout: Layout,
    limits: Limits,
    work_value: FloatArray,
    weights: Weights,
) -> Reward:
    """Return the reward of the step from ``before`` to ``after``.

    Args:
        before: True readings at the start of the step.
        after: True readings at its end.
        asked: What the policy asked.
        allowed: What the shield let through.
        layout: The site's layout.
        limits: The site's limits.
        work_value: Per cent of energy one per cent of throughput is worth, shape ``[...]``.
        weights: Of corrections and costs.
    """
    step_s = after.time_s - before.time_s
    design_w = layout.it_power_design_w
    share = layout.gpu_count / layout.gpu_count.sum()

    def power_w(name: str) -> FloatArray:
        return (after.of_plant(name) - before.of_plant(name)) * _J_PER_KWH / step_s

    facility_w = power_w("facility_energy_kwh")
    done_gpu_h = after.group("work_gpu_h") - before.group("work_gpu_h")
    group_work = done_gpu_h * _S_PER_H / (step_s[..., None] * layout.gpu_count)
    used_kwh = after.group("it_energy_kwh") - before.group("it_energy_kwh")
    used_share = used_kwh / np.maximum(used_kwh.sum(axis=-1, keepdims=True), 1e-12)
    group_energy = used_share * facility_w[..., None] / (design_w * share)

    hot_k = np.maximum(
        _excess(after.group("gpu_temp_c"), limits.gpu_temp_max_c),
        _excess(after.group("hbm_temp_c"), limits.hbm_temp_max_c),
    )
    group_hot = hot_k / EXCESS_SCALE_K
    late = _excess(after.group("latency_ratio"), 1.0)
    group_late = np.where(late > 0.0, 1.0 + np.minimum(late, LATENCY_EXCESS_MAX), 0.0)
    inlet = _excess(after.of_plant("inlet_temp_max_c"), limits.inlet_temp_max_c) / EXCESS_SCALE_K
    costs = {
        "inlet_temp": inlet,
        "gpu_temp": (group_hot * share).sum(axis=-1),
        "latency": (group_late * share).sum(axis=-1),
    }
    cap_moved, lever_moved = corrections(asked, allowed, limits)
    terms = {
        "energy": facility_w / design_w,
        "work": (group_work * share).sum(axis=-1),
        "correction": (cap_moved * share).sum(axis=-1) + lever_moved.sum(axis=-1),
    }
    objective = work_value * terms["work"] - terms["energy"]
    temps = costs["inlet_temp"] + costs["gpu_temp"]
    return Reward(
        total=objective
        - weights.correction * terms["correction"]
        - weights.costs * (temps + costs["latency"]),
        groups=work_value[..., None] * group_work
        - group_energy
        - weights.correction * cap_moved
        - weights.costs * (group_hot + group_late),
        plant=objective - weights.correction * lever_moved.sum(axis=-1) - weights.costs * temps,
        terms=terms,
        costs=costs,
    )
