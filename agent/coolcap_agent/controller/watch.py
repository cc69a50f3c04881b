"""Watches for the hall staying too hot although everything was done: then control hands back."""

import numpy as np

from coolcap_envs.contract.signals import PLANT_COLUMN
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.limits import Limits

_INLET = PLANT_COLUMN["inlet_temp_max_c"]


class OverheatWatch:
    """Says when the hottest inlet has been too far above its limit for too long.

    Well before that the shield has lowered caps and moved every lever towards more cooling. If
    that does not help, this control is not what keeps the hall safe, and may be what harms it.

    Args:
        over_k: How far above the limit.
        after_s: How long, site time.
    """

    def __init__(self, *, over_k: float, after_s: float) -> None:
        self._over_k = over_k
        self._after_s = after_s
        self._since_s: float | None = None

    def reset(self) -> None:
        """Start anew."""
        self._since_s = None

    def look(self, telemetry: Telemetry, limits: Limits) -> str:
        """Return why control must hand back, empty if it need not.

        A missing or old reading neither starts nor ends the count.
        """
        if not telemetry.plant_valid(age_max_s=limits.telemetry_age_max_s)[_INLET]:
            return ""
        now_s, inlet_c = float(telemetry.time_s), float(telemetry.plant[_INLET])
        bound_c = limits.inlet_temp_max_c + self._over_k
        if not inlet_c > bound_c:
            self.reset()
            return ""
        if self._since_s is None:
            self._since_s = now_s
        lasted_s = now_s - self._since_s
        if lasted_s < self._after_s:
            return ""
        return (
            f"the hottest inlet has been above {np.round(bound_c, 2):g} °C for {lasted_s:.0f} s "
            f"(limit {limits.inlet_temp_max_c:g} °C, trip_over_k {self._over_k:g} K, trip_after_s "
            f"{self._after_s:g} s), now {inlet_c:.1f} °C: cooling is "
            "handed back, caps stay low until a person resets or releases"
        )
