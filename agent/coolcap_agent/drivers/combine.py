"""One reading per signal out of several points: meters add up, sensors vote.

Powers, energies and amounts of water are sums, so every meter is needed. Of a signal that means
the worst place the highest counts, of all others the mean; half of their points may be missing.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from coolcap_agent.drivers.base import SignalReading
from coolcap_envs.contract.signals import PLANT_COLUMN, PLANT_SIGNALS, Aggregation, Signal

ADDITIVE_UNITS: Final = ("W", "kWh", "L")
QUORUM_RATIO: Final = 0.5
"""Share of a signal's points that must be usable: two of three, one of two."""


def combine_readings(readings: Iterable[SignalReading]) -> list[SignalReading]:
    """Return one reading per signal, in the order in which signals first occur.

    A combined reading is as old as the oldest point it is made of.
    """
    points: dict[str, list[SignalReading]] = {}
    for reading in readings:
        points.setdefault(reading.signal, []).append(reading)
    return [
        several[0] if len(several) == 1 else _combine(PLANT_SIGNALS[PLANT_COLUMN[name]], several)
        for name, several in points.items()
    ]


def _combine(signal: Signal, points: Sequence[SignalReading]) -> SignalReading:
    usable = [point for point in points if math.isfinite(point.value)]
    values = [point.value for point in usable]
    additive = signal.unit in ADDITIVE_UNITS
    needed = len(points) if additive else math.ceil(QUORUM_RATIO * len(points))
    bad = [f"{p.origin}: {p.problem or 'no number'}" for p in points if p not in usable]
    value, problem = math.nan, ""
    if len(usable) < needed:
        problem = f"{len(usable)} of {len(points)} points are usable, {needed} are needed; {bad[0]}"
    elif additive:
        value = math.fsum(values)
    elif signal.aggregation is Aggregation.MAX:
        value = max(values)
    else:
        value = math.fsum(values) / len(values)
    return SignalReading(
        signal=signal.name,
        value=value,
        measure_time_s=min(point.measure_time_s for point in usable or points),
        origin=f"{len(usable)} of {len(points)} points, first {points[0].origin}",
        problem=problem,
    )
