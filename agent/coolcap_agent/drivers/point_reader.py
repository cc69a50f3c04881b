"""Reading a point map so that every mistake is reported at once, with file and key."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Final, Generic, TypeVar

from coolcap_agent.drivers.point_units import UNITS, allowed_units
from coolcap_agent.drivers.points import (
    Address,
    Device,
    Dialect,
    Handshake,
    LeverPoint,
    Point,
    PointMap,
    SensorPoint,
)
from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS, Lever
from coolcap_envs.contract.signals import PLANT_COLUMN, PLANT_SIGNALS

A = TypeVar("A", bound=Address)
D = TypeVar("D", bound=Device)

TOLERANCE_RATIO: Final = 1e-3
"""Default tolerance, of a lever's range: above the resolution of a 32-bit float."""
ROUNDING_RATIO: Final = 0.501
"""Of a whole number's step: the most a value differs from the nearest it can hold."""
COUNTER_UNITS: Final = ("kWh", "L")
"""Units of signals that only grow."""
AGE_MAX_S: Final = 30.0
"""Default age from which a reading counts as missing; one policy period."""


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
        self._shaken: set[str] = set()

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
        tolerance = _take_tolerance(table, lever, point, feedback or point)
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
        rollover = math.nan
        if table.has("rollover"):
            rollover = table.take_float("rollover", low=1e-3, high=signal.high, unit=signal.unit)
            if signal.unit not in COUNTER_UNITS:
                counters = ", ".join(COUNTER_UNITS)
                table.complain("rollover", f"is for counters, signals in {counters}")
        table.finish()
        return SensorPoint(signal=name, point=point, age_max_s=age, rollover=rollover, **bounds)

    def _take_handshake(self, table: Table) -> Handshake[A]:
        device = self._take_device_name(table)
        if device and device in self._shaken:
            table.complain("device", f"= {device!r} is not allowed: it has a handshake already")
        self._shaken.add(device)
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


def _take_tolerance(table: Table, lever: Lever, *points: Point[A]) -> float:
    """Take ``tolerance``; values the points can hold are half a step away from what is asked."""
    span = lever.high - lever.low
    rounding = ROUNDING_RATIO * max(point.step for point in points)
    default = max(TOLERANCE_RATIO * span, rounding)
    tolerance = table.take_float(
        "tolerance", low=0.0, high=span, unit=lever.unit, default=min(default, span)
    )
    if tolerance < rounding:
        table.complain(
            "tolerance",
            f"= {tolerance:g} {lever.unit} is below {rounding:g}: half a step of what it holds",
        )
    return tolerance
