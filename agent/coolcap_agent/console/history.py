"""The last hour, day and month of the site's main quantities, in memory of fixed size."""

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One resolution: ``count`` bins of ``bin_s`` site time each."""

    name: str
    bin_s: float
    count: int


SPANS: Final = (
    Span(name="hour", bin_s=5.0, count=720),
    Span(name="day", bin_s=120.0, count=720),
    Span(name="month", bin_s=3600.0, count=744),
)


class _Ring:
    """Means over bins; the oldest bin makes room for the newest."""

    def __init__(self, span: Span, width: int) -> None:
        self._bin_s = span.bin_s
        self._starts = np.full(span.count, np.nan)
        self._means = np.full((span.count, width), np.nan)
        self._counts = np.zeros(width)
        self._next = 0
        self._open = float("-inf")

    def add(self, time_s: float, row: FloatArray) -> None:
        start_s = time_s - time_s % self._bin_s
        if start_s < self._open:
            return  # a clock that was set back; what is there stays
        if start_s > self._open:
            self._open = start_s
            self._next = (self._next + 1) % len(self._starts)
            self._starts[self._next] = start_s
            self._means[self._next] = np.nan
            self._counts[:] = 0.0
        known = np.isfinite(row)
        before = np.where(self._counts > 0.0, self._means[self._next], 0.0)
        self._counts += known
        change = np.where(known, row - before, 0.0) / np.maximum(self._counts, 1.0)
        self._means[self._next] = np.where(self._counts > 0.0, before + change, np.nan)

    def read(self) -> tuple[FloatArray, FloatArray]:
        order = (np.arange(len(self._starts)) + self._next + 1) % len(self._starts)
        # Where ticks are further apart than bins, the ring holds more than its span.
        first_s = self._open - self._bin_s * len(self._starts)
        used = order[self._starts[order] > first_s]
        return self._starts[used].copy(), self._means[used].copy()


class History:
    """Keeps rows of one width. Safe to use from several threads.

    Args:
        names: Name of each column.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._lock = threading.Lock()
        self._rings = {span.name: _Ring(span, len(names)) for span in SPANS}

    def add(self, time_s: float, row: FloatArray) -> None:
        """Take in the values of one instant of site time; NaN is not known."""
        with self._lock:
            for ring in self._rings.values():
                ring.add(time_s, row)

    def read(self, span: str) -> tuple[FloatArray, FloatArray]:
        """Return begin (s) and means of the bins of a span, the oldest first.

        Raises:
            KeyError: If there is no such span.
        """
        with self._lock:
            return self._rings[span].read()
