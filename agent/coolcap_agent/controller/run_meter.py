"""Meters since the start of the controller, and powers of the moment, for the status."""

from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.budget import other_power_w

_COOLING = ("crah_fan_power_w", "chiller_power_w", "pump_power_w", "tower_fan_power_w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Meters over one stated window of site time, end exclusive."""

    start_time_s: float
    end_time_s: float
    totals: Totals


class RunMeter:
    """Adds up from the first snapshot on."""

    def __init__(self) -> None:
        self._meter = WindowMeter()
        self._window: Window | None = None

    @property
    def window(self) -> Window | None:
        """Return the meters so far; None before any snapshot."""
        return self._window

    def add(self, telemetry: Telemetry) -> None:
        """Take in the next snapshot."""
        now_s = float(telemetry.time_s)
        if self._window is not None and now_s <= self._window.end_time_s:
            return
        self._meter.add(telemetry)
        start_s = now_s if self._window is None else self._window.start_time_s
        self._window = Window(start_time_s=start_s, end_time_s=now_s, totals=self._meter.totals)


def cooling_power_w(telemetry: Telemetry) -> float:
    """Return the power of fans, compressors and pumps outside the IT equipment; NaN if unknown."""
    return float(sum(float(telemetry.of_plant(name)) for name in _COOLING))


def caps_at_worst_w(telemetry: Telemetry, layout: Layout) -> FloatArray:
    """Return the limit each group's GPUs are held to, the device's highest where unknown."""
    limit_w = telemetry.group("power_limit_w")
    return np.where(np.isnan(limit_w), layout.power_limit_max_w, limit_w)


def power_bound_w(telemetry: Telemetry, layout: Layout) -> float:
    """Return the most the IT equipment can draw under the limits in force."""
    gpus_w = layout.gpu_count * caps_at_worst_w(telemetry, layout)
    return float(np.sum(gpus_w + other_power_w(telemetry, layout)))
