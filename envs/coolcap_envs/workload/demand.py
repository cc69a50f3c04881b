"""Seeded demand: which class of work each control group runs, and how much is offered.

A group runs one job at a time; jobs last hours. Offered load follows the class's daily course, with
slow noise, bursts and pauses. Demand is exogenous (what waits and what is served is physics), so it
is drawn in blocks of steps: the randomness comes from NumPy, the recurrence is compiled.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.jit import kernel
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES, Parameter

DEMAND_STEP_S: Final = 30.0
"""Offered load holds this long."""
BLOCK_STEPS: Final = 120
"""Steps drawn at once: an hour."""
DEMAND_MAX_RATIO: Final = 1.5

_ROWS: Final = (
    ("share_ratio", "1", 0.0, 1.0, "share of GPU time its jobs take"),
    ("job_mean_h", "h", 0.1, 1e4, "mean duration of a job"),
    ("load_mean_ratio", "1", 0.0, 1.5, "work offered over what an uncapped GPU does"),
    ("daily_swing_ratio", "1", 0.0, 1.0, "amplitude of the daily course over the mean"),
    ("peak_hour", "h", 0.0, 24.0, "local hour of the highest load"),
    ("noise_ratio", "1", 0.0, 1.0, "standard deviation of slow noise over the mean"),
    ("noise_time_s", "s", 1.0, 1e5, "correlation time of that noise"),
    ("burst_per_h", "1/h", 0.0, 60.0, "bursts per hour"),
    ("burst_mean_s", "s", 1.0, 1e5, "mean length of a burst"),
    ("burst_ratio", "1", 0.0, 1.5, "load a burst adds"),
    ("pause_per_h", "1/h", 0.0, 60.0, "pauses per hour, e.g. checkpoints"),
    ("pause_mean_s", "s", 1.0, 1e5, "mean length of a pause"),
    ("pause_load_ratio", "1", 0.0, 1.0, "share of load left during a pause"),
)
WORKLOAD_PARAMETERS: Final = tuple(
    Parameter(table="workload", name=name, unit=unit, low=low, high=high, meaning=meaning)
    for name, unit, low, high, meaning in _ROWS
)
"""One set for each workload class of a site."""

_COLUMN: Final = {p.name: k for k, p in enumerate(WORKLOAD_PARAMETERS)}
_SHARE: Final = _COLUMN["share_ratio"]
_JOB_H: Final = _COLUMN["job_mean_h"]
_LOAD: Final = _COLUMN["load_mean_ratio"]
_SWING: Final = _COLUMN["daily_swing_ratio"]
_PEAK: Final = _COLUMN["peak_hour"]
_NOISE: Final = _COLUMN["noise_ratio"]
_NOISE_S: Final = _COLUMN["noise_time_s"]
_BURST_H: Final = _COLUMN["burst_per_h"]
_BURST_S: Final = _COLUMN["burst_mean_s"]
_BURST: Final = _COLUMN["burst_ratio"]
_PAUSE_H: Final = _COLUMN["pause_per_h"]
_PAUSE_S: Final = _COLUMN["pause_mean_s"]
_PAUSE: Final = _COLUMN["pause_load_ratio"]
_HOUR_S: Final = 3600.0


def class_table(workload: Mapping[str, Mapping[str, float]]) -> FloatArray:
    """Return the parameters as rows per class, columns as ``WORKLOAD_PARAMETERS``."""
    return np.array(
        [[workload[name][p.name] for p in WORKLOAD_PARAMETERS] for name in WORKLOAD_CLASSES]
    )


@kernel
def _unfold(
    demand: FloatArray,
    classes: NDArray[np.int8],
    job: NDArray[np.int64],
    left_s: FloatArray,
    slow: FloatArray,
    table: FloatArray,
    normals: FloatArray,
    chances: FloatArray,
    local_hour: float,
) -> None:
    """Fill ``demand`` and ``classes`` (``[T, N]``) and advance the generator's state.

    Args:
        demand: Load offered, relative to an uncapped GPU.
        classes: Class of the job.
        job: Class of each group's job now, -1 before its first, shape ``[N]``.
        left_s: Seconds left of job, burst and pause, shape ``[N, 3]``.
        slow: Slow noise, standard normal in the long run, shape ``[N]``.
        table: See :func:`class_table`.
        normals: Standard normals, ``[T, N]``.
        chances: Uniform on 0 to 1, ``[T, N, 2]``: what happens, and which job comes next.
        local_hour: Local time at the first step.
    """
    count = table.shape[0]
    keep = np.empty(count)
    fresh = np.empty(count)
    course = np.empty(count)
    starts = np.empty(count)
    for k in range(count):
        starts[k] = table[k, _SHARE] / table[k, _JOB_H]
        keep[k] = math.exp(-DEMAND_STEP_S / table[k, _NOISE_S])
        fresh[k] = math.sqrt(1.0 - keep[k] * keep[k])
    for t in range(demand.shape[0]):
        hour = local_hour + t * DEMAND_STEP_S / _HOUR_S
        for k in range(count):
            angle = (hour - table[k, _PEAK]) * (2.0 * math.pi / 24.0)
            course[k] = table[k, _LOAD] * (1.0 + table[k, _SWING] * math.cos(angle))
        for n in range(demand.shape[1]):
            if job[n] < 0 or left_s[n, 0] <= 0.0:
                # One uniform picks the class; its place within the class's weight, uniform
                # again, gives the length of an exponential. A class with long jobs starts fewer.
                weights = table[:, _SHARE] if job[n] < 0 else starts
                pick = chances[t, n, 1] * weights.sum()
                k = 0
                while k < count - 1 and pick >= weights[k]:
                    pick -= weights[k]
                    k += 1
                place = min(max(pick / weights[k], 0.0), 1.0 - 1e-9)
                job[n] = k
                left_s[n, 0] = -math.log(1.0 - place) * table[k, _JOB_H] * _HOUR_S
                left_s[n, 1] = 0.0
                left_s[n, 2] = 0.0
            c = table[job[n]]
            burst_p = c[_BURST_H] * DEMAND_STEP_S / _HOUR_S
            pause_p = c[_PAUSE_H] * DEMAND_STEP_S / _HOUR_S
            chance = chances[t, n, 0]
            if chance < burst_p and left_s[n, 1] <= 0.0:
                left_s[n, 1] = -math.log(1.0 - chance / burst_p) * c[_BURST_S] + DEMAND_STEP_S
            elif 1.0 - chance < pause_p and left_s[n, 2] <= 0.0:
                left_s[n, 2] = -math.log((chance - 1.0 + pause_p) / pause_p + 1e-12) * c[_PAUSE_S]
                left_s[n, 2] += DEMAND_STEP_S

            slow[n] = keep[job[n]] * slow[n] + fresh[job[n]] * normals[t, n]
            load = course[job[n]] * (1.0 + c[_NOISE] * slow[n])
            if left_s[n, 1] > 0.0:
                load += c[_BURST]
            if left_s[n, 2] > 0.0:
                load *= c[_PAUSE]
            demand[t, n] = min(max(load, 0.0), DEMAND_MAX_RATIO)
            classes[t, n] = job[n]
            left_s[n, 0] -= DEMAND_STEP_S
            left_s[n, 1] -= DEMAND_STEP_S
            left_s[n, 2] -= DEMAND_STEP_S


class DemandGenerator:
    """Draws blocks of demand for the groups of one site.

    Args:
        table: See :func:`class_table`.
        group_count: Number of control groups.
        rng: Source of all randomness.
    """

    def __init__(self, table: FloatArray, group_count: int, rng: np.random.Generator) -> None:
        self._table = table
        self._rng = rng
        self._job = np.full(group_count, -1, dtype=np.int64)
        self._left_s = np.zeros((group_count, 3))
        self._slow = rng.standard_normal(group_count)

    def fill(self, demand: FloatArray, classes: NDArray[np.int8], *, local_hour: float) -> None:
        """Fill the next block, ``demand`` and ``classes`` of shape ``[T, N]``.

        Args:
            demand: Load offered, relative to what an uncapped GPU does.
            classes: Index into ``WORKLOAD_CLASSES``.
            local_hour: Local hour of the day at the first step.
        """
        normals = self._rng.standard_normal(demand.shape)
        chances = self._rng.random((*demand.shape, 2))
        _unfold(
            demand,
            classes,
            self._job,
            self._left_s,
            self._slow,
            self._table,
            normals,
            chances,
            local_hour,
        )

    def copy_from(self, other: "DemandGenerator") -> None:
        """Take over the state of ``other``, randomness and parameters included."""
        self._table = other._table
        self._rng.bit_generator.state = other._rng.bit_generator.state
        self._job[:] = other._job
        self._left_s[:] = other._left_s
        self._slow[:] = other._slow
