"""What is known of the lock on a GPU's SM clock, which NVML sets but does not report.

The lock in force is the one asked for last, as long as the clock stays below it. A clock that runs
above it for two readings says that the lock is gone (a driver that was loaded again loses it). A
clock that is held by a setting although this process set none is held by somebody else.
"""

import math
from typing import Final

SETTLE_S: Final = 1.0
"""Readings this soon after a change tell nothing: what NVML shows is up to about a second old (NVML
API reference: sample period of utilisation 1/6 s to 1 s)."""
TOLERANCE_MHZ: Final = 20.0
"""Clocks come in steps of 15 MHz on data-centre GPUs, and a lock may be rounded up by one."""
READINGS: Final = 2
"""A single reading may stem from before the change."""


class ClockLock:
    """The lock of one GPU, as this process knows it."""

    def __init__(self) -> None:
        self.limit_mhz = math.nan
        self.held_by_other = False
        self._changed_s = -math.inf
        self._above = 0
        self._foreign = 0

    def changed(self, limit_mhz: float, *, now_s: float) -> None:
        """Note that this process locked the clock; NaN: took the lock away."""
        self.limit_mhz = limit_mhz
        self.held_by_other = False
        self._changed_s = now_s
        self._above = self._foreign = 0

    def observe(self, *, clock_mhz: float, held: bool, now_s: float) -> None:
        """Take a reading.

        Args:
            clock_mhz: The clock.
            held: Whether NVML says that a setting holds it.
            now_s: Time of the reading.
        """
        if now_s - self._changed_s <= SETTLE_S:
            return
        above = clock_mhz > self.limit_mhz + TOLERANCE_MHZ
        self._above = self._above + 1 if above else 0
        if self._above >= READINGS:
            self.limit_mhz = math.nan
            self._above = 0
        self._foreign = self._foreign + 1 if held and math.isnan(self.limit_mhz) else 0
        self.held_by_other = self._foreign >= READINGS
