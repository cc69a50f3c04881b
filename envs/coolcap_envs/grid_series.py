"""Price and carbon intensity of electricity for every hour of a year, from files.

A file is a CSV with one row per hour of a UTC year. Columns are found by their headings: those of
Electricity Maps and of market exports, or ``time_utc`` with ``price_usd_per_kwh`` and
``grid_carbon_g_per_kwh`` in files of one's own. Nothing is repaired in silence: a file with hours
missing, doubled or out of range is refused with all its rows.
"""

import csv
import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.time_zone_twice import moved_back, twice_problem
from coolcap_envs.weather import HOURS_PER_YEAR, listed

_HOUR: Final = dt.timedelta(hours=1)
_TIME_COLUMNS: Final = ("time_utc", "Datetime (UTC)")
_LOCAL_COLUMN: Final = "Datetime (Local)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a file can hold: its headings with the factor to ``unit``, and the possible range."""

    name: str
    unit: str
    low: float
    high: float
    columns: dict[str, float]


PRICE: Final = Quantity(
    name="price",
    unit="USD/kWh",
    low=-10.0,
    high=100.0,
    columns={"price_usd_per_kwh": 1.0, "Price (USD/MWh)": 1e-3},
)
CARBON: Final = Quantity(
    name="carbon intensity",
    unit="g/kWh",
    low=0.0,
    high=3000.0,
    columns={
        "grid_carbon_g_per_kwh": 1.0,
        "Carbon Intensity gCO₂eq/kWh (direct)": 1.0,
        "Carbon Intensity gCO₂eq/kWh (LCA)": 1.0,
    },
)
"""The first heading a file has is taken, so direct emissions go before those of a life cycle."""

