"""The GPU model against published cap sweeps, each row predicted by a fit that has not seen it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.gpu_models import load_gpu_model
from coolcap_training.validation.check import Check, Found, not_run
from coolcap_training.validation.fit import folds, mean_abs
from coolcap_training.validation.gpu_curves import (
    PARAMETERS,
    SHAPE,
    Curve,
    fit_curves,
    locked_throughput,
    predict,
)
from coolcap_training.validation.reference import Row, number, read_rows, why_missing

ZEUS: Final = "gpu/training_cap_curves_zeus_nsdi23.csv"
CURATED: Final = "gpu/cap_curves_curated.csv"
_ZEUS_SOURCE: Final = "ml-energy/zeus traces (NSDI'23)"
_CURATED_SOURCE: Final = "published cap sweeps of four GPUs, named above"
THROUGHPUT_TARGET: Final = 0.03
ENERGY_TARGET: Final = 0.05
_ABOVE_MIN: Final = 1.4
"""Rows count from this multiple of the device's least limit; below it lies the floor cliff."""
_LIMIT_MIN_W: Final = {
    "A40": 100.0,
    "V100": 100.0,
    "P100": 125.0,
    "RTX6000": 100.0,
    "B300-SXM": 200.0,
    "6x RTX 3090": 100.0,
    "RTX PRO 6000 Blackwell WS": 150.0,
    "2x RTX PRO 6000 (per card cap)": 150.0,
    "A100-PCIe-80": 150.0,
}
"""Least limits: of the GPU table where it has one, else the lowest cap of the sweep."""
_CLASS_OF: Final = {"compute": "prefill", "decode-single": "decode", "decode-batched": "decode"}
_NOT_BOUND: Final = 0.6
_A100_CLOCK_MAX_MHZ: Final = 1410.0


def _class_parameters(name: str) -> FloatArray:
    """Return the shipped class ``name`` of the H100, with no spread between units."""
    work = load_gpu_model("h100-sxm").classes[name]
    return np.array([*(work[key] for key in SHAPE), 1.0, 0.0, 0.0])


def _curve(name: str, rows: Sequence[Row], *, limit_min_w: float, perf: str, energy: str) -> Curve:
    """Return the rows above the floor and below the highest cap, which sets the levels."""
    ordered = sorted(rows, key=lambda row: number(row, "cap_w"))
    natural_w = number(ordered[-1], "avg_w")
    kept = [row for row in ordered[:-1] if number(row, "cap_w") > _ABOVE_MIN * limit_min_w]
    return Curve(
        name=name,
        cap_w=np.array([number(row, "cap_w") for row in kept]),
        natural_w=natural_w if np.isfinite(natural_w) else number(ordered[-1], "cap_w"),
        throughput=np.array([number(row, perf) for row in kept]),
        energy=np.array([number(row, energy) for row in kept]),
    )


def _part(curve: Curve, rows: Iterable[int]) -> Curve:
    chosen = np.array(list(rows), dtype=np.int64)
    return replace(
        curve,
        cap_w=curve.cap_w[chosen],
        throughput=curve.throughput[chosen],
        energy=curve.energy[chosen],
    )


def _zeus_curves(data: Path) -> dict[tuple[str, str, str], list[Curve]]:
    sweeps: dict[tuple[str, str, str, int], list[Row]] = defaultdict(list)
    for row in read_rows(data / ZEUS):
        key = (row["gpu"], row["dataset"], row["network"], int(row["batch"]))
        sweeps[key].append(row)
    families: dict[tuple[str, str, str], list[Curve]] = defaultdict(list)
    for (gpu, dataset, network, batch), rows in sorted(sweeps.items()):
        curve = _curve(
            f"{gpu} {network} {batch}",
            rows,
            limit_min_w=_LIMIT_MIN_W[gpu],
            perf="rel_throughput",
            energy="rel_energy",
        )
        families[gpu, dataset, network].append(replace(curve, doublings=float(np.log2(batch))))
    return {family: _centred(curves) for family, curves in families.items()}


def _centred(curves: Sequence[Curve]) -> list[Curve]:
    """Return ``curves`` with batches counted from the middle one."""
    middle = float(np.mean([curve.doublings for curve in curves]))
    return [replace(curve, doublings=curve.doublings - middle) for curve in curves]


