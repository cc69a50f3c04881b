"""One sensor that fails: what it reads while it does."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.faults.kinds import FaultKind, split_sensor
from coolcap_envs.faults.plan import FaultEvent

INLET: int = GROUP_COLUMN["inlet_temp_c"]
INLET_MAX: int = PLANT_COLUMN["inlet_temp_max_c"]


@dataclass(slots=True, kw_only=True)
class FailingSensor:
    """A sensor of a group, or of the plant with ``group`` None, from the start of its fault on.

    Attributes:
        kind: How it fails.
        value: Of the fault.
        group: Place of the group.
        column: Place of the signal.
        past: Times and readings that a stuck or delayed sensor still has to give.
    """

    kind: FaultKind
    value: float
    group: int | None
    column: int
    past: deque[tuple[float, float]] = field(default_factory=deque[tuple[float, float]])

    @classmethod
    def of(cls, event: FaultEvent, layout: Layout) -> "FailingSensor":
        """Return the sensor an event hits."""
        name, signal = split_sensor(event.target)
        return cls(
            kind=event.kind,
            value=event.value,
            group=layout.group_names.index(name) if name else None,
            column=GROUP_COLUMN[signal] if name else PLANT_COLUMN[signal],
        )

    def spoil(
        self,
        groups: FloatArray,
        plant: FloatArray,
        *,
        last: tuple[FloatArray, FloatArray],
        now_s: float,
    ) -> None:
        """Put what the sensor says in place of what it should say.

        Args:
            groups: Readings of one plant's groups, ``[N, S]``.
            plant: Readings of the plant, ``[P]``.
            last: The same as they were read last.
            now_s: Time of the readings, since the start of the episode.
        """
        g = self.group
        readings, before = (plant, last[1]) if g is None else (groups[g], last[0][g])
        readings[self.column] = self._said(
            float(readings[self.column]), last=float(before[self.column]), now_s=now_s
        )
        if g is not None and self.column == INLET:
            plant[INLET_MAX] = np.fmax.reduce(groups[:, INLET])

    def _said(self, reading: float, *, last: float, now_s: float) -> float:
        if self.kind is FaultKind.SENSOR_BIAS:
            return reading + self.value
        if self.kind is FaultKind.SENSOR_DROPOUT:
            return float("nan")
        if self.kind is FaultKind.SENSOR_STUCK:
            if not self.past:
                self.past.append((now_s, last))
            return self.past[0][1]
        if not self.past or now_s > self.past[-1][0]:
            self.past.append((now_s, reading))
        while len(self.past) > 1 and self.past[1][0] <= now_s - self.value:
            self.past.popleft()
        return self.past[0][1]
