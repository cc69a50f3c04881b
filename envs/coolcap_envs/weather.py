"""Weather years: dry bulb, dew point, pressure and wet bulb for every hour of a year.

Sources are the typical meteorological years that come with pvlib, and EPW files. Nothing is
repaired in silence: a year with a missing hour or value is refused with the rows.
"""

import csv
import datetime as dt
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.jit import kernel
from coolcap_envs.physics.psychrometrics import (
    humidity_ratio,
    saturation_pressure_pa,
    wet_bulb_c,
)

HOURS_PER_YEAR: Final = 8760

PACKAGED: Final = {
    "greensboro": ("723170TYA.CSV", "tmy3"),
    "miami": ("12839.tm2", "tmy2"),
    "sand-point": ("703165TY.csv", "tmy3"),
}
"""Years that come with pvlib: Greensboro NC, Miami FL, Sand Point AK (NREL TMY3 and TMY2)."""

_BOUNDS: Final = {
    "dry bulb, °C": (-70.0, 60.0),
    "dew point, °C": (-90.0, 45.0),
    "pressure, Pa": (50_000.0, 110_000.0),
}
_LISTED_ROWS: Final = 5
_COMMON_YEAR: Final = 2025
"""Any year without 29 February."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeatherYear:
    """One year by the hour, in UTC; row k stands for k hours after 1 January 00:00 UTC.

    Attributes:
        name: Name of a packaged year, or path of the EPW file.
        utc_offset_h: Local standard time less UTC.
        outdoor_temp_c: Dry bulb, shape ``[8760]``.
        dew_point_c: Dew point, shape ``[8760]``.
        pressure_pa: Pressure at the station, shape ``[8760]``.
        wet_bulb_temp_c: Thermodynamic wet bulb, shape ``[8760]``.
    """

    name: str
    utc_offset_h: float
    outdoor_temp_c: FloatArray
    dew_point_c: FloatArray
    pressure_pa: FloatArray
    wet_bulb_temp_c: FloatArray


@kernel
def wet_bulbs_c(
    outdoor_temp_c: FloatArray, dew_point_c: FloatArray, pressure_pa: FloatArray
) -> FloatArray:
    """Return wet bulbs of many hours; a dew point above the dry bulb counts as saturation."""
    result = np.empty_like(outdoor_temp_c)
    for k in range(outdoor_temp_c.shape[0]):
        dry_c = outdoor_temp_c[k]
        vapour_pa = saturation_pressure_pa(min(dew_point_c[k], dry_c))
        ratio = humidity_ratio(vapour_pressure_pa=vapour_pa, pressure_pa=pressure_pa[k])
        result[k] = wet_bulb_c(
            dry_bulb_c=dry_c, humidity_ratio_kg_per_kg=ratio, pressure_pa=pressure_pa[k]
        )
    return result


def check_weather_name(name: str) -> str | None:
    """Say why ``name`` names no weather year, or return None if it does."""
    if name.endswith(".epw"):
        return None if Path(name).is_file() else f"names {name}, and there is no such EPW file"
    if name in PACKAGED:
        return None
    return f"names {name!r}: allowed are {', '.join(PACKAGED)} or a path ending in .epw"


@lru_cache(maxsize=32)
def load_weather(name: str) -> WeatherYear:
    """Return a year by the name of a packaged one or the path of an EPW file.

    Raises:
        ConfigError: If there is no such year, or hours or values are missing; names the rows.
    """
    if problem := check_weather_name(name):
        raise ConfigError("weather", [problem])
    if name.endswith(".epw"):
        offset_h, hours = _read_epw(Path(name))
    else:
        offset_h, hours = _read_packaged(*PACKAGED[name])
    # Stamps end the hour and are local: row 0 is 01:00. Turn so that row 0 is 00:00 UTC.
    utc = np.roll(hours, 1 - round(offset_h), axis=0)
    outdoor_c, dew_c, pressure_pa = (np.ascontiguousarray(utc[:, k]) for k in range(3))
    return WeatherYear(
        name=name,
        utc_offset_h=offset_h,
        outdoor_temp_c=outdoor_c,
        dew_point_c=dew_c,
        pressure_pa=pressure_pa,
        wet_bulb_temp_c=wet_bulbs_c(outdoor_c, dew_c, pressure_pa),
    )


def _read_packaged(file_name: str, kind: str) -> tuple[float, FloatArray]:
    """Read a year from pvlib's package data, without the second it takes to import pvlib."""
    spec = importlib.util.find_spec("pvlib")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "weather", ["packaged years need pvlib: pip install 'coolcap[sim]', or give EPW files"]
        )
    path = Path(spec.origin).parent / "data" / file_name
    lines = path.read_text(encoding="utf-8").splitlines()
    if kind == "tmy3":
        offset_h, hours = _parse_tmy3(lines)
    else:
        offset_h, hours = _parse_tmy2(lines)
    if len(hours) != HOURS_PER_YEAR:
        told = f"has {len(hours)} hours; a year of {HOURS_PER_YEAR} is needed"
        raise ConfigError(str(path), [told])
    first_row = len(lines) - len(hours) + 1
    rows = np.arange(first_row, first_row + len(hours))
    _refuse_gaps(hours, rows, origin=str(path), problems=[])
    return offset_h, hours


