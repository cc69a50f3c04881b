"""What the devices hold now: measured, or read back since it was last measured."""

import numpy as np

from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry

_LEVER_COUNT = len(PLANT_LEVERS)


class InForce:
    """Keeps what was commanded and read back, and weighs it against telemetry.

    Args:
        group_count: Number of control groups.
    """

    def __init__(self, group_count: int) -> None:
        self._group_count = group_count
        self.forget()

    @property
    def commanded(self) -> Setpoints:
        """Return what was last sent per lever; NaN where nothing was."""
        return self._commanded

    def forget(self) -> None:
        """Forget all commands: the agents restore what was there before them."""
        self._commanded = Setpoints.none(self._group_count)
        self._read_back = Setpoints.none(self._group_count)
        self._time_s = -np.inf

    def note(self, sent: Setpoints, applied: Applied, *, time_s: float) -> None:
        """Note a command that answered telemetry of site time ``time_s``."""
        self._commanded = merged(sent, self._commanded)
        self._read_back = merged(applied.setpoints, self._read_back)
        self._time_s = time_s

    def at(self, telemetry: Telemetry) -> Setpoints:
        """Return what is in force; NaN where nobody knows."""
        time_s = float(telemetry.time_s)
        old_cap = time_s - telemetry.groups_age_s <= self._time_s
        old_lever = time_s - telemetry.plant_age_s[:_LEVER_COUNT] <= self._time_s
        back = self._read_back
        return Setpoints(
            power_cap_w=_newest(telemetry.group("power_limit_w"), back.power_cap_w, old_cap),
            sm_clock_max_mhz=back.sm_clock_max_mhz,
            plant=_newest(telemetry.plant[:_LEVER_COUNT], back.plant, old_lever),
        )


def _newest(measured: FloatArray, read_back: FloatArray, old: BoolArray) -> FloatArray:
    use = np.isnan(measured) | (old & ~np.isnan(read_back))
    return np.where(use, read_back, measured)


def merged(newer: Setpoints, older: Setpoints) -> Setpoints:
    """Return ``newer``, with ``older`` where it is NaN."""

    def pick(new: FloatArray, old: FloatArray) -> FloatArray:
        return np.where(np.isnan(new), old, new)

    return Setpoints(
        power_cap_w=pick(newer.power_cap_w, older.power_cap_w),
        sm_clock_max_mhz=pick(newer.sm_clock_max_mhz, older.sm_clock_max_mhz),
        plant=pick(newer.plant, older.plant),
    )
