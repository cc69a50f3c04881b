"""What cannot wait for the next decision: budgets, temperatures, and values people just took."""

from typing import Final

import numpy as np

from coolcap_agent.controller.decisions import Actor
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import Reason, Shielded

GUARD_STEP_W: Final = 0.5
"""Smallest fall of a cap the guard commands: what devices round to anyway."""

_GUARD_CAP: Final = int(Reason.BUDGET | Reason.GPU_TEMP | Reason.INLET_TEMP)
_GUARD_PLANT: Final = int(Reason.INLET_TEMP | Reason.DEW_POINT)


def urgent(
    shielded: Shielded, *, in_force: Setpoints, taken: Setpoints
) -> tuple[Actor, Setpoints] | None:
    """Return who acts between two decisions and what is sent, None if nothing has to be.

    Args:
        shielded: What is in force, with values people just took, after the shield.
        in_force: What the devices hold.
        taken: The values people just took, NaN elsewhere.
    """
    cap_w, plant = shielded.setpoints.power_cap_w, shielded.setpoints.plant
    known_w = np.where(np.isnan(in_force.power_cap_w), np.inf, in_force.power_cap_w)
    lower = (shielded.group_reasons & _GUARD_CAP != 0) & (cap_w < known_w - GUARD_STEP_W)
    cool = shielded.plant_reasons & _GUARD_PLANT != 0
    caps, levers = lower | ~np.isnan(taken.power_cap_w), cool | ~np.isnan(taken.plant)
    if not caps.any() and not levers.any():
        return None
    actor = Actor.GUARD if lower.any() or cool.any() else Actor.OVERRIDE
    return actor, Setpoints(
        power_cap_w=np.where(caps, cap_w, np.nan),
        sm_clock_max_mhz=np.full_like(cap_w, np.nan),
        plant=np.where(levers, plant, np.nan),
    )


def short_budgets(
    shielded: Shielded, telemetry: Telemetry, layout: Layout, limits: Limits
) -> tuple[str, ...]:
    """Return the budgets that cannot be kept even with every cap at its lowest."""
    if not np.any(shielded.group_reasons & int(Reason.BUDGET_TOO_SMALL)):
        return ()
    caps_w = shielded.setpoints.power_cap_w
    worst_w = worst_case_power_w(caps_w, other_power_w(telemetry, layout), layout, limits)
    over = worst_w > limits.budget_w
    return tuple(np.array(limits.budget_names)[over].tolist())
