"""InfluxDB line protocol: one line per series and instant, float fields only, times in ns.

Only floats, because a field that is once an integer and once a float is refused as a type
conflict. What is not measured (NaN) or infinite is left out; a line without fields is no line.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray

_TAG_ESCAPES: Final = str.maketrans(
    {",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ ", "\\": "/"}
)
"""A backslash at the end of a value would escape what follows it, hence the slash."""


def escaped(text: str) -> str:
    """Return ``text`` fit for a measurement, a tag or a field's name."""
    return text.translate(_TAG_ESCAPES)


def series_key(measurement: str, tags: Mapping[str, str]) -> str:
    """Return the part of a line that names its series; tags without a value are left out."""
    parts = [f"{escaped(name)}={escaped(tags[name])}" for name in sorted(tags) if tags[name]]
    return ",".join([escaped(measurement), *parts])


def time_ns(time_s: float) -> int:
    """Return a time in ns, exact to the microsecond: a double holds no more today."""
    return round(time_s * 1e6) * 1000


class Series:
    """A family of series that share their fields; keys and names are put together once.

    Args:
        keys: One series key per row, from :func:`series_key`.
        fields: Name of each column.
    """

    def __init__(self, keys: Sequence[str], fields: Sequence[str]) -> None:
        self._keys = tuple(f"{key} " for key in keys)
        self._fields = tuple(f"{escaped(name)}=" for name in fields)
        # A row without gaps, the usual case, is put together in one go: twice as fast.
        self._row = ",".join(f"{name.replace('%', '%%')}%.10g" for name in self._fields)

    def lines(self, values: FloatArray, *, at_ns: int) -> bytes:
        """Return one line per row of ``values`` that has anything to say."""
        end = f" {at_ns}\n"
        out: list[str] = []
        complete: list[bool] = np.asarray(np.isfinite(values).all(axis=1)).tolist()
        for n, row in enumerate(values.tolist()):
            if complete[n]:
                out.append(self._keys[n] + self._row % tuple(row) + end)
                continue
            fields = [
                f"{name}{value:.10g}"
                for name, value in zip(self._fields, row, strict=True)
                if isfinite(value)
            ]
            if fields:
                out.append(self._keys[n] + ",".join(fields) + end)
        return "".join(out).encode()


def line(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, float], *, at_ns: int
) -> bytes:
    """Return one line, or nothing if no field is finite."""
    texts = [f"{escaped(k)}={float(v):.10g}" for k, v in fields.items() if isfinite(v)]
    if not texts:
        return b""
    return f"{series_key(measurement, tags)} {','.join(texts)} {at_ns}\n".encode()