def _held_out(curves: Sequence[Curve], prior: FloatArray) -> list[tuple[Curve, FloatArray]]:
    """Return each curve with the prediction of a fit to every other curve of its family."""
    predicted: list[tuple[Curve, FloatArray]] = []
    for fitted, reported in folds(len(curves)):
        if fitted.size and reported.size:
            x = fit_curves([curves[k] for k in fitted], prior)
            predicted += [(curves[k], np.stack(predict(x, curves[k]))) for k in reported]
    return predicted


def _errors(predicted: Sequence[tuple[Curve, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    throughput = [p[0] - curve.throughput for curve, p in predicted]
    energy = [p[1] / curve.energy - 1.0 for curve, p in predicted]
    off = np.concatenate(energy)
    return np.concatenate(throughput), off[np.isfinite(off)]


def _pair(name: str, source: str, errors: tuple[FloatArray, FloatArray], note: str) -> list[Check]:
    throughput, energy = errors
    checks = [
        Check(
            name=f"{name}: throughput",
            source=source,
            metric="mean absolute error of relative throughput",
            value=mean_abs(throughput),
            target=THROUGHPUT_TARGET,
            rows=throughput.size,
            note=note,
        )
    ]
    if energy.size:
        checks.append(
            Check(
                name=f"{name}: energy per work",
                source=source,
                metric="mean absolute relative error",
                value=mean_abs(energy),
                target=ENERGY_TARGET,
                rows=energy.size,
                note=note,
            )
        )
    return checks


def check_zeus(data: Path | None) -> Found:
    """Check training on four GPUs: 1,539 rows over six networks and many batch sizes."""
    name, metric = "GPU caps, training (Zeus)", "mean absolute error of relative throughput"
    if reason := why_missing(data, ZEUS):
        return Found(checks=[not_run(name, source=_ZEUS_SOURCE, metric=metric, reason=reason)])
    assert data is not None
    prior = _class_parameters("training")
    prior[PARAMETERS.index("peak_over_mean")] = 1.05
    by_gpu: dict[str, list[tuple[Curve, FloatArray]]] = defaultdict(list)
    shipped: list[tuple[Curve, FloatArray]] = []
    for (gpu, _, _), curves in _zeus_curves(data).items():
        by_gpu[gpu] += _held_out(curves, prior)
        x = _class_parameters("training")
        shipped += [(curve, np.stack(predict(x, curve))) for curve in curves]
    everything = [pair for pairs in by_gpu.values() for pair in pairs]
    note = (
        "one shape per GPU and network, with a sensitivity and a peak over mean that move with the "
        "batch, fitted to every other batch size and reported on the rest, both ways round; "
        "natural power of each batch size is taken from its row at the highest cap"
    )
    checks = _pair(name, _ZEUS_SOURCE, _errors(everything), note)
    for gpu, pairs in by_gpu.items():
        checks += _pair(f"{name}, {gpu}", _ZEUS_SOURCE, _errors(pairs), "the same, this GPU alone")
    for part, errors in zip(("throughput", "energy per work"), _errors(shipped), strict=True):
        checks.append(
            Check(
                name=f"Shipped training class on all of Zeus: {part}",
                source=_ZEUS_SOURCE,
                metric="mean absolute error" + ("" if part == "throughput" else ", relative"),
                value=mean_abs(errors),
                target=None,
                rows=errors.size,
                note="parameters of the simulated H100 without any fit: what carrying one curve "
                "(V100, ResNet-50) to other GPUs and networks costs",
            )
        )
    checks.append(_scatter(data))
    return Found(checks=checks, series=_zeus_series(everything))


def _scatter(data: Path) -> Check:
    """Return how far throughput scatters where the cap cannot matter: what no model explains."""
    idle = [
        number(row, "rel_throughput") - 1.0
        for row in read_rows(data / ZEUS)
        if _NOT_BOUND * number(row, "cap_w") > number(row, "avg_w")
        and number(row, "rel_throughput") != 1.0
    ]
    return Check(
        name="Scatter of Zeus where no cap binds",
        source=_ZEUS_SOURCE,
        metric="mean absolute deviation of relative throughput from 1",
        value=mean_abs(np.array(idle)),
        target=None,
        rows=len(idle),
        note=f"rows that draw less than {_NOT_BOUND:g} of their cap: noise of the measurement and "
        "of the host, which no model of the GPU explains",
    )


def _zeus_series(pairs: Sequence[tuple[Curve, FloatArray]]) -> dict[str, FloatArray]:
    """Return what plots show: all points, and ResNet-50 at its largest batch where caps bind."""
    series = {
        "zeus.measured": np.concatenate([curve.throughput for curve, _ in pairs]),
        "zeus.predicted": np.concatenate([p[0] for _, p in pairs]),
    }
    largest = {"A40": 512, "V100": 360, "RTX6000": 256}
    for curve, p in pairs:
        gpu, network, batch = curve.name.split()
        if network == "resnet50" and largest.get(gpu) == int(batch):
            series[f"resnet50.{gpu}"] = np.stack(
                [curve.cap_w, curve.throughput, p[0], curve.energy, p[1]]
            )
    return series


def _curated_rows(data: Path) -> dict[tuple[str, str, str], list[Row]]:
    """Return the cap sweeps with enough caps; Zeus has its own check, clock locks too."""
    sweeps: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in read_rows(data / CURATED):
        usable = np.isfinite(number(row, "rel_perf")) and row["gpu"] in _LIMIT_MIN_W
        if usable and "clocklock" not in row["class"] and not row["source"].startswith("Zeus"):
            sweeps[row["gpu"], row["workload"], row["class"]].append(row)
    return sweeps


def check_curated(data: Path | None) -> Found:
    """Check inference, matrix products and memory-bound work."""
    name, metric = "GPU caps, other work", "mean absolute error of relative throughput"
    if reason := why_missing(data, CURATED):
        return Found(checks=[not_run(name, source=_CURATED_SOURCE, metric=metric, reason=reason)])
    assert data is not None
    predicted: dict[str, list[tuple[Curve, FloatArray]]] = defaultdict(list)
    shipped: dict[str, list[tuple[Curve, FloatArray]]] = defaultdict(list)
    for (gpu, workload, kind), rows in _curated_rows(data).items():
        curve = _curve(
            f"{gpu} {workload}",
            rows,
            limit_min_w=_LIMIT_MIN_W[gpu],
            perf="rel_perf",
            energy="rel_energy_per_work",
        )
        work = "memory_bound" if "membound" in kind else _CLASS_OF.get(kind, "prefill")
        prior = _class_parameters(work)
        shipped[work].append((curve, np.stack(predict(prior, curve))))
        for fitted, reported in folds(curve.cap_w.size):
            if fitted.size and reported.size:
                x = fit_curves([_part(curve, fitted)], prior)
                rest = _part(curve, reported)
                predicted[work].append((rest, np.stack(predict(x, rest))))
    everything = [pair for pairs in predicted.values() for pair in pairs]
    note = (
        "each sweep fitted to every other cap, the shipped class holding what so few points leave "
        "open, and reported on the rest, both ways round"
    )
    checks = _pair(name, _CURATED_SOURCE, _errors(everything), note)
    checks += _shipped_checks(shipped)
    checks.append(_lock_check(data))
    return Found(checks=checks)


def _shipped_checks(shipped: Mapping[str, list[tuple[Curve, FloatArray]]]) -> list[Check]:
    checks: list[Check] = []
    for work, pairs in shipped.items():
        throughput, _ = _errors(pairs)
        checks.append(
            Check(
                name=f"Shipped class {work} on its kind of sweeps: throughput",
                source=_CURATED_SOURCE,
                metric="mean absolute error of relative throughput",
                value=mean_abs(throughput),
                target=None,
                rows=throughput.size,
                note=f"parameters of the simulated H100 without any fit; sweeps of other GPUs: "
                f"{len(pairs)}",
            )
        )
    return checks


def _lock_check(data: Path) -> Check:
    rows = [
        row
        for row in read_rows(data / CURATED)
        if row["class"] == "hpc-membound-clocklock" and number(row, "cap_w") == 300.0
    ]
    clocks = np.array([float(row["sm_mhz"].split()[0]) for row in rows]) / _A100_CLOCK_MAX_MHZ
    errors = locked_throughput(_class_parameters("memory_bound"), clocks) - np.array(
        [number(row, "rel_perf") for row in rows]
    )
    return Check(
        name="Shipped class memory_bound under clock locks: throughput",
        source="giordano/gpu-power-frequency-benchmarks, A100 BabelStream",
        metric="mean absolute error of relative throughput",
        value=mean_abs(errors),
        target=None,
        rows=errors.size,
        note="the class was shaped by these locks",
    )
