"""The state of the site as a whole as fields of the log."""

import dataclasses

import numpy as np

from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.telemetry_log.fleet_sums import spread_over_groups
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import PLANT_COLUMN
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.fallback import NEEDED_PLANT_SIGNALS

_NEEDED = [PLANT_COLUMN[name] for name in NEEDED_PLANT_SIGNALS]


def only_valid(state: LoopState) -> Telemetry:
    """Return the telemetry without readings that are too old or out of their range."""
    telemetry, age_max_s = state.telemetry, state.limits.telemetry_age_max_s
    groups_valid = telemetry.groups_valid(age_max_s=age_max_s)
    plant_valid = telemetry.plant_valid(age_max_s=age_max_s)
    return dataclasses.replace(
        telemetry,
        groups=np.where(groups_valid, telemetry.groups, np.nan),
        plant=np.where(plant_valid, telemetry.plant, np.nan),
    )


def _lowest(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else float("nan")


def _caps_w(state: LoopState, layout: Layout) -> FloatArray:
    """Return caps in force; where they are unknown a GPU may draw its maximum."""
    caps_w = state.in_force.power_cap_w
    return np.where(np.isfinite(caps_w), caps_w, layout.power_limit_max_w)


def facility_fields(state: LoopState, layout: Layout) -> dict[str, float]:
    """Return the fields of ``facility`` beside its meters."""
    telemetry, limits = state.telemetry, state.limits
    inlet_max_c = float(telemetry.of_plant("inlet_temp_max_c"))
    margins_k = np.stack(
        [
            limits.gpu_temp_max_c - telemetry.group("gpu_temp_c"),
            limits.hbm_temp_max_c - telemetry.group("hbm_temp_c"),
        ]
    )
    caps_w = _caps_w(state, layout)
    bound_w = layout.gpu_count * caps_w + other_power_w(telemetry, layout)
    ages_s = np.concatenate([telemetry.groups_age_s, telemetry.plant_age_s[_NEEDED]])
    finite_s = ages_s[np.isfinite(ages_s)]
    return {
        "it_power_w": float(telemetry.of_plant("it_power_w")),
        "facility_power_w": float(telemetry.of_plant("facility_power_w")),
        "it_power_bound_w": float(bound_w.sum()),
        "inlet_temp_max_c": inlet_max_c,
        "inlet_temp_limit_c": limits.inlet_temp_max_c,
        "inlet_margin_k": limits.inlet_temp_max_c - inlet_max_c,
        "gpu_temp_margin_k": _lowest(margins_k),
        "telemetry_age_max_s": float(finite_s.max()) if finite_s.size else float("nan"),
        "group_count": float(layout.group_count),
        "group_stale_count": float(np.count_nonzero(~state.verdict.groups)),
        **spread_over_groups(telemetry.groups, layout),
    }


def budget_fields(state: LoopState, layout: Layout) -> dict[str, dict[str, float]]:
    """Return the fields of ``budget`` for each budget by name."""
    telemetry, limits = state.telemetry, state.limits
    members = limits.budget_members.astype(np.float64)
    it_power_w = telemetry.group("it_power_w")
    other_w = other_power_w(telemetry, layout)
    bounds_w = worst_case_power_w(_caps_w(state, layout), other_w, layout, limits)
    found: dict[str, dict[str, float]] = {}
    for b, name in enumerate(limits.budget_names):
        # A member that is not known makes the sum unknown, not smaller.
        power_w = float(it_power_w[limits.budget_members[b]].sum())
        budget_w = float(limits.budget_w[b])
        found[name] = {
            "budget_w": budget_w,
            "power_w": power_w,
            "power_bound_w": float(bounds_w[b]) if members[b].any() else 0.0,
            "margin_w": budget_w - power_w,
        }
    return found
