"""What the temperature of GPUs demands of the levers of liquid cooling.

Where coolant cools the racks, inlets say nothing of the GPUs. The elementwise law is for arrays or
compiled, like those of :mod:`coolcap_envs.safety.shield`, which calls it.
"""

from typing import Final

import numpy as np

from coolcap_envs.contract.elementwise import (
    Numbers,
    Truth,
    absolute,
    higher_of,
    is_nan,
    negated,
    where,
)
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.signals import GROUP_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

COOLANT: Final = (
    PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"],
    PLANT_LEVER_COLUMN["cdu_flow_setpoint_ratio"],
)
"""Levers that cool GPUs directly."""
_UNCHANGED: Final = 1e-9


def coolant_lever(
    asked: Numbers,
    now: Numbers,
    low: Numbers,
    high: Numbers,
    cooling: Numbers,
    gpu_margin_k: Numbers,
    hold_k: Numbers,
) -> tuple[Numbers, Truth]:
    """Return what may be asked of a lever that cools GPUs, and whether that is something else.

    Near the limit of the hottest GPU coolant is made no warmer and flows no slower; beyond it the
    lever goes to its coldest. Range, dew point and slew are judged afterwards.

    Args:
        asked: Asked setpoint.
        now: Setpoint in force.
        low: Lowest allowed, NaN if the site lacks the lever.
        high: Highest allowed.
        cooling: 1 if a higher value cools more, -1 otherwise.
        gpu_margin_k: Distance of the hottest GPU or memory to its limit, 0 if unknown.
        hold_k: Distance below which it may not warm.
    """
    is_present = negated(is_nan(low))
    is_near = is_present & (gpu_margin_k < hold_k)
    is_beyond = is_present & (gpu_margin_k < 0.0)
    held = cooling * higher_of(cooling * asked, cooling * now)
    value = where(is_near, held, asked)
    value = where(is_beyond, where(cooling > 0.0, high, low), value)
    return value, is_near & (absolute(value - asked) > _UNCHANGED)


def hottest_margin_k(telemetry: Telemetry, limits: Limits) -> FloatArray:
    """Return the distance of the hottest GPU or memory to its limit, shape ``[...]``; 0 if unknown.

    Of groups that are silent nothing is known: the others stand for them, for all share one coolant
    and the levers are coarse.
    """
    valid = telemetry.groups_valid(age_max_s=limits.telemetry_age_max_s)
    margin_k = np.fmin(
        limits.gpu_temp_max_c - telemetry.group("gpu_temp_c"),
        limits.hbm_temp_max_c - telemetry.group("hbm_temp_c"),
    )
    known = valid[..., GROUP_COLUMN["gpu_temp_c"]]
    least_k = np.where(known, margin_k, np.inf).min(axis=-1)
    return np.where(known.any(axis=-1), least_k, 0.0)


def colder_coolant(
    asked: FloatArray, now: FloatArray, telemetry: Telemetry, limits: Limits, *, hold_k: float
) -> tuple[FloatArray, BoolArray]:
    """Return asked setpoints with those of coolant made colder where GPUs need it.

    Args:
        asked: Asked setpoints of all plant levers, shape ``[..., K]``.
        now: Those in force, the same shape.
        telemetry: Newest readings.
        limits: The site's limits.
        hold_k: Distance of the hottest GPU to its limit below which coolant may not get warmer.
    """
    changed = np.zeros(asked.shape, dtype=bool)
    if np.isnan(limits.lever_low[list(COOLANT)]).all():
        return asked, changed
    colder = asked.copy()
    margin_k = hottest_margin_k(telemetry, limits)
    for column in COOLANT:
        colder[..., column], changed[..., column] = coolant_lever(
            asked=asked[..., column],
            now=now[..., column],
            low=limits.lever_low[column],
            high=limits.lever_high[column],
            cooling=1.0 if PLANT_LEVERS[column].cools_upward else -1.0,
            gpu_margin_k=margin_k,
            hold_k=hold_k,
        )
    return colder, changed
