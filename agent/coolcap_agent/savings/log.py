"""What the report needs of the telemetry log, as columns over time."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_agent.telemetry_log.schema import FACILITY_1M, PLANT_1M, SWITCHBACK
from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.telemetry import FloatArray

NEEDED: Final = (FACILITY_1M.name, PLANT_1M.name, SWITCHBACK.name)
_LINE: Final = re.compile(
    rb"^(" + b"|".join(name.encode() for name in NEEDED) + rb"),((?:[^ \\]|\\.)*) (\S+) (\d+)$"
)


class SavingsError(CoolcapError):
    """A log cannot be read, or holds nothing a report can be made of."""


@dataclass(frozen=True, slots=True)
class Columns:
    """One measurement: times in ascending order and its fields; NaN where nothing was logged."""

    time_s: FloatArray
    fields: Mapping[str, FloatArray]

    def __getitem__(self, name: str) -> FloatArray:
        """Return a field; all NaN if it was never logged."""
        found = self.fields.get(name)
        return np.full_like(self.time_s, np.nan) if found is None else found

    def between(self, start_s: float, end_s: float) -> slice:
        """Return the rows from ``start_s`` to before ``end_s``."""
        low, high = np.searchsorted(self.time_s, [start_s, end_s])
        return slice(int(low), int(high))


Log = Mapping[str, Columns]


def read_files(paths: Iterable[Path], *, site: str = "") -> tuple[str, Log]:
    """Read files of line protocol; return the site they are of and what they hold.

    Args:
        paths: The files, rotated ones too, in any order; a point that comes twice counts once.
        site: The site meant; empty if the log is of one site only.

    Raises:
        SavingsError: If a file cannot be read, or nothing or several sites are found.
    """
    rows: dict[str, dict[float, dict[str, float]]] = {name: {} for name in NEEDED}
    sites: set[str] = set()
    for path in paths:
        try:
            with path.open("rb") as file:
                for line in file:
                    _take(line.rstrip(b"\n"), rows, sites, site)
        except OSError as error:
            raise SavingsError(f"log {path} cannot be read: {error.strerror}") from error
    return only_site(sites, site), {name: columns(rows[name]) for name in NEEDED}


def only_site(sites: set[str], wanted: str) -> str:
    """Return the one site a log is of. Raises SavingsError if there is none or several."""
    if len(sites) == 1:
        return sites.pop()
    if wanted:
        raise SavingsError(f"the log holds nothing of site {wanted!r}")
    if not sites:
        raise SavingsError(
            f"the log holds none of {', '.join(NEEDED)}; give the file of [telemetry] of a "
            "controller, or its database"
        )
    raise SavingsError(f"the log is of {', '.join(sorted(sites))}: choose one with --site")


def columns(rows: Mapping[float, Mapping[str, float]]) -> Columns:
    """Return rows by time as columns."""
    times = sorted(rows)
    names = sorted({name for row in rows.values() for name in row})
    return Columns(
        np.array(times, dtype=np.float64),
        {
            name: np.array([rows[time].get(name, np.nan) for time in times], dtype=np.float64)
            for name in names
        },
    )


def _take(
    line: bytes,
    rows: dict[str, dict[float, dict[str, float]]],
    sites: set[str],
    wanted: str,
) -> None:
    found = _LINE.match(line)
    if found is None:
        return  # another measurement, or a line torn by a crash
    measurement, tags, fields, time_ns = found.groups()
    site = _site(tags.decode())
    if wanted and site != wanted:
        return
    try:
        values = {
            name: float(value)
            for name, value in (part.split("=") for part in fields.decode().split(","))
        }
    except ValueError:
        return
    sites.add(site)
    rows[measurement.decode()][int(time_ns) * 1e-9] = values


def _site(tags: str) -> str:
    for part in re.split(r"(?<!\\),", tags):
        if part.startswith("site="):
            return re.sub(r"\\(.)", r"\1", part.removeprefix("site="))
    return ""
