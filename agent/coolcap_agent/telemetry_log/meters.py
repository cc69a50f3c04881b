"""Meters of the log: energy, water, carbon, cost and work since the start, and apart per mode."""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from coolcap_agent.controller.modes import Mode
from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.telemetry import Telemetry

_NAMES = tuple(field.name for field in fields(Totals))


def as_fields(totals: Totals) -> dict[str, float]:
    """Return totals by the names of the schema, which are their own."""
    return {name: getattr(totals, name) for name in _NAMES}


class ModeMeters:
    """One meter over all, and what of it fell into each mode.

    Args:
        gpu_count: GPUs of each group; None leaves out what needs them.
    """

    def __init__(self, gpu_count: NDArray[np.int64] | None = None) -> None:
        self._meter = WindowMeter(gpu_count)
        self._mode: Mode | None = None
        self.by_mode: dict[Mode, Totals] = {}

    @property
    def totals(self) -> Totals:
        """Return the totals over all modes."""
        return self._meter.totals

    def add(self, telemetry: Telemetry, mode: Mode) -> None:
        """Take in the next snapshot; what was used since the last counts for the mode then."""
        before = as_fields(self._meter.totals)
        self._meter.add(telemetry)
        used = {name: now - before[name] for name, now in as_fields(self._meter.totals).items()}
        if self._mode is not None:
            self.by_mode[self._mode] = self.by_mode.get(self._mode, Totals()) + Totals(**used)
        self._mode = mode
