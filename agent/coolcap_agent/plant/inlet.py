"""How fast and how high the hottest server inlet goes, over sliding windows.

In ``[limits.inlet]``; without the table the inlet is not watched here::

    high_c = 32.0                       # above it control is handed back, and a person must reset
    change_15min_max_k = 5.0
    change_60min_max_k = 20.0
    unknown_max_s = 300.0               # so long without a trusted reading, control is handed back
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import Table

CHANGE_15MIN_MAX_K: Final = 5.0
CHANGE_60MIN_MAX_K: Final = 20.0
"""ASHRAE TC 9.9, Thermal Guidelines for Data Processing Environments, 5th ed. (2021): equipment
without tape changes by at most 20 K in any hour and 5 K in any 15 minutes, at the inlet."""
HOLD_RATIO: Final = 0.7
"""Share of a permitted change at which setpoints stop pushing on: an inlet goes on for some
minutes after its setpoint has stopped."""
BUCKET_S: Final = 10.0
"""Readings this close together share an entry; 360 entries hold an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InletLimits:
    """Limits of the hottest inlet."""

    high_c: float
    change_15min_max_k: float
    change_60min_max_k: float
    unknown_max_s: float

    @property
    def windows(self) -> tuple[tuple[float, float], ...]:
        """Return length in seconds and permitted change of each window."""
        return (900.0, self.change_15min_max_k), (3600.0, self.change_60min_max_k)


@dataclass(slots=True)
class _Bucket:
    start_s: float
    low_c: float
    high_c: float


class InletWindows:
    """Remembers the inlet for an hour."""

    def __init__(self, limits: InletLimits) -> None:
        self.limits = limits
        self._buckets: deque[_Bucket] = deque()
        self._newest_c = math.nan

    def add(self, *, time_s: float, inlet_c: float) -> None:
        """Take a trusted reading; a time that runs backwards starts anew."""
        if self._buckets and time_s < self._buckets[-1].start_s:
            self._buckets.clear()
        longest_s = max(length_s for length_s, _ in self.limits.windows)
        while self._buckets and self._buckets[0].start_s < time_s - longest_s:
            self._buckets.popleft()
        self._newest_c = inlet_c
        if self._buckets and time_s - self._buckets[-1].start_s < BUCKET_S:
            bucket = self._buckets[-1]
            bucket.low_c, bucket.high_c = min(bucket.low_c, inlet_c), max(bucket.high_c, inlet_c)
        else:
            self._buckets.append(_Bucket(time_s, inlet_c, inlet_c))

    def change_k(self, *, span_s: float, time_s: float) -> tuple[float, float]:
        """Return by how much the inlet lies above its lowest and below its highest of a window."""
        recent = [b for b in self._buckets if b.start_s >= time_s - span_s]
        if not recent:
            return 0.0, 0.0
        low_c, high_c = min(b.low_c for b in recent), max(b.high_c for b in recent)
        return self._newest_c - low_c, high_c - self._newest_c

    def violation(self, *, time_s: float) -> str:
        """Return how the newest reading breaks a limit, empty if it does not."""
        limits = self.limits
        if self._newest_c > limits.high_c:
            return (
                f"the hottest inlet is {self._newest_c:.1f} °C, above {limits.high_c:g} °C "
                "([limits.inlet] high_c)"
            )
        for span_s, permitted_k in limits.windows:
            rise_k, fall_k = self.change_k(span_s=span_s, time_s=time_s)
            if max(rise_k, fall_k) > permitted_k:
                verb = "rose" if rise_k > fall_k else "fell"
                return (
                    f"the hottest inlet {verb} by {max(rise_k, fall_k):.1f} K within "
                    f"{span_s / 60.0:.0f} min, more than {permitted_k:g} K ([limits.inlet])"
                )
        return ""

    def near_its_rate(self, *, time_s: float) -> tuple[bool, bool]:
        """Return whether the inlet has risen, and fallen, by most of what a window permits."""
        rising = falling = False
        for span_s, permitted_k in self.limits.windows:
            rise_k, fall_k = self.change_k(span_s=span_s, time_s=time_s)
            rising = rising or rise_k > HOLD_RATIO * permitted_k
            falling = falling or fall_k > HOLD_RATIO * permitted_k
        return rising, falling


def read_inlet_limits(table: Table) -> InletLimits:
    """Read ``[limits.inlet]``; problems are collected in ``table.problems``."""
    limits = InletLimits(
        high_c=table.take_float("high_c", low=10.0, high=60.0, unit="°C"),
        change_15min_max_k=table.take_float(
            "change_15min_max_k", low=0.1, high=50.0, unit="K", default=CHANGE_15MIN_MAX_K
        ),
        change_60min_max_k=table.take_float(
            "change_60min_max_k", low=0.1, high=50.0, unit="K", default=CHANGE_60MIN_MAX_K
        ),
        unknown_max_s=table.take_float(
            "unknown_max_s", low=0.0, high=86400.0, unit="s", default=300.0
        ),
    )
    table.finish()
    return limits
