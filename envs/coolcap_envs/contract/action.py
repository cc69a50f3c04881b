"""Actions: bounded corrections of the feedback rule's setpoints, and their only decoder.

An action lies in [-1, 1]; +1 raises a cap by ``CAP_RESIDUAL_RATIO``, a lever of the plant by
``PLANT_RESIDUAL_RATIO`` of its allowed range above the rule's value, 0 is the rule itself. N is
the number of groups, leading batch axes are ``...``.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.elementwise import Numbers, clip
from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.limits import Limits

CAP_RESIDUAL_RATIO: Final = 0.6
"""Share of a cap's range a policy may deviate from the rule, either way.

Twice that of cooling: a cap that is too low costs work and endangers nothing, and half the range
does not reach from the rule, which gives up little work, to where energy per work is least.
"""
PLANT_RESIDUAL_RATIO: Final = 0.3
"""The same for levers of the plant.

A bound of 0.3 kept a residual policy safe under strong plant mismatch while it could still gain
all of the reachable saving; see docs/explanation/policy.md.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a policy asks, each in [-1, 1].

    Attributes:
        groups: Shape ``[..., N, len(GROUP_LEVERS)]``.
        plant: Shape ``[..., len(PLANT_LEVERS)]``.
        novelty: How far groups, and last the plant, lie from what the policy was trained on,
            shape ``[..., N + 1]``; 1 is the edge. None from policies that do not learn.
    """

    groups: FloatArray
    plant: FloatArray
    novelty: FloatArray | None = None

    @classmethod
    def neutral(cls, *shape: int) -> "Action":
        """Return the action that keeps the rule; ``shape`` is the batch shape followed by N."""
        return cls(
            groups=np.zeros((*shape, len(GROUP_LEVERS))),
            plant=np.zeros((*shape[:-1], len(PLANT_LEVERS))),
        )


def moved_setpoint(
    action: Numbers, baseline: Numbers, low: Numbers, high: Numbers, residual_ratio: float
) -> Numbers:
    """Return a lever's setpoint: the rule's, moved by an action, within the lever's range."""
    residual = clip(action, -1.0, 1.0) * residual_ratio
    return clip(baseline + residual * (high - low), low, high)


def decode(action: Action, baseline: Setpoints, limits: Limits) -> Setpoints:
    """Turn an action into setpoints around those of the rule.

    Out-of-range components count as -1 or 1. A lever the rule does not command (NaN) stays
    uncommanded. Non-finite components are passed on as NaN, for the shield to refuse.
    """
    faster = clip(action.groups[..., 1], -1.0, 1.0) * CAP_RESIDUAL_RATIO
    return Setpoints(
        power_cap_w=moved_setpoint(
            action=action.groups[..., 0],
            baseline=baseline.power_cap_w,
            low=limits.power_cap_min_w,
            high=limits.power_cap_max_w,
            residual_ratio=CAP_RESIDUAL_RATIO,
        ),
        sm_clock_max_mhz=baseline.sm_clock_max_mhz * (1.0 + faster),
        plant=moved_setpoint(
            action=action.plant,
            baseline=baseline.plant,
            low=limits.lever_low,
            high=limits.lever_high,
            residual_ratio=PLANT_RESIDUAL_RATIO,
        ),
    )


def encode(setpoints: Setpoints, baseline: Setpoints, limits: Limits) -> Action:
    """Return the action that :func:`decode` turns into ``setpoints``, clipped to [-1, 1].

    Levers that are not commanded give 0.
    """
    span_w = limits.power_cap_max_w - limits.power_cap_min_w
    cap = (setpoints.power_cap_w - baseline.power_cap_w) / (CAP_RESIDUAL_RATIO * span_w)
    clock = (setpoints.sm_clock_max_mhz / baseline.sm_clock_max_mhz - 1.0) / CAP_RESIDUAL_RATIO
    span = limits.lever_high - limits.lever_low
    plant = (setpoints.plant - baseline.plant) / (PLANT_RESIDUAL_RATIO * span)
    groups = np.stack([cap, clock], axis=-1)
    return Action(
        groups=np.clip(np.nan_to_num(groups, nan=0.0), -1.0, 1.0),
        plant=np.clip(np.nan_to_num(plant, nan=0.0), -1.0, 1.0),
    )
