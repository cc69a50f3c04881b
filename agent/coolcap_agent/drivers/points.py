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

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from coolcap_agent.drivers.point_units import UNITS, allowed_units
from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.signals import PLANT_COLUMN, PLANT_SIGNALS

TOLERANCE_RATIO: Final = 1e-3
"""Default tolerance, of a lever's range: above the resolution of a 32-bit float."""
AGE_MAX_S: Final = 30.0
"""Default age from which a reading counts as missing; one policy period."""


class Address(Hashable, Protocol):
    """Where a point is on its device; its text is for people."""

    def __str__(self) -> str:
        """Return it as people write it."""
        ...

    def cells(self) -> frozenset[Hashable]:
        """Return what it occupies; two points of one device must not share a cell."""
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

    def value_of(self, raw: float) -> float:
        """Return the value in house units."""
        return self.scale * raw + self.offset

    def raw_of(self, value: float) -> float:
        """Return what the device holds for a value in house units."""
        return (value - self.offset) / self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPoint(Generic[A]):
    """A point that gives a signal; values outside ``low`` to ``high`` are implausible."""

    signal: str
    point: Point[A]
    low: float
    high: float
    age_max_s: float


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


def take_points(options: Table, dialect: Dialect[D, A], *, folder: Path) -> PointMap[D, A]:
    """Read the file that ``points`` of a driver's options names; empty after a problem.

    All problems of the file are recorded in ``options``, each with the file's name.
    """
    nothing: PointMap[D, A] = PointMap(devices=(), sensors=(), levers=(), handshakes=())
    name = options.take_str("points")
    if not name:
        return nothing
    path = folder / name
    try:
        data = read_toml(path)
    except ConfigError as error:
        options.problems.append(str(error))
        return nothing
    root = Table(data, path="", problems=[])
    points = _Reader(dialect, path.parent).read(root)
    problems = root.problems or dialect.problems_of(points)
    options.problems += [f"{path}: {problem}" for problem in problems]
    return nothing if problems else points


