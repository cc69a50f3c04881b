"""Read time series back from a local telemetry log (InfluxDB line protocol)."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray

# Line protocol: unescaped commas, spaces and equal signs separate; a backslash escapes them.
_SPLIT_SPACE = re.compile(r"(?<!\\) ")
_SPLIT_COMMA = re.compile(r"(?<!\\),")
_UNESCAPE = re.compile(r"\\([ ,=\\])")
# A quote opens and closes a text, which may hold any of them; few lines have one.
_OUTSIDE_TEXT = r'(?=[^"]*(?:"[^"]*"[^"]*)*$)'
_SPLIT_SPACE_OF_TEXT = re.compile(_SPLIT_SPACE.pattern + _OUTSIDE_TEXT)
_SPLIT_COMMA_OF_TEXT = re.compile(_SPLIT_COMMA.pattern + _OUTSIDE_TEXT)


@dataclass(slots=True)
class Series:
    """One measurement with one set of tags: instants (s, UTC) and a value list per field."""

    tags: dict[str, str]
    time_s: list[float] = field(default_factory=list)
    fields: dict[str, list[float]] = field(default_factory=dict)

    def array(self, name: str) -> FloatArray:
        """Return one field over time; NaN where a line lacks it."""
        return np.array(self.fields.get(name, [np.nan] * len(self.time_s)))


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("iu"))
    except ValueError:
        return None  # texts and booleans are not plotted


def read_series(lines: Iterable[str]) -> dict[str, list[Series]]:
    """Return the series of each measurement, in the order of their first line."""
    found: dict[str, dict[str, Series]] = defaultdict(dict)
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        has_text = '"' in line
        spaces = _SPLIT_SPACE_OF_TEXT if has_text else _SPLIT_SPACE
        commas = _SPLIT_COMMA_OF_TEXT if has_text else _SPLIT_COMMA
        key, values, stamp = spaces.split(line.strip())
        measurement, *tag_texts = _SPLIT_COMMA.split(key)
        tags = dict(_UNESCAPE.sub(r"\1", text).split("=", 1) for text in tag_texts)
        series = found[measurement].setdefault(key, Series(tags))
        series.time_s.append(int(stamp) / 1e9)
        for pair in commas.split(values):
            name, _, text = pair.partition("=")
            number = _number(text)
            if number is None:
                continue
            column = series.fields.setdefault(name, [])
            column.extend([np.nan] * (len(series.time_s) - 1 - len(column)))
            column.append(number)
    for of_measurement in found.values():
        for series in of_measurement.values():
            for column in series.fields.values():
                column.extend([np.nan] * (len(series.time_s) - len(column)))
    return {name: list(of_key.values()) for name, of_key in found.items()}
