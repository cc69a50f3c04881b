"""A decision as fields of the log."""

import numpy as np

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.telemetry_log.schema import REASON_NAMES
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.shield import REASON_TEXT


def _mean(values: FloatArray | None) -> float:
    if values is None or not np.isfinite(values).any():
        return float("nan")
    return float(np.nanmean(values))


def decision_fields(record: DecisionRecord) -> dict[str, float]:
    """Return the fields of ``decision``; NaN where there is nothing."""
    shielded = record.shielded
    fields = {
        "latency_s": record.latency_s,
        "policy_latency_s": record.policy_latency_s,
        "groups_fit_count": float(record.groups_fit.sum()),
        "refusal_count": float(len(record.applied.refusals)),
        "power_cap_in_force_mean_w": _mean(record.in_force.power_cap_w),
        "power_cap_baseline_mean_w": _mean(record.baseline.power_cap_w),
        "power_cap_policy_mean_w": _mean(record.asked.power_cap_w if record.asked else None),
        "power_cap_shielded_mean_w": _mean(shielded.setpoints.power_cap_w),
        "power_cap_commanded_mean_w": _mean(record.commanded.power_cap_w),
    }
    for name, bit in zip(REASON_NAMES, REASON_TEXT, strict=True):
        of_groups = np.count_nonzero(shielded.group_reasons & bit)
        fields[f"group_reason_{name}_count"] = float(of_groups)
        of_levers = np.count_nonzero(shielded.plant_reasons & bit)
        fields[f"lever_reason_{name}_count"] = float(of_levers)
    return fields


def cap_steps(record: DecisionRecord) -> FloatArray:
    """Return the steps of each group's cap, one row per group, columns as ``STEP_NAMES``."""
    asked = record.asked
    nothing = np.full_like(record.baseline.power_cap_w, np.nan)
    return np.column_stack(
        [
            record.in_force.power_cap_w,
            record.baseline.power_cap_w,
            nothing if asked is None else asked.power_cap_w,
            record.shielded.setpoints.power_cap_w,
            record.commanded.power_cap_w,
            record.applied.setpoints.power_cap_w,
            record.shielded.group_reasons.astype(np.float64),
        ]
    )


def lever_steps(record: DecisionRecord) -> FloatArray:
    """Return the steps of each plant lever, one row per lever, columns as ``STEP_NAMES``."""
    asked = record.asked
    nothing = np.full_like(record.baseline.plant, np.nan)
    return np.column_stack(
        [
            record.in_force.plant,
            record.baseline.plant,
            nothing if asked is None else asked.plant,
            record.shielded.setpoints.plant,
            record.commanded.plant,
            record.applied.setpoints.plant,
            record.shielded.plant_reasons.astype(np.float64),
        ]
    )
