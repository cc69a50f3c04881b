"""Reading of reference tables. They are not part of the project and are never copied into it."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import coolcap_training

Row = Mapping[str, str]


def default_folder() -> Path | None:
    """Return ``../shared/data`` beside the checkout this package runs from, if it is there."""
    folder = Path(coolcap_training.__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


def why_missing(data: Path | None, *names: str) -> str | None:
    """Return why the tables ``names`` cannot be read from ``data``; None if they can."""
    if data is None:
        return "no folder of reference data was given (--data) and ../shared/data is not there"
    absent = [name for name in names if not (data / name).is_file()]
    return f"{', '.join(absent)} is not in {data.name}" if absent else None


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(row: Row, column: str) -> float:
    """Return a number of a row; NaN where the cell is empty or holds none."""
    try:
        return float(row[column])
    except ValueError:
        return math.nan