class _Reader(Generic[D, A]):
    """Reads one file; remembers which names and cells are taken."""

    def __init__(self, dialect: Dialect[D, A], folder: Path) -> None:
        self._dialect = dialect
        self._folder = folder
        self._devices: dict[str, D] = {}
        self._cells: dict[tuple[str, Hashable], str] = {}

    def read(self, root: Table) -> PointMap[D, A]:
        root.take_str("protocol", allowed=(self._dialect.protocol,))
        for table in root.take_tables("devices"):
            self._take_device(table)
        levers = [self._take_lever(table) for table in root.take_tables("levers", needed=False)]
        commanded = {lever.lever for lever in levers}
        sensors = [
            self._take_sensor(table, commanded)
            for table in root.take_tables("sensors", needed=False)
        ]
        handshakes = [
            self._take_handshake(table) for table in root.take_tables("handshakes", needed=False)
        ]
        root.finish()
        if not levers and not sensors:
            root.problems.append("[[sensors]] or [[levers]] is missing: at least one is needed")
        return PointMap(
            devices=tuple(self._devices.values()),
            sensors=tuple(sensors),
            levers=tuple(levers),
            handshakes=tuple(handshakes),
        )

    def _take_device(self, table: Table) -> None:
        name = table.take_str("name")
        if name in self._devices:
            table.complain("name", f"= {name!r} is not allowed: another device has this name")
        self._devices[name] = self._dialect.take_device(table, name=name, folder=self._folder)
        table.finish()

    def _take_device_name(self, table: Table) -> str:
        if not self._devices:
            table.take_str("device")
            return ""
        return table.take_str("device", allowed=tuple(self._devices))

    def _take_lever(self, table: Table) -> LeverPoint[A]:
        name = table.take_str("lever", allowed=tuple(PLANT_LEVER_COLUMN))
        lever = PLANT_LEVERS[PLANT_LEVER_COLUMN.get(name, 0)]
        device = self._take_device_name(table)
        point = self._take_point(table, device, lever.unit, written=True)
        feedback = None
        if table.has("feedback"):
            part = table.take_table("feedback")
            feedback = self._take_point(part, device, lever.unit, written=False)
            part.finish()
        low = table.take_float("low", low=lever.low, high=lever.high, unit=lever.unit)
        high = table.take_float("high", low=lever.low, high=lever.high, unit=lever.unit)
        if low >= high:
            table.complain("low", f"= {low:g} must be below high = {high:g}")
        span = lever.high - lever.low
        tolerance = table.take_float(
            "tolerance", low=0.0, high=span, unit=lever.unit, default=TOLERANCE_RATIO * span
        )
        age = _take_age(table)
        table.finish()
        return LeverPoint(
            lever=name,
            unit=lever.unit,
            point=point,
            feedback=feedback,
            low=low,
            high=high,
            tolerance=tolerance,
            age_max_s=age,
        )

    def _take_sensor(self, table: Table, commanded: set[str]) -> SensorPoint[A]:
        name = table.take_str("signal", allowed=tuple(PLANT_COLUMN))
        if name in commanded:
            table.complain("signal", f"= {name!r} is read from its lever: remove this sensor")
        signal = PLANT_SIGNALS[PLANT_COLUMN.get(name, 0)]
        device = self._take_device_name(table)
        point = self._take_point(table, device, signal.unit, written=False)
        bounds = {
            key: table.take_float(
                key, low=signal.low, high=signal.high, unit=signal.unit, default=default
            )
            for key, default in (("low", signal.low), ("high", signal.high))
        }
        if bounds["low"] >= bounds["high"]:
            table.complain("low", f"= {bounds['low']:g} must be below high = {bounds['high']:g}")
        age = _take_age(table)
        table.finish()
        return SensorPoint(signal=name, point=point, age_max_s=age, **bounds)

    def _take_handshake(self, table: Table) -> Handshake[A]:
        device = self._take_device_name(table)
        points: dict[str, Point[A]] = {}
        for key, written in (("enable", True), ("heartbeat", True), ("override", False)):
            if key == "enable" or table.has(key):
                part = table.take_table(key)
                points[key] = self._take_point(part, device, None, written=written)
                part.finish()
        table.finish()
        return Handshake(
            device=device,
            enable=points["enable"],
            heartbeat=points.get("heartbeat"),
            override=points.get("override"),
        )

    def _take_point(
        self, table: Table, device: str, house_unit: str | None, *, written: bool
    ) -> Point[A]:
        """Take an address and, unless ``house_unit`` is None, its conversion."""
        seen = len(table.problems)
        address = self._dialect.take_address(table, written=written)
        point = Point(device=device, address=address)
        if len(table.problems) == seen:
            self._occupy(table, point)
        if house_unit is None:
            return point
        unit = table.take_str("unit", allowed=allowed_units(house_unit), default=house_unit)
        scale = table.take_float("scale", low=-1e9, high=1e9, unit="(factor)", default=1.0)
        offset = table.take_float("offset", low=-1e9, high=1e9, unit=unit, default=0.0)
        if scale == 0.0:
            table.complain("scale", "= 0 is not allowed: every value would be the same")
        factor, shift = UNITS[house_unit].get(unit, (1.0, 0.0))
        return Point(
            device=device, address=address, scale=scale * factor, offset=offset * factor + shift
        )

    def _occupy(self, table: Table, point: Point[A]) -> None:
        cells = [(point.device, cell) for cell in point.address.cells()]
        if taken := sorted({self._cells[cell] for cell in cells if cell in self._cells}):
            table.complain("device", f"has {point.address} twice: as {', '.join(taken)} already")
        for cell in cells:
            self._cells.setdefault(cell, str(point.address))


def _take_age(table: Table) -> float:
    return table.take_float("age_max_s", low=0.1, high=3600.0, unit="s", default=AGE_MAX_S)
