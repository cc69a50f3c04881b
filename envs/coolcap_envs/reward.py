"""Reward: useful work done, facility power saved, limits kept; every term is dimensionless.

A site's reward for one step is ``work_value * work - energy - correction - costs``. Energy is all
power at the facility's meter; PUE appears nowhere, because warmer air always lowers it. The same
terms are factored for learners that treat groups and the plant as agents: a group answers for its
own work, latency and temperature, and its power with the cooling that power needs. The plant
answers for the whole site's work and energy, and for temperatures: how warm it keeps the hall also
moves server fans and the leakage of GPUs, which cooling power alone does not show.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import numpy as np

from coolcap_envs.contract.elementwise import (
    Numbers,
    Row,
    absolute,
    higher_of,
    is_finite,
    lower_of,
    where,
)
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


def excess(value: Numbers, limit: Numbers) -> Numbers:
    """Return how far a value is above its limit; 0 for one that is not measured."""
    return higher_of(value - limit, 0.0)


def heat_cost(gpu_temp_c: Numbers, hbm_temp_c: Numbers, limits: Row) -> Numbers:
    """Return what a group's temperatures above their limits cost."""
    gpu_k = excess(gpu_temp_c, limits.gpu_temp_max_c)
    return higher_of(gpu_k, excess(hbm_temp_c, limits.hbm_temp_max_c)) / EXCESS_SCALE_K


def latency_cost(latency_ratio: Numbers) -> Numbers:
    """Return what a group's latency beyond its target costs."""
    late = excess(latency_ratio, 1.0)
    return where(late > 0.0, 1.0 + lower_of(late, LATENCY_EXCESS_MAX), 0.0)


def moved_ratio(asked: Numbers, allowed: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """Return how far the shield moved a lever, in ranges; 0 if either is no number."""
    moved = absolute(asked - allowed) / (high - low)
    return where(is_finite(moved), moved, 0.0)


def group_reward(
    work_value: Numbers,
    work: Numbers,
    energy: Numbers,
    moved: Numbers,
    hot: Numbers,
    late: Numbers,
    weights: Row,
) -> Numbers:
    """Return a group's own reward.

    Args:
        work_value: Per cent of energy one per cent of throughput is worth.
        work: Useful work over what an uncapped GPU does.
        energy: Facility power that goes with it over its share of the design IT power.
        moved: :func:`moved_ratio` of its cap.
        hot: :func:`heat_cost`.
        late: :func:`latency_cost`.
        weights: As :class:`Weights`.
    """
    return work_value * work - energy - weights.correction * moved - weights.costs * (hot + late)


def site_rewards(
    work_value: Numbers, terms: Row, lever_moved: Numbers, weights: Row
) -> tuple[Numbers, Numbers]:
    """Return the site's reward, and the plant's own.

    Args:
        work_value: Per cent of energy one per cent of throughput is worth.
        terms: ``work``, ``energy``, ``correction``, ``inlet_temp``, ``gpu_temp`` and ``latency``.
        lever_moved: Sum of :func:`moved_ratio` of the plant's levers.
        weights: As :class:`Weights`.
    """
    objective = work_value * terms.work - terms.energy
    temps = terms.inlet_temp + terms.gpu_temp
    total = (
        objective - weights.correction * terms.correction - weights.costs * (temps + terms.latency)
    )
    return total, objective - weights.correction * lever_moved - weights.costs * temps


def corrections(
    asked: Setpoints, allowed: Setpoints, limits: Limits
) -> tuple[FloatArray, FloatArray]:
    """Return how far the shield moved caps ``[..., N]`` and levers ``[..., K]``, in ranges."""
    caps = moved_ratio(
        asked=asked.power_cap_w,
        allowed=allowed.power_cap_w,
        low=limits.power_cap_min_w,
        high=limits.power_cap_max_w,
    )
    levers = moved_ratio(
        asked=asked.plant, allowed=allowed.plant, low=limits.lever_low, high=limits.lever_high
    )
    return np.asarray(caps), np.asarray(levers)


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

    group_hot = heat_cost(after.group("gpu_temp_c"), after.group("hbm_temp_c"), limits)
    group_late = latency_cost(after.group("latency_ratio"))
    inlet = excess(after.of_plant("inlet_temp_max_c"), limits.inlet_temp_max_c) / EXCESS_SCALE_K
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
    total, plant = site_rewards(
        work_value=work_value,
        terms=SimpleNamespace(**terms, **costs),
        lever_moved=lever_moved.sum(axis=-1),
        weights=weights,
    )
    return Reward(
        total=total,
        groups=group_reward(
            work_value=work_value[..., None],
            work=group_work,
            energy=group_energy,
            moved=cap_moved,
            hot=group_hot,
            late=group_late,
            weights=weights,
        ),
        plant=plant,
        terms=terms,
        costs=costs,
    )
