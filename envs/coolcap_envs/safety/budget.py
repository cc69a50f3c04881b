"""The allocator: caps that meet every power budget, whatever was asked.

A budget holds worst-case power: what GPUs may draw under their caps, plus the measured power of
everything else in the servers, plus a margin. Predicted utilisation plays no part, so a wrong
model cannot break a budget.
"""

from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

OTHER_POWER_MAX_RATIO: Final = 0.82
"""Non-GPU power of a server over its GPUs' rated power, taken when it is not measured.
DGX H100: 10.2 kW rated with 8 GPUs of 700 W (NVIDIA DGX H100 User Guide)."""


def other_power_w(telemetry: Telemetry, layout: Layout) -> FloatArray:
    """Return each group's IT power beside its GPUs, shape ``[..., N]``; the worst if unknown."""
    gpus_w = layout.gpu_count * telemetry.group("gpu_power_w")
    measured = telemetry.group("it_power_w") - gpus_w
    worst = OTHER_POWER_MAX_RATIO * layout.gpu_count * layout.power_limit_max_w
    return np.where(np.isnan(measured), worst, np.clip(measured, 0.0, worst))


def worst_case_power_w(
    power_cap_w: FloatArray, other_w: FloatArray, layout: Layout, limits: Limits
) -> FloatArray:
    """Return the IT power each budget must carry at worst, shape ``[..., number of budgets]``."""
    power_w = (layout.gpu_count * power_cap_w + other_w) * (1.0 + limits.power_margin_ratio)
    return power_w @ limits.budget_members.T.astype(np.float64)


def allocate(
    power_cap_w: FloatArray, other_w: FloatArray, layout: Layout, limits: Limits
) -> tuple[FloatArray, BoolArray]:
    """Lower caps until every budget holds.

    Within a budget the lowest priority gives first, each group in proportion to what it asks
    above its floor. Budgets are met one after the other; since caps only fall, those met before
    stay met, nested or overlapping.

    Args:
        power_cap_w: Asked caps, at or above the floors, shape ``[..., N]``.
        other_w: From :func:`other_power_w`, shape ``[..., N]``.
        layout: The site's layout.
        limits: The site's limits.

    Returns:
        The caps, and which budgets cannot be met even at the floors (``[..., number of budgets]``).
    """
    caps = power_cap_w
    floor = limits.power_cap_min_w
    margin = 1.0 + limits.power_margin_ratio
    for b, budget_w in enumerate(limits.budget_w):
        members = limits.budget_members[b]
        for priority in np.unique(layout.priority[members]):
            load_w = ((layout.gpu_count * caps + other_w) * margin * members).sum(axis=-1)
            excess_w = load_w - budget_w
            if not np.any(excess_w > 0.0):
                break
            giving = members & (layout.priority == priority)
            above_w = np.where(giving, layout.gpu_count * np.maximum(caps - floor, 0.0), 0.0)
            slack_w = np.maximum(above_w.sum(axis=-1) * margin, 1e-9)
            keep = 1.0 - np.clip(excess_w / slack_w, 0.0, 1.0)
            lowered = floor + keep[..., None] * (caps - floor)
            caps = np.where(giving & (caps > floor), lowered, caps)
    over = worst_case_power_w(caps, other_w, layout, limits) > limits.budget_w * (1.0 + 1e-9)
    return caps, np.asarray(over)