TIMES: Final = ("checked", "as-written", "shifted-twice")
"""How a file's UTC column is to be understood; see :func:`load_hourly`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HourlySeries:
    """One quantity by the hour, in UTC; row k stands for k hours after 1 January 00:00 UTC.

    Attributes:
        values: Shape ``[8760]``, in the quantity's unit.
        notes: What a user of the file should know: days dropped, times moved, values repeated.
    """

    values: FloatArray
    notes: tuple[str, ...]


def load_hourly(path: Path, quantity: Quantity, *, times: str = "checked") -> HourlySeries:
    """Read one quantity of a year.

    Exports of prices are in circulation whose UTC column was shifted by the time zone twice. They
    are told by their daily course, where they say local time too.

    Args:
        path: The CSV file.
        quantity: ``PRICE`` or ``CARBON``.
        times: ``checked`` refuses a file whose times look shifted twice; ``as-written`` takes them
            as they stand; ``shifted-twice`` takes the column of local time for UTC.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    problems: list[str] = []
    if times not in TIMES:
        problems.append(f"times = {times!r} is not allowed: one of {', '.join(TIMES)} is needed")
    rows = _read_rows(path, quantity, problems)
    notes: list[str] = []
    keep = _whole_year(rows, problems, notes)
    series, zone_h = rows.values[keep], rows.offset_h[keep]
    bad = np.flatnonzero(~((series >= quantity.low) & (series <= quantity.high)))
    if len(bad):
        problems.append(
            f"{quantity.name} is missing or outside {quantity.low:g} to {quantity.high:g} "
            f"{quantity.unit} in {listed([rows.numbers[keep[k]] for k in bad])}"
        )
    if problems:
        raise ConfigError(str(path), problems)
    knows_zone = not np.isnan(zone_h).any()
    if times == "shifted-twice":
        if not knows_zone:
            told = f"has no column {_LOCAL_COLUMN!r} with the time zone to move times back by"
            raise ConfigError(str(path), [told])
        series = moved_back(series, zone_h, notes)
    elif (
        times == "checked"
        and quantity is PRICE
        and knows_zone
        and (problem := twice_problem(series, zone_h))
    ):
        raise ConfigError(str(path), [problem])
    return HourlySeries(values=series, notes=(*notes, *_repeats(series)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The rows of a file that can be read: their numbers, times, local times less UTC, values."""

    numbers: list[int]
    stamps: list[dt.datetime]
    offset_h: FloatArray
    values: FloatArray


def _read_rows(path: Path, quantity: Quantity, problems: list[str]) -> _Rows:
    """Read the rows of a file; raise if it has not the columns, complain of unreadable rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [*problems, f"cannot be read: {error}"]) from error
    time_at = _column(header, _TIME_COLUMNS)
    value_at = _column(header, tuple(quantity.columns))
    if time_at is None:
        problems.append(f"row 1 has no column {' or '.join(map(repr, _TIME_COLUMNS))}")
    if value_at is None:
        known = " or ".join(map(repr, quantity.columns))
        problems.append(f"row 1 has no column {known} of {quantity.name} in {quantity.unit}")
    if time_at is None or value_at is None:
        raise ConfigError(str(path), problems)
    local_at = _column(header, (_LOCAL_COLUMN,))
    factor = quantity.columns[header[value_at]]
    numbers: list[int] = []
    stamps: list[dt.datetime] = []
    offset_h: list[float] = []
    values: list[float] = []
    unreadable: list[int] = []
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            stamp = _utc(row[time_at])
            local = None if local_at is None else dt.datetime.fromisoformat(row[local_at])
            value = float(row[value_at] or "nan") * factor
        except (IndexError, ValueError):
            unreadable.append(number)
            continue
        offset = None if local is None else local.utcoffset()
        offset_h.append(math.nan if offset is None else offset / _HOUR)
        numbers.append(number)
        stamps.append(stamp)
        values.append(value)
    if unreadable:
        problems.append(f"time or value is missing or no number in {listed(unreadable)}")
    return _Rows(
        numbers=numbers, stamps=stamps, offset_h=np.array(offset_h), values=np.array(values)
    )


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _utc(text: str) -> dt.datetime:
    stamp = dt.datetime.fromisoformat(text)
    return stamp.replace(tzinfo=dt.UTC) if stamp.tzinfo is None else stamp.astimezone(dt.UTC)


def _whole_year(rows: _Rows, problems: list[str], notes: list[str]) -> list[int]:
    """Return which rows make up the 8760 hours; complain of hours missing, doubled or unordered."""
    stamps, numbers = rows.stamps, rows.numbers
    if not stamps:
        problems.append("has no rows")
        return []
    doubled = [numbers[k] for k in range(1, len(stamps)) if stamps[k] == stamps[k - 1]]
    backward = [numbers[k] for k in range(1, len(stamps)) if stamps[k] < stamps[k - 1]]
    uneven = [n for s, n in zip(stamps, numbers, strict=True) if s.minute or s.second]
    if doubled:
        problems.append(f"the hour of the row before stands again in {listed(doubled)}")
    if backward:
        problems.append(f"time goes back in {listed(backward)}")
    if uneven:
        problems.append(f"time is not a full hour in {listed(uneven)}")
    for k in range(1, len(stamps)):
        hours = (stamps[k] - stamps[k - 1]) // _HOUR - 1
        if hours > 0:
            problems.append(
                f"{hours} hours are missing between row {numbers[k - 1]} "
                f"({stamps[k - 1]:%Y-%m-%d %H:%M} UTC) and row {numbers[k]}"
            )
    first = stamps[0]
    if (first.month, first.day, first.hour) != (1, 1, 0):
        problems.append(
            f"row {numbers[0]} is {first:%Y-%m-%d %H:%M} UTC; "
            "the year must begin on 1 January 00:00"
        )
    keep = [k for k, s in enumerate(stamps) if (s.month, s.day) != (2, 29)]
    if len(keep) < len(stamps):
        notes.append("29 February is left out: simulated years have 8760 hours")
    if len(keep) != HOURS_PER_YEAR:
        problems.append(f"has {len(keep)} hours; a year of {HOURS_PER_YEAR} is needed")
    return keep


_REPEATS_NOTED: Final = 6
"""Market prices of hours differ; more equal ones in a row are likely filled in."""


def _repeats(series: FloatArray) -> list[str]:
    edges = np.flatnonzero(np.diff(series) != 0.0)
    starts, ends = np.concatenate([[0], edges + 1]), np.concatenate([edges, [len(series) - 1]])
    return [
        f"hours {a} to {b} of the year have one value, {series[a]:g}: likely filled in"
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
        if b - a + 1 >= _REPEATS_NOTED
    ]
