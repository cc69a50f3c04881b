"""Telling and undoing a series whose times were shifted by the time zone twice.

A market's local time is converted to UTC; if the result is taken for local time once more, each
hour stands as many hours away from its own as the zone lies from UTC. Prices show it: people cook
and light in the evening, at 17 to 21 h local time, whatever the market.
"""

from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray

_EVENING: Final = (17, 18, 19, 20)
"""Local hours of the evening peak of demand and price."""
_CLEAR_RATIO: Final = 0.1
"""How much higher, in means of the price, evenings must be after moving to suspect a file."""


def _evening(series: FloatArray, local_hour: FloatArray) -> float:
    return float(series[np.isin(local_hour % 24, _EVENING)].mean())


def twice_problem(series: FloatArray, offset_h: FloatArray) -> str | None:
    """Say why times seem shifted twice, or return None if they do not.

    Args:
        series: Price of every UTC hour of a year, as the file has it.
        offset_h: Local time less UTC in each.
    """
    hour = np.arange(len(series))
    zone_h = np.round(offset_h)
    as_written = _evening(series, hour + zone_h)
    moved = _evening(series, hour + 2.0 * zone_h)
    if not moved - as_written > _CLEAR_RATIO * abs(float(series.mean())):
        return None
    course = [float(series[(hour + zone_h) % 24 == k].mean()) for k in range(24)]
    low, high = sorted({abs(float(zone_h.min())), abs(float(zone_h.max()))} | {0.0})[-2:]
    span = f"{low:g} to {high:g}" if low else f"{high:g}"
    return (
        f"its times look shifted by the time zone twice: prices are highest at "
        f"{int(np.argmax(course)):02d}:00 and lowest at {int(np.argmin(course)):02d}:00 local time "
        f"as written, and evenings (17 to 21 h) cost {moved / as_written:.1f} times as much when "
        f'moved by {span} h; say times = "shifted-twice" to read the file so, or '
        f'times = "as-written" to take it as it stands'
    )


def moved_back(series: FloatArray, offset_h: FloatArray, notes: list[str]) -> FloatArray:
    """Return the series with each value at the hour its local time names, taken as UTC.

    Local time skips an hour in spring and repeats one in autumn: the first takes the value before
    it, the other the mean of both. Hours before the year stand at its end.

    Args:
        series: Value of every hour of a year, as the file has it.
        offset_h: Local time less UTC in each.
        notes: Gets a sentence on what was done.
    """
    count = len(series)
    at = ((np.arange(count) + np.round(offset_h)) % count).astype(np.int64)
    hits = np.bincount(at, minlength=count)
    sums = np.bincount(at, weights=series, minlength=count)
    result = np.where(hits > 0, sums / np.maximum(hits, 1), np.nan)
    holes = np.flatnonzero(hits == 0)
    for k in holes:
        result[k] = result[k - 1]
    notes.append(
        f"times were moved by {offset_h.min():g} to {offset_h.max():g} h; hours skipped "
        f"{len(holes)}, repeated {int((hits > 1).sum())} at changes of daylight saving time"
    )
    return result
