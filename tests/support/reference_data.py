"""Measurements and results of other programs to hold models against, kept beside the repository."""

import csv
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"


def reference_file(name: str) -> Path:
    """Return the path of a file; the test is skipped where the data is not there."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"reference data {name} is not beside the repository ({FOLDER})")
    return path


def reference_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a reference table; the test is skipped where the data is not there."""
    with reference_file(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
