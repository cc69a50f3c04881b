"""The constraint that sets a value: of all that changed it, the one that had the last word."""

from typing import Final

import numpy as np

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_envs.contract.layout import Layout
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.shield import Reason

LAST_WORD: Final = (
    Reason.BUDGET_TOO_SMALL,
    Reason.BUDGET,
    Reason.SLEW,
    Reason.DEW_POINT,
    Reason.WET_BULB,
    Reason.INLET_TEMP,
    Reason.GPU_TEMP,
    Reason.STALE,
    Reason.RANGE,
    Reason.NOT_FINITE,
)
"""The shield's checks, the last one first."""


def binding(bits: int) -> str:
    """Return the code of the reason that had the last word; empty if nothing changed the value."""
    return next((str(reason.name).lower() for reason in LAST_WORD if bits & reason), "")


def tightest_budget(record: DecisionRecord, layout: Layout, n: int) -> tuple[str, float] | None:
    """Return the budget over group ``n`` that is used up most, and its share in use.

    None if there is no budget over the group.
    """
    limits = record.limits
    over = np.flatnonzero(limits.budget_members[:, n]) if limits.budget_names else np.array([])
    if not over.size:
        return None
    caps_w = record.shielded.setpoints.power_cap_w
    other_w = other_power_w(record.telemetry, layout)
    use = worst_case_power_w(caps_w, other_w, layout, limits) / limits.budget_w
    index = int(over[np.argmax(use[over])])
    return limits.budget_names[index], float(use[index])
