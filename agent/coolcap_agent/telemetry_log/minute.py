"""Means by the minute, so that a dashboard over weeks need not read every second."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from coolcap_agent.telemetry_log.measurement import Field, Kind
from coolcap_envs.contract.telemetry import FloatArray

MINUTE_S: Final = 60.0


class Minute:
    """Collects rows of one or several series and gives one row of each per minute.

    Args:
        fields: The columns: gauges are averaged, of anything else the last value is kept.
        series_count: Number of series, which come together.
    """

    def __init__(self, fields: Sequence[Field], *, series_count: int = 1) -> None:
        shape = (series_count, len(fields))
        self._is_gauge = np.array([field.kind is Kind.GAUGE for field in fields])
        self._sum = np.zeros(shape)
        self._count = np.zeros(shape)
        self._last = np.full(shape, np.nan)
        self._time_s = float("nan")

    def add(self, rows: FloatArray, *, time_s: float) -> tuple[float, FloatArray] | None:
        """Take in rows; return time and rows of the minute before when a new one begins.

        The time is that of the minute's last rows, which is also the time of its counters.
        """
        done = None
        if time_s // MINUTE_S > self._time_s // MINUTE_S:
            with np.errstate(invalid="ignore"):
                mean = np.where(self._count > 0.0, self._sum / self._count, np.nan)
            done = self._time_s, np.where(self._is_gauge, mean, self._last)
            self._sum[:], self._count[:], self._last[:] = 0.0, 0.0, np.nan
        known = np.isfinite(rows)
        self._sum[known] += rows[known]
        self._count += known
        self._last[known] = rows[known]
        self._time_s = time_s
        return done
