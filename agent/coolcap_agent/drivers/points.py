"""The point map of a site: which point of which device is which signal, lever or handshake.

One TOML file per driver. What an address looks like and what a device needs to be reached is the
protocol's; the rest is the same for all::

    protocol = "bacnet"

    [[devices]]
    name = "plant"                              # then what the protocol needs to reach it

    [[sensors]]
    signal = "chw_supply_temp_c"                # from docs/reference/signals.md
    device = "plant"                            # then the protocol's address
    unit = "°F"                                 # of scale * raw + offset; default the signal's
    scale = 0.1
    offset = 0.0
    low = 2.0                                   # plausible range, in the signal's unit
    high = 40.0
    age_max_s = 15.0                            # older readings are reported as missing
    rollover = 4294967.296                      # of counters: where they start at 0 again

    [[levers]]
    lever = "chw_supply_temp_setpoint_c"
    device = "plant"
    low = 8.0                                   # never written outside, in the lever's unit
    high = 18.0
    tolerance = 0.05                            # between what is written and what is read back
    feedback = { … }                            # where the equipment says what it follows, if apart

    [[handshakes]]                              # where the equipment itself watches over us
    device = "plant"
    enable = { … }                              # 1 while we command
    heartbeat = { … }                           # counts up while we live
    override = { … }                            # other than 0: a person has taken over

Several sensors may give one signal, and one lever may have a point on each of several devices.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from coolcap_envs.contract.config import Table


class Address(Hashable, Protocol):
    """Where a point is on its device; its text is for people."""

    def __str__(self) -> str:
        """Return it as people write it."""
        ...

    def cells(self) -> frozenset[Hashable]:
        """Return what it occupies; two points of one device must not share a cell."""
        ...

    @property
    def step(self) -> float:
        """Return the smallest difference between raw numbers; 0 for floating-point ones."""
        ...


class Device(Protocol):
    """What is needed to reach a device; each protocol has its own."""

    @property
    def name(self) -> str:
        """Return the name points refer to."""
        ...


A = TypeVar("A", bound=Address)
D = TypeVar("D", bound=Device)


class Dialect(Protocol[D, A]):
    """What a protocol adds to the point map. Takers complain in the table they are given."""

    protocol: str

    def take_device(self, table: Table, *, name: str, folder: Path) -> D:
        """Take a device's keys; relative paths start in ``folder``."""
        ...

    def take_address(self, table: Table, *, written: bool) -> A:
        """Take an address; ``written`` tells whether the point will be written."""
        ...

    def problems_of(self, points: "PointMap[D, A]") -> list[str]:
        """Return what is wrong between points and devices that each are right by themselves."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Generic[A]):
    """A number on a device; in house units it is ``scale * raw + offset``."""

    device: str
    address: A
    scale: float = 1.0
    offset: float = 0.0

    def __str__(self) -> str:
        """Return device and address."""
        return f"{self.device} {self.address}"

    @property
    def step(self) -> float:
        """Return the smallest difference between values, in house units."""
        return abs(self.scale) * self.address.step

    def value_of(self, raw: float) -> float:
        """Return the value in house units."""
        return self.scale * raw + self.offset

    def raw_of(self, value: float) -> float:
        """Return what the device holds for a value in house units."""
        return (value - self.offset) / self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPoint(Generic[A]):
    """A point that gives a signal; values outside ``low`` to ``high`` are implausible.

    ``rollover`` is what a counter goes up to before it starts at 0 again, NaN if it does not.
    """

    signal: str
    point: Point[A]
    low: float
    high: float
    age_max_s: float
    rollover: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverPoint(Generic[A]):
    """A point that sets a lever, and where the equipment says what it follows."""

    lever: str
    unit: str
    point: Point[A]
    feedback: Point[A] | None
    low: float
    high: float
    tolerance: float
    age_max_s: float

    def matches(self, one: float, other: float) -> bool:
        """Return whether two values of the lever are the same within the tolerance."""
        return abs(one - other) <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(Generic[A]):
    """Points by which the equipment itself drops our setpoints when we are gone."""

    device: str
    enable: Point[A]
    heartbeat: Point[A] | None
    override: Point[A] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMap(Generic[D, A]):
    """All points of a site that one driver serves."""

    devices: tuple[D, ...]
    sensors: tuple[SensorPoint[A], ...]
    levers: tuple[LeverPoint[A], ...]
    handshakes: tuple[Handshake[A], ...]

    def points(self) -> list[Point[A]]:
        """Return every point, whatever it is for."""
        several = [
            *((lever.point, lever.feedback) for lever in self.levers),
            *((sensor.point,) for sensor in self.sensors),
            *((h.enable, h.heartbeat, h.override) for h in self.handshakes),
        ]
        return [point for some in several for point in some if point is not None]
