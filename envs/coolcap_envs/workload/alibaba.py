"""Jobs of a shared GPU cluster, in the format of Alibaba's ``cluster-trace-gpu-v2023``.

One row per pod (Weng et al., "Beware of Fragmentation", USENIX ATC 2023; research use): GPUs asked,
thousandths of a GPU for those that share one, and seconds of creation, scheduling and deletion. The
trace has no utilisation and does not name what pods compute. Assumed here: pods with several GPUs,
and guaranteed and burstable ones, train; latency-sensitive ones (``LS``) serve; best-effort ones
(``BE``) are batch work bound by memory.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.weather import listed

_POD_COLUMNS: Final = (
    "num_gpu", "gpu_milli", "qos", "creation_time", "deletion_time", "scheduled_time",
)  # fmt: skip
_TRAINING, _DECODE, _BATCH = (
    WORKLOAD_CLASSES.index(name) for name in ("training", "decode", "memory_bound")
)
_CLASS_OF_QOS: Final = {
    "LS": _DECODE,
    "BE": _BATCH,
    "Burstable": _TRAINING,
    "Guaranteed": _TRAINING,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jobs:
    """Jobs in order of arrival; arrays have one entry each.

    Attributes:
        name: Where they are from.
        arrival_s: When they were asked for.
        run_s: How long they ran.
        gpu_count: GPUs each uses, at least 1.
        share_ratio: Share it uses of each, up to 1.
        work_class: Index into ``WORKLOAD_CLASSES``.
        notes: What was left out, and why.
    """

    name: str
    arrival_s: FloatArray
    run_s: FloatArray
    gpu_count: NDArray[np.int64]
    share_ratio: FloatArray
    work_class: NDArray[np.int8]
    notes: tuple[str, ...]


def read_jobs(path: Path) -> Jobs:
    """Read a list of pods.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    if absent := [name for name in _POD_COLUMNS if name not in header]:
        raise ConfigError(str(path), [f"row 1 has no column {', '.join(map(repr, absent))}"])
    wrong: dict[str, list[int]] = {}
    jobs: list[tuple[float, float, int, float, int]] = []
    no_gpu = waiting = 0
    last_s = -np.inf
    for number, row in enumerate(rows, start=2):
        try:
            gpus, created_s = int(row["num_gpu"]), float(row["creation_time"])
            deleted_s = float(row["deletion_time"])
            milli = float(row["gpu_milli"] or 0.0)
            started_s = float(row["scheduled_time"] or "nan")
        except (TypeError, ValueError):
            wrong.setdefault("a number is missing", []).append(number)
            continue
        checks = {
            "creation_time goes back": created_s < last_s,
            "deletion_time is before creation_time or scheduled_time": deleted_s < created_s
            or deleted_s < started_s,
            "scheduled_time is before creation_time": started_s < created_s,
            "num_gpu is negative": gpus < 0,
            "gpu_milli is outside 1 to 1000": gpus > 0 and not 0.0 < milli <= 1000.0,
            f"qos is none of {', '.join(_CLASS_OF_QOS)}": row["qos"] not in _CLASS_OF_QOS,
        }
        last_s = max(last_s, created_s)
        found = [what for what, holds in checks.items() if holds]
        for what in found:
            wrong.setdefault(what, []).append(number)
        if found:
            continue
        if gpus == 0:
            no_gpu += 1
        elif np.isnan(started_s):
            waiting += 1
        else:
            work_class = _TRAINING if gpus > 1 else _CLASS_OF_QOS[row["qos"]]
            jobs.append((created_s, deleted_s - started_s, gpus, milli / 1000.0, work_class))
    problems = [f"{what} in {listed(numbers)}" for what, numbers in wrong.items()]
    if not jobs:
        problems.append("has no pod with a GPU that was ever scheduled")
    if problems:
        raise ConfigError(str(path), problems)
    table = np.array(jobs)
    return Jobs(
        name=str(path),
        arrival_s=table[:, 0].copy(),
        run_s=table[:, 1].copy(),
        gpu_count=table[:, 2].astype(np.int64),
        share_ratio=table[:, 3].copy(),
        work_class=table[:, 4].astype(np.int8),
        notes=(f"{no_gpu} pods without a GPU and {waiting} never scheduled are left out",),
    )


def read_gpu_counts(path: Path) -> dict[str, int]:
    """Read the list of nodes (``sn,cpu_milli,memory_mib,gpu,model``); return GPUs per model.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    if absent := [name for name in ("gpu", "model") if name not in header]:
        raise ConfigError(str(path), [f"row 1 has no column {', '.join(map(repr, absent))}"])
    counts: dict[str, int] = {}
    bad: list[int] = []
    for number, row in enumerate(rows, start=2):
        if not (row["gpu"] or "").isdecimal():
            bad.append(number)
            continue
        counts[row["model"]] = counts.get(row["model"], 0) + int(row["gpu"])
    if bad:
        raise ConfigError(str(path), [f"gpu is no count in {listed(bad)}"])
    return counts