def _parse_tmy3(lines: list[str]) -> tuple[float, FloatArray]:
    """Parse TMY3 (Wilcox and Marion, Users Manual for TMY3 Data Sets, NREL/TP-581-43156)."""
    place, header, *rows = csv.reader(lines)
    columns = [header.index(n) for n in ("Dry-bulb (C)", "Dew-point (C)", "Pressure (mbar)")]
    hours = np.array([[float(row[k]) for k in columns] for row in rows])
    return float(place[3]), hours * (1.0, 1.0, 100.0)


def _parse_tmy2(lines: list[str]) -> tuple[float, FloatArray]:
    """Parse TMY2 (Marion and Urban, User's Manual for TMY2s, NREL/SP-463-7668, table 3-2).

    Dry bulb and dew point in tenths of a degree at columns 68 and 74, mbar at 85.
    """
    starts = (67, 73, 84)
    hours = np.array([[float(line[k : k + 4]) for k in starts] for line in lines[1:]])
    return float(lines[0][33:36]), hours * (0.1, 0.1, 100.0)


def _read_epw(path: Path) -> tuple[float, FloatArray]:
    """Read an EPW file (EnergyPlus Auxiliary Programs, "EPW data dictionary")."""
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            lines = list(csv.reader(file))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    problems: list[str] = []
    offset_h = 0.0
    try:
        if lines[0][0] != "LOCATION":
            raise ValueError
        offset_h = float(lines[0][8])
        if not -14.0 <= offset_h <= 14.0:
            problems.append(f"row 1 has time zone {offset_h:g} h, which is outside -14 to 14 h")
    except (IndexError, ValueError):
        problems.append("row 1 is no LOCATION row with a time zone: not an EPW file?")
    hours = np.full((HOURS_PER_YEAR, 3), np.nan)
    row_of = np.zeros(HOURS_PER_YEAR, dtype=np.int64)
    unreadable: list[int] = []
    for number, line in enumerate(lines[8:], start=9):
        if not line:
            continue
        try:
            values = float(line[6]), float(line[7]), float(line[9])
            month, day, hour = (int(text) for text in line[1:4])
            at = _hour_of_year(month=month, day=day, hour=hour)
        except (IndexError, ValueError):
            unreadable.append(number)
            continue
        if row_of[at]:
            problems.append(
                f"row {number} is month {month}, day {day}, hour {hour}, as row {row_of[at]} is"
            )
            continue
        hours[at], row_of[at] = values, number
    if unreadable:
        problems.append(
            "month, day and hour of a year of 8760 hours, or dry bulb, dew point and pressure, "
            f"are missing in {listed(unreadable)}"
        )
    problems += _missing_hours(row_of)
    _refuse_gaps(hours, row_of, origin=str(path), problems=problems)
    return offset_h, hours


def _hour_of_year(*, month: int, day: int, hour: int) -> int:
    """Return the place of a local hour, 1 to 24, in a year without 29 February."""
    if not 1 <= hour <= 24:
        raise ValueError
    date = dt.date(_COMMON_YEAR, month, day)
    return (date - dt.date(_COMMON_YEAR, 1, 1)).days * 24 + hour - 1


def _missing_hours(row_of: NDArray[np.int64]) -> list[str]:
    """Say which stretches of the year no row stands for, at most ``_LISTED_ROWS`` of them."""
    absent = np.flatnonzero(row_of == 0)
    if not len(absent):
        return []
    stretches = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    told = []
    for stretch in stretches[:_LISTED_ROWS]:
        date = dt.date(_COMMON_YEAR, 1, 1) + dt.timedelta(days=int(stretch[0]) // 24)
        before = f"after row {row_of[stretch[0] - 1]}" if stretch[0] else "at the beginning"
        told.append(
            f"{len(stretch)} from month {date.month}, day {date.day}, "
            f"hour {stretch[0] % 24 + 1} ({before})"
        )
    rest = len(stretches) - len(told)
    more = f" and {rest} more stretches" if rest else ""
    return [f"{len(absent)} of {HOURS_PER_YEAR} hours are missing: {'; '.join(told)}{more}"]


def listed(rows: Sequence[int]) -> str:
    """Return the first of ``rows`` in words, and how many more there are."""
    few = ", ".join(f"row {number}" for number in rows[:_LISTED_ROWS])
    rest = len(rows) - _LISTED_ROWS
    return f"{few} and {rest} more" if rest > 0 else few


def _refuse_gaps(
    hours: FloatArray,
    rows: NDArray[np.int64],
    *,
    origin: str,
    problems: list[str],
) -> None:
    """Raise if there are problems or values out of range; row 0 stands for an absent hour."""
    for k, (what, (low, high)) in enumerate(_BOUNDS.items()):
        column = hours[:, k]
        bad = rows[(rows > 0) & ~((column >= low) & (column <= high))]
        if len(bad):
            problems.append(
                f"{what} is missing or outside {low:g} to {high:g} in {listed(bad.tolist())}"
            )
    if problems:
        raise ConfigError(origin, problems)


def daily_course(
    *, mean: float, swing_ratio: float, peak_hour: float, utc_offset_h: float
) -> FloatArray:
    """Return a value for every hour of a UTC year that follows a cosine over the local day."""
    local_hour = np.arange(HOURS_PER_YEAR) + utc_offset_h
    angle = (local_hour - peak_hour) * (2.0 * math.pi / 24.0)
    course: FloatArray = mean * (1.0 + swing_ratio * np.cos(angle))
    return course
