"""Telemetry: what was measured, when, and whether it may be used.

Arrays have optional leading batch axes, written ``...``; N is the number of control groups.
NaN means "not measured". Time is seconds since 1970-01-01 UTC on the site's clock.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.signals import (
    GROUP_COLUMN,
    GROUP_SIGNALS,
    PLANT_COLUMN,
    PLANT_SIGNALS,
    Signal,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_GROUP_LOW = np.array([s.low for s in GROUP_SIGNALS])
_GROUP_HIGH = np.array([s.high for s in GROUP_SIGNALS])
_PLANT_LOW = np.array([s.low for s in PLANT_SIGNALS])
_PLANT_HIGH = np.array([s.high for s in PLANT_SIGNALS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """One snapshot of a site.

    Attributes:
        time_s: Instant the snapshot stands for, shape ``[...]``.
        groups: Readings per control group, shape ``[..., N, len(GROUP_SIGNALS)]``.
        plant: Readings of the plant, shape ``[..., len(PLANT_SIGNALS)]``.
        groups_age_s: Age of each group's readings at ``time_s``, shape ``[..., N]``.
        plant_age_s: Age of each plant reading at ``time_s``, shape ``[..., len(PLANT_SIGNALS)]``.
    """

    time_s: FloatArray
    groups: FloatArray
    plant: FloatArray
    groups_age_s: FloatArray
    plant_age_s: FloatArray

    def group(self, name: str) -> FloatArray:
        """Return one group signal, shape ``[..., N]``."""
        return self.groups[..., GROUP_COLUMN[name]]

    def of_plant(self, name: str) -> FloatArray:
        """Return one plant signal, shape ``[...]``."""
        return self.plant[..., PLANT_COLUMN[name]]

    def groups_valid(self, *, age_max_s: float) -> BoolArray:
        """Return which group readings are finite, in range and fresh, shape of ``groups``."""
        in_range = (self.groups >= _GROUP_LOW) & (self.groups <= _GROUP_HIGH)
        return in_range & (self.groups_age_s <= age_max_s)[..., None]

    def plant_valid(self, *, age_max_s: float) -> BoolArray:
        """Return which plant readings are finite, in range and fresh, shape of ``plant``."""
        in_range = (self.plant >= _PLANT_LOW) & (self.plant <= _PLANT_HIGH)
        return in_range & (self.plant_age_s <= age_max_s)


def reading_problem(
    signal: Signal, value: float, *, of: str, age_s: float, age_max_s: float
) -> str | None:
    """Say why a reading may not be used, or return None if it may."""
    allowed = f"{signal.low:g} to {signal.high:g} {signal.unit} (signal table)"
    if np.isnan(value):
        return f"{signal.name} of {of} is missing or NaN; allowed {allowed}"
    if not signal.low <= value <= signal.high:
        return f"{signal.name} {value:g} {signal.unit} of {of} is outside {allowed}"
    if age_s > age_max_s:
        return f"{signal.name} of {of} is {age_s:.1f} s old; at most {age_max_s:g} s (site limits)"
    return None
