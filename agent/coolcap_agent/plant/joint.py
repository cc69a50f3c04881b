"""Joint limits: setpoints that depend on what is measured elsewhere.

In ``[limits.joint]``, each key optional::

    dew_point_margin_k = 2.0            # coolant to cold plates stays this far above the dew point
    wet_bulb_margin_k = 2.0             # and the tower's water this far above the wet bulb
    dew_point_assumed_c = 17.0          # counts while the dew point is not known
    wet_bulb_assumed_c = 26.0

Without an assumed value a setpoint whose reading is not known may rise and not fall.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import Table

MARGIN_K: Final = 2.0
"""ASHRAE TC 9.9, liquid cooling guidelines: coolant at least 2 K above the room's dew point. The
same for towers, whose approach is hardly ever smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLimit:
    """A setpoint stays ``margin_k`` above a reading; ``assumed_c`` is NaN without one.

    Attributes:
        lever: The setpoint.
        signal: The reading.
        what: The reading in words.
        margin_k: Least distance.
        assumed_c: What counts while the reading is not known.
    """

    lever: str
    signal: str
    what: str
    margin_k: float
    assumed_c: float

    def low_c(self, readings: Mapping[str, float]) -> float:
        """Return the lowest value the setpoint may have now, NaN if that is not known.

        Args:
            readings: Trusted readings by signal; absent or NaN where there is none.
        """
        reading = readings.get(self.signal, math.nan)
        return (reading if math.isfinite(reading) else self.assumed_c) + self.margin_k


_KINDS: Final = (
    ("cdu_supply_temp_setpoint_c", "dew_point_c", "the hall's dew point", "dew_point"),
    ("cw_supply_temp_setpoint_c", "wet_bulb_temp_c", "the wet bulb", "wet_bulb"),
)


def read_joint_limits(table: Table) -> Mapping[str, JointLimit]:
    """Read ``[limits.joint]``, by lever; problems are collected in ``table.problems``."""
    limits = {}
    for lever, signal, what, key in _KINDS:
        assumed_c = math.nan
        if table.has(f"{key}_assumed_c"):
            assumed_c = table.take_float(f"{key}_assumed_c", low=-20.0, high=45.0, unit="°C")
        margin_k = table.take_float(
            f"{key}_margin_k", low=0.0, high=20.0, unit="K", default=MARGIN_K
        )
        limits[lever] = JointLimit(
            lever=lever, signal=signal, what=what, margin_k=margin_k, assumed_c=assumed_c
        )
    table.finish()
    return limits
