"""What really happened in a simulated hall: totals, violations, extremes, to judge control by."""

import math
from dataclasses import asdict
from typing import Final

import numpy as np

from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.telemetry import BoolArray, Telemetry
from coolcap_envs.safety.limits import Limits

S_PER_MIN: Final = 60.0
LATENCY: Final = "latency"


class GroundTruth:
    """Adds up one run from the plant's true state, which no sensor fault touches.

    A violation counts for a whole period if the limit is exceeded at its end; lateness counts for
    the share of the groups that are late.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._meter = WindowMeter()
        self._time_s: float | None = None
        kinds = ("inlet_temp", "gpu_temp", "hbm_temp", LATENCY)
        budgets = tuple(f"budget:{name}" for name in limits.budget_names)
        self._violation_s = dict.fromkeys((*kinds, *budgets), 0.0)
        self._highest: dict[str, float] = {}

    @property
    def totals(self) -> Totals:
        """Return the totals since the first snapshot."""
        return self._meter.totals

    @property
    def violation_min(self) -> dict[str, float]:
        """Return minutes above each limit since the first snapshot."""
        return {kind: s / S_PER_MIN for kind, s in self._violation_s.items()}

    def add(self, telemetry: Telemetry) -> None:
        """Take in the state at the end of a period; the first call marks the start."""
        self._meter.add(telemetry)
        time_s = float(telemetry.time_s)
        elapsed_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        for kind, share in self._exceeded(telemetry).items():
            self._violation_s[kind] += elapsed_s * share
        extremes = {
            "inlet_temp_max_c": _highest(telemetry.group("inlet_temp_c")),
            "gpu_temp_max_c": _highest(telemetry.group("gpu_temp_c")),
            "hbm_temp_max_c": _highest(telemetry.group("hbm_temp_c")),
            "it_power_max_w": float(np.nansum(telemetry.group("it_power_w"))),
        }
        for name, value in extremes.items():
            self._highest[name] = max(value, self._highest.get(name, -math.inf))

    def as_dict(self) -> dict[str, object]:
        """Return totals, the ratios defined on them, minutes of violation, and extremes."""
        totals = self.totals
        return {
            "totals": asdict(totals),
            "pue": _or_none(totals.pue),
            "wue_l_per_kwh": _or_none(totals.wue_l_per_kwh),
            "cue_kg_per_kwh": _or_none(totals.cue_kg_per_kwh),
            "energy_per_work_kwh_per_gpu_h": _or_none(totals.energy_per_work_kwh_per_gpu_h),
            "violation_min": self.violation_min,
            "extremes": {name: _or_none(value) for name, value in self._highest.items()},
        }

    def _exceeded(self, telemetry: Telemetry) -> dict[str, float]:
        limits = self._limits
        inlet_c = telemetry.group("inlet_temp_c")
        exceeded = {
            "inlet_temp": float((inlet_c > limits.inlet_temp_max_c).any()),
            "gpu_temp": float((telemetry.group("gpu_temp_c") > limits.gpu_temp_max_c).any()),
            "hbm_temp": float((telemetry.group("hbm_temp_c") > limits.hbm_temp_max_c).any()),
            LATENCY: float((telemetry.group("latency_ratio") > 1.0).mean()),
        }
        power_w = np.nan_to_num(telemetry.group("it_power_w"))
        over: BoolArray = limits.budget_members @ power_w > limits.budget_w
        for name, is_over in zip(limits.budget_names, over.tolist(), strict=True):
            exceeded[f"budget:{name}"] = float(is_over)
        return exceeded


def _highest(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else -math.inf


def _or_none(value: float) -> float | None:
    """Return ``value`` as JSON can hold it."""
    return value if math.isfinite(value) else None
