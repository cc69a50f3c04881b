"""Recorded work of a site of one's own: a CSV with a row per control group and step.

Columns: ``time_s`` (equal steps, each a multiple of 30 s), ``group`` (name from the site file),
``work_class``, and what the group was offered: ``load_ratio`` (relative to an uncapped GPU), or
``gpu_power_w``, the power that one of its GPUs drew without a cap, from which the load follows.
Optional is ``job``: groups with the same name in a step run one synchronous job.
"""

import csv
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.gpu_models import GpuModel
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.weather import listed
from coolcap_envs.workload.demand import DEMAND_STEP_S
from coolcap_envs.workload.trace import TableTrace

_NEEDED: Final = ("time_s", "group", "work_class")
_LOAD_MAX: Final = 10.0
_POWER_MAX_RATIO: Final = 1.5
"""Of the device's highest power limit; peaks of 1.43 were measured for half a second."""


def read_own(path: Path, layout: Layout, models: Mapping[str, GpuModel]) -> TableTrace:
    """Read a recording for the groups of a site; groups it does not name stay as generated.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    problems = [f"row 1 has no column {name!r}" for name in _NEEDED if name not in header]
    is_power = "gpu_power_w" in header
    if is_power == ("load_ratio" in header):
        problems.append("row 1 needs one of the columns 'load_ratio' and 'gpu_power_w'")
    if problems:
        raise ConfigError(str(path), problems)

    wrong: dict[str, list[int]] = {}
    group_of = {name: n for n, name in enumerate(layout.group_names)}
    values: dict[tuple[float, int], tuple[float, int, str]] = {}
    rows_of: dict[tuple[float, int], int] = {}
    for number, row in enumerate(rows, start=2):
        try:
            time_s = float(row["time_s"])
            value = float(row["gpu_power_w" if is_power else "load_ratio"])
        except (TypeError, ValueError):
            wrong.setdefault("a number is missing", []).append(number)
            continue
        n = group_of.get(row["group"], -1)
        found = _problems(time_s, n, row, value, layout, is_power=is_power)
        if (time_s, n) in rows_of:
            found.append("time and group stand twice")
        if n >= 0:
            rows_of.setdefault((time_s, n), number)
        for what in found:
            wrong.setdefault(what, []).append(number)
        if not found:
            kind = WORKLOAD_CLASSES.index(row["work_class"])
            load = _load_of(value, models[layout.gpu_models[n]], kind) if is_power else value
            values[time_s, n] = load, kind, row.get("job") or ""
    problems = [f"{what} in {listed(numbers)}" for what, numbers in wrong.items()]
    times = sorted({time_s for time_s, _ in rows_of})
    step_s = _step_s(times, problems)
    problems += _gaps(rows_of, times, step_s, layout)
    if problems:
        raise ConfigError(str(path), problems)
    return _table(values, times, round(step_s / DEMAND_STEP_S), layout.group_count)


def _problems(
    time_s: float, n: int, row: Mapping[str, str], value: float, layout: Layout, *, is_power: bool
) -> list[str]:
    found = [] if 0.0 <= time_s < np.inf else ["time_s is negative"]
    if n < 0:
        found.append(f"group is none of {layout.name}")
    if row["work_class"] not in WORKLOAD_CLASSES:
        found.append(f"work_class is none of {', '.join(WORKLOAD_CLASSES)}")
    if not is_power:
        high, what = _LOAD_MAX, "load_ratio"
    else:
        high, what = _POWER_MAX_RATIO * float(layout.power_limit_max_w[max(n, 0)]), "gpu_power_w"
    if not value >= 0.0:
        found.append(f"{what} is negative")
    elif value > high:
        found.append(f"{what} is above {high:g}")
    return found


def _load_of(power_w: float, model: GpuModel, kind: int) -> float:
    """Return the load at which an uncapped GPU draws ``power_w``, 1 at its full power.

    The inverse of ``P = P_idle + (P_full - P_idle) * activity(load)``, see physics/gpu.py.
    """
    work = model.classes[WORKLOAD_CLASSES[kind]]
    idle_w, half = model.device["device_idle_power_w"], work["half_load"]
    share = min(max((power_w - idle_w) / (work["full_power_w"] - idle_w), 0.0), 1.0)
    return share * half / (1.0 + half - share)


def _step_s(times: list[float], problems: list[str]) -> float:
    """Return the step of a recording."""
    if len(times) < 2:
        problems.append("has fewer than two steps")
        return DEMAND_STEP_S
    step_s = float(np.diff(times).min())
    if step_s < DEMAND_STEP_S or step_s % DEMAND_STEP_S:
        problems.append(f"has steps of {step_s:g} s; a multiple of {DEMAND_STEP_S:g} s is needed")
        return max(DEMAND_STEP_S, step_s)
    return step_s


def _gaps(
    rows_of: Mapping[tuple[float, int], int], times: list[float], step_s: float, layout: Layout
) -> list[str]:
    """Say for which steps a group that the file names has no row."""
    told: list[str] = []
    times_of: dict[int, list[float]] = {}
    for time_s, n in sorted(rows_of):
        times_of.setdefault(n, []).append(time_s)
    for n, own in sorted(times_of.items()):
        if own[0] > times[0]:
            told.append(f"{layout.group_names[n]} begins at {own[0]:g} s, others at {times[0]:g} s")
        if own[-1] < times[-1]:
            told.append(f"{layout.group_names[n]} ends at {own[-1]:g} s, others at {times[-1]:g} s")
        for before, after in itertools.pairwise(own):
            if abs(after - before - step_s) > 1e-6:
                told.append(
                    f"{layout.group_names[n]} has a gap of {after - before:g} s before "
                    f"row {rows_of[after, n]}, where steps are {step_s:g} s"
                )
    rest = len(told) - 10
    return [*told[:10], f"{rest} more gaps"] if rest > 0 else told


def _table(
    values: Mapping[tuple[float, int], tuple[float, int, str]],
    times: list[float],
    repeat: int,
    groups: int,
) -> TableTrace:
    row_of = {time_s: t for t, time_s in enumerate(times)}
    demand = np.full((len(times), groups), np.nan, dtype=np.float32)
    classes = np.full((len(times), groups), -1, dtype=np.int8)
    job = np.full((len(times), groups), -1, dtype=np.int16)
    numbers: dict[str, int] = {}
    for (time_s, n), (load, kind, name) in values.items():
        t = row_of[time_s]
        demand[t, n], classes[t, n] = load, kind
        if name:
            job[t, n] = numbers.setdefault(name, len(numbers))
    return TableTrace(
        demand=np.repeat(demand, repeat, axis=0),
        classes=np.repeat(classes, repeat, axis=0),
        job=np.repeat(job, repeat, axis=0) if numbers else None,
        is_from_start=True,
    )
