"""Lines a database will never take: which ones its answer names, and how to tell people.

InfluxDB 1 and 2 say ``field type conflict: input field "f" on measurement "m" is type string,
already exists as type float``. The lines that are meant are found without trying each one.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SHOWN_S: Final = 3600.0
"""A refusal stays on show for an hour of host time; the counters keep it for ever."""
REASON_LENGTH_MAX: Final = 300

_CONFLICT: Final = re.compile(
    r'input field \\?"(?P<field>[^"\\]+)\\?" on measurement \\?"(?P<measurement>[^"\\]+)\\?" '
    r"is type (?P<type>\w+)"
)
_VALUE_OF: Final = {
    "float": rb"-?[0-9.]+(?:[eE][+-]?[0-9]+)?(?=[, ])",
    "integer": rb"-?[0-9]+i",
    "string": rb'"',
    "boolean": rb"[tTfF]",
}
ADVICE: Final = (
    "the lines are kept aside in the spool: rename or drop that field in the database, then "
    "`coolcap replay SPOOL --refused`"
)


def in_short(reason: str) -> str:
    """Return a server's words on one line; a page for browsers without its marks."""
    return " ".join(re.sub(r"<[^>]*>", " ", reason).split())[:REASON_LENGTH_MAX]


def measurement_of(line: bytes) -> str:
    """Return the measurement of a line of the log."""
    return re.split(rb"[, ]", line, maxsplit=1)[0].decode(errors="replace")


def measurements_in(lines: Sequence[bytes]) -> str:
    """Return the measurements of lines, for a message."""
    return ", ".join(sorted({measurement_of(line) for line in lines}))


def named_lines(reason: str, lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines that a refusal means, none if it does not say."""
    found = _CONFLICT.search(reason)
    if found is None or found["type"] not in _VALUE_OF:
        return []
    measurement, field = found["measurement"].encode(), re.escape(found["field"].encode())
    value = re.compile(rb"[ ,]" + field + b"=" + _VALUE_OF[found["type"]])
    starts = (measurement + b",", measurement + b" ")
    return [line for line in lines if line.startswith(starts) and value.search(line)]


@dataclass(slots=True)
class _Refused:
    count: int
    reason: str
    mono_s: float


class Refusals:
    """Counts refused lines by measurement, with the newest reason of each.

    Args:
        mono_s: The host's monotonic clock.
    """

    def __init__(self, mono_s: Callable[[], float] = time.monotonic) -> None:
        self._mono_s = mono_s
        self._by_measurement: dict[str, _Refused] = {}
        self.count = 0

    def add(self, lines: Sequence[bytes], *, reason: str) -> None:
        """Note lines that were refused."""
        self.count += len(lines)
        text = in_short(reason)
        for measurement, count in Counter(measurement_of(line) for line in lines).items():
            before = self._by_measurement.get(measurement)
            total = count + (before.count if before else 0)
            self._by_measurement[measurement] = _Refused(total, text, self._mono_s())

    @property
    def problem(self) -> str:
        """Return what was refused of late, why and what to do; empty if nothing was."""
        since_s = self._mono_s() - SHOWN_S
        # Copied: the sender's thread may add while another asks.
        recent = [(m, r) for m, r in list(self._by_measurement.items()) if r.mono_s >= since_s]
        if not recent:
            return ""
        said = "; ".join(
            f"{r.count} lines of measurement {measurement} refused ({r.reason})"
            for measurement, r in sorted(recent)
        )
        return f"{said}; {ADVICE}"
