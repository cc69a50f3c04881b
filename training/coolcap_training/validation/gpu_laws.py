"""Every shipped GPU model over all of its caps; against a sweep of its own where there is one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.gpu_models import GpuModel, load_gpu_model, shipped_gpu_models
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_training.validation.check import Check, Found, not_run
from coolcap_training.validation.fit import mean_abs
from coolcap_training.validation.gpu_curves import PARAMETERS, SHAPE, Curve, predict
from coolcap_training.validation.reference import number, read_rows, why_missing

CURATED: Final = "gpu/cap_curves_curated.csv"
_OWN_SWEEP: Final = ("b300-sxm", "prefill", "B300-SXM", "sinkers/gpu-power-lab")
_CAPS: Final = 40
_ROUNDING: Final = 1e-9
_SOURCE: Final = "bounds of any device: more power never means less work, mean power keeps the cap"


def _parameters(work: Mapping[str, float]) -> FloatArray:
    flat = dict.fromkeys(PARAMETERS, 0.0)
    flat |= {name: work[name] for name in SHAPE} | {"peak_over_mean": 1.0}
    return np.array(list(flat.values()))


def _swept(model: GpuModel, work: str, caps_w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return throughput and power of a fully busy device under caps."""
    natural_w = model.classes[work]["full_power_w"]
    none = np.full(caps_w.size, np.nan)
    curve = Curve(name=work, cap_w=caps_w, natural_w=natural_w, throughput=none, energy=none)
    throughput, energy = predict(_parameters(model.classes[work]), curve)
    return throughput, energy * throughput * natural_w


def _model_checks(models: Sequence[GpuModel]) -> list[Check]:
    falls = excess = -np.inf
    idle = 0.0
    for model in models:
        low_w = model.device["device_cliff_cap_ratio"] * model.limits["power_limit_min_w"]
        high_w = model.limits["power_limit_max_w"]
        caps_w = np.linspace(low_w, high_w, _CAPS)
        idle = max(idle, model.device["device_idle_power_w"] / high_w)
        for work in WORKLOAD_CLASSES:
            throughput, power_w = _swept(model, work, caps_w)
            falls = max(falls, float(-np.diff(throughput).min()))
            slowest_w = float(power_w.min())  # what the device needs at its lowest clock
            over_w = power_w - np.maximum(caps_w, slowest_w)
            excess = max(excess, float(over_w.max() / high_w))
    rows = len(models) * len(WORKLOAD_CLASSES) * _CAPS
    names = ", ".join(model.name for model in models)
    return [
        Check(
            name=f"GPU models: {name}",
            source=_SOURCE,
            metric=metric,
            value=value,
            target=target,
            rows=rows,
            note=f"{names}; all classes, fully busy, caps from the cliff to the highest limit",
        )
        for name, metric, value, target in (
            ("more power never means less work", "largest fall of throughput", falls, _ROUNDING),
            (
                "mean power keeps the cap or that of the lowest clock",
                "largest excess over the highest limit",
                excess,
                _ROUNDING,
            ),
            ("idle power", "highest idle power over the highest limit", idle, 0.35),
        )
    ]


def check_gpu_models(data: Path | None) -> Found:
    """Check the shipped models."""
    checks = _model_checks([load_gpu_model(name) for name in shipped_gpu_models()])
    name, work, gpu, source = _OWN_SWEEP
    title, metric = f"Shipped GPU {name} on its own sweep", "mean absolute error of throughput"
    if reason := why_missing(data, CURATED):
        checks.append(not_run(title, source=source, metric=metric, reason=reason))
        return Found(checks=checks)
    assert data is not None
    rows = [row for row in read_rows(data / CURATED) if row["gpu"] == gpu]
    caps_w = np.array([number(row, "cap_w") for row in rows])
    throughput, _ = _swept(load_gpu_model(name), work, caps_w)
    measured = np.array([number(row, "rel_perf") for row in rows])
    checks.append(
        Check(
            name=title,
            source=source,
            metric=metric,
            value=mean_abs(throughput - measured),
            target=None,
            rows=len(rows),
            note=f"matrix products, class {work}; the class was shaped by this sweep",
        )
    )
    return Found(checks=checks)
