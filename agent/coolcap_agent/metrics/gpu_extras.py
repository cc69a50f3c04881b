"""What metrics of a GPU show beside its reading."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuExtras:
    """NaN where there is nothing to show.

    Attributes:
        xid: Number of the newest critical event of the device.
        thermal_ceiling_w: Highest cap the thermal guard allows now.
    """

    xid: float = math.nan
    thermal_ceiling_w: float = math.nan
