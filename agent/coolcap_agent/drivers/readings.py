"""The newest sample of every point, and what becomes of it when it is bad, old or implausible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.drivers.equipment import Sample
from coolcap_agent.drivers.points import Address, Device, Point, PointMap

A = TypeVar("A", bound=Address)
D = TypeVar("D", bound=Device)

CLOCK_AHEAD_MAX_S: Final = 2.0
"""A source time this far ahead of ours is taken as now; beyond it the age of a value is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source(Generic[A]):
    """A point that gives a signal, within ``low`` to ``high`` and not older than ``age_max_s``."""

    signal: str
    point: Point[A]
    low: float
    high: float
    age_max_s: float
    rollover: float = math.nan


class Readings(Generic[A]):
    """Newest samples of one driver's points."""

    def __init__(self, points: PointMap[D, A], *, protocol: str) -> None:
        """Start without samples; ``protocol`` begins each reading's origin."""
        self._protocol = protocol
        self._sources = [*_sources(points)]
        self._samples: dict[tuple[str, A], tuple[float, Sample]] = {}
        self._wanted: dict[str, list[A]] = {device.name: [] for device in points.devices}
        for source in self._sources:
            self._wanted[source.point.device].append(source.point.address)

    def wanted(self, device: str) -> Sequence[A]:
        """Return the addresses to be read on a device."""
        return self._wanted[device]

    def note(self, device: str, samples: Mapping[A, Sample], *, now_s: float) -> None:
        """Keep what a device said at ``now_s``."""
        for address, sample in samples.items():
            self._samples[(device, address)] = (now_s - sample.age_s, sample)

    def all(self, *, now_s: float, problems: Mapping[str, str]) -> list[SignalReading]:
        """Return a reading of every point.

        Args:
            now_s: Site time.
            problems: Why a device does not answer, by its name; empty if it does.
        """
        return [self._reading(source, now_s, problems) for source in self._sources]

    def _reading(
        self, source: _Source[A], now_s: float, problems: Mapping[str, str]
    ) -> SignalReading:
        point = source.point
        time_s, sample = self._samples.get((point.device, point.address), (now_s, None))
        age_s = now_s - time_s
        value, problem = math.nan, ""
        if sample is None:
            problem = problems.get(point.device) or "no answer yet"
        elif age_s > source.age_max_s:
            problem = f"{age_s:.1f} s old; at most {source.age_max_s:g} s (point map)"
        elif age_s < -CLOCK_AHEAD_MAX_S:
            problem = f"time stamp is {-age_s:.1f} s ahead of this host: synchronise the clocks"
        elif sample.problem:
            problem = sample.problem
        else:
            value = point.value_of(sample.raw)
            if not source.low <= value <= source.high:
                problem = f"{value:g} is outside {source.low:g} to {source.high:g} (point map)"
                value = math.nan
        return SignalReading(
            signal=source.signal,
            value=value,
            measure_time_s=min(time_s, now_s),
            origin=f"{self._protocol} {point}",
            problem=problem,
            rollover=source.rollover,
        )


def _sources(points: PointMap[D, A]) -> list[_Source[A]]:
    levers = [
        _Source(
            signal=lever.lever,
            point=lever.feedback or lever.point,
            low=-math.inf,
            high=math.inf,
            age_max_s=lever.age_max_s,
        )
        for lever in points.levers
    ]
    sensors = [
        _Source(
            signal=sensor.signal,
            point=sensor.point,
            low=sensor.low,
            high=sensor.high,
            age_max_s=sensor.age_max_s,
            rollover=sensor.rollover,
        )
        for sensor in points.sensors
    ]
    return levers + sensors
